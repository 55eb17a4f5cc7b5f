"""A spec's meaning: what comes from base, profile, options, `like`, `from`, components and plugins."""

from __future__ import annotations

import subprocess
import sys

import pytest
from plans import STUDY
from toys import MINIMAL

from harness import registry
from harness.spec.load import load_spec, read_study_name


def by_name(spec):
    return {variant.name: variant for variant in spec.variants}


def test_every_setting_is_spelled_out(write_spec):
    spec = load_spec(write_spec(MINIMAL))
    (variant,) = spec.variants
    assert variant.config.to_dict() == {
        "data": {
            "name": "toy_scenes",
            "size": "native",
            "normalize": "centered",
            "inputs": ["rgb"],
            "on_bad_image": "error",
            "fraction": 1.0,
            "folds": None,
            "root": "here",
            "count": 8,
            "raw_ids": {},
        },
        "model": {"name": "toy_net", "freeze": "none", "width": 8, "weights": "none"},
        "loss": {"toy_entropy": {"weight": 1.0, "class_weights": "none"}},
        "augment": {},
        "optimizer": {"name": "toy_descent", "multipliers": {}, "lr": 0.1, "momentum": 0.0},
        "schedule": {"name": "toy_flat", "warmup": 0.0, "floor": 0.0, "steps": 1},
        "train": variant.config.train.model_dump(mode="json"),
        "evaluate": variant.config.evaluate.model_dump(mode="json"),
        "seed": 0,
        "plugins": [],
    }
    said = spec.compare
    assert (spec.study, spec.seeds, said.reference, said.margin, said.looks) == ("toy", (0,), "plain", 0.005, ())
    assert (spec.text, spec.profile, spec.overrides) == (MINIMAL, None, ())


def test_settings_and_weights_are_two_things(write_spec):
    variants = by_name(load_spec(write_spec(STUDY)))
    assert list(variants) == ["child", "grandchild", "plain", "mixed", "more"]
    assert variants["child"].start == ("plain", "last")
    assert variants["child"].config.model.freeze == "backbone"
    assert variants["mixed"].start == ("child", "best")
    assert variants["mixed"].config.model.freeze == "none", "`from` takes over weights, not settings"
    assert variants["grandchild"].config.model.freeze == "backbone", "`like` takes over settings"
    assert variants["grandchild"].config.optimizer.lr == 0.3
    assert variants["grandchild"].start is None, "`like` takes over settings, not weights"


def test_components_are_on_or_off_in_every_variant(write_spec):
    variants = by_name(load_spec(write_spec(STUDY)))
    assert variants["plain"].components == {"mirror": False, "overlap": False, "slow": False}
    assert variants["mixed"].components == {"mirror": True, "overlap": True, "slow": False}
    assert variants["more"].components == {"mirror": True, "overlap": True, "slow": True}
    assert [term.name for term in variants["more"].config.loss] == ["toy_entropy", "toy_overlap"]
    assert variants["more"].config.augment[0].own["p"] == 0.25


def test_profile_then_options_then_variants(write_spec):
    path = write_spec(STUDY)
    spec = load_spec(path, profile="full", overrides=["data.root=/elsewhere", "data.size=[32, 32]"])
    variants = by_name(spec)
    assert variants["plain"].config.data.size == (32, 32)
    assert variants["plain"].config.data.own["root"] == "/elsewhere"
    assert variants["plain"].config.optimizer.lr == 0.2
    assert variants["grandchild"].config.optimizer.lr == 0.3, "a variant's own change stands last"
    assert variants["more"].config.augment[0].own["p"] == 1.0
    assert spec.seeds == (7,)
    assert load_spec(path, profile="full", seeds=[5, 0]).seeds == (5, 0)
    assert by_name(load_spec(path))["plain"].config.data.size == (8, 8)


@pytest.mark.parametrize(
    ("model", "written", "expected"),
    [
        ("{name: toy_net}", "", "centered"),
        ("{name: toy_net, weights: default}", "", "imagenet"),
        ("{name: toy_net, weights: some/file.pt}", "", "imagenet"),
        ("{name: toy_tower, backbone_weights: default}", "", "imagenet"),
        ("{name: toy_tower}", "", "centered"),
        ("{name: toy_net}", ", normalize: unit", "unit"),
        ("{name: toy_net, weights: default}", ", normalize: centered", "centered"),
        ("{name: toy_net}", ", normalize: auto", "centered"),
    ],
)
def test_normalisation_follows_the_weights(model, written, expected, write_spec):
    text = MINIMAL.replace("{name: toy_net}", model).replace("{name: toy_scenes}", f"{{name: toy_scenes{written}}}")
    (variant,) = load_spec(write_spec(text)).variants
    assert variant.config.data.normalize == expected


def test_weights_and_freezing_may_differ_from_the_parent(write_spec):
    start = "  a: {from: plain@best, set: {model.freeze: backbone, model.weights: default, data.normalize: centered}}\n"
    assert by_name(load_spec(write_spec(MINIMAL + start)))["a"].config.model.own["weights"] == "default"


def test_a_multiplier_of_a_group_that_moves_is_fine(write_spec):
    head = "  a: {set: {model.freeze: backbone, optimizer.multipliers.head: 0.5}}\n"
    assert by_name(load_spec(write_spec(MINIMAL + head)))["a"].config.optimizer.multipliers == {"head": 0.5}


def test_a_component_that_the_settings_need_is_not_idle(write_spec):
    swap = "  a: {set: {loss.toy_entropy: null}, components: {overlap: {loss.toy_overlap: {}}}}\n"
    assert [term.name for term in by_name(load_spec(write_spec(MINIMAL + swap)))["a"].config.loss] == ["toy_overlap"]


def test_a_plugin_beside_the_caller_is_imported_before_parts_are_resolved(tmp_path, monkeypatch, write_spec):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))
    (tmp_path / "toy_lab.py").write_text(
        "from harness.registry import part\n\n@part('loss')\ndef toy_own(*, sharp: float = 2.0):\n    '''Own loss.'''\n"
    )
    before = list(sys.path)
    spec = load_spec(write_spec(MINIMAL.replace("toy_entropy", "toy_own") + "plugins: [toy_lab]\n"))
    assert spec.plugins == spec.variants[0].config.plugins == ("toy_lab",)
    assert spec.variants[0].config.loss[0].own["sharp"] == 2.0
    assert sys.path == before


def test_study_name_is_read_without_the_rest(write_spec):
    assert read_study_name(write_spec("study: toy-2.b\nanything: [1]\n")) == "toy-2.b"


def test_reading_needs_no_torch():
    code = "import sys, harness.spec.plan, harness.spec.schema; print({'torch', 'mlflow'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"


def test_what_is_compared_may_be_set_by_an_option(write_spec):
    changes = ["compare.epoch=last", "compare.margin=0.02", "compare.looks=[3, 5]"]
    read = load_spec(write_spec(STUDY), overrides=changes).compare
    assert (read.reference, read.epoch, read.margin, read.looks) == ("plain", "last", 0.02, (3, 5))
    said = load_spec(write_spec(STUDY), overrides=["compare={split: test}"]).compare
    assert (said.reference, said.margin, said.split.value) == ("child", 0.005, "test"), "the section is replaced"
    bare = load_spec(write_spec(MINIMAL), overrides=["compare.epoch=last"]).compare
    assert (bare.reference, bare.epoch) == ("plain", "last")
