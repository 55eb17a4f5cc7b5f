"""The JSON Schema agrees with the loader: what loads validates, and what the schema can know to be wrong does not."""

from __future__ import annotations

import jsonschema
import pytest
import yaml
from plans import FAMILIES, STUDY
from toys import MINIMAL
from wrong_specs import HERE, WRONG

from harness.spec.schema import json_schema


@pytest.fixture(scope="module")
def validator(toy_parts):
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


RICH = """\
study: rich
question: All of it?
plugins: [my_lab.losses]
base:
  data: {name: toy_photos, root: /data, size: native, normalize: imagenet}
  model: {name: toy_tower, backbone_weights: default, freeze: all_but_classifier}
  loss: {toy_entropy: {class_weights: [1.0, 2.0]}, toy_overlap: {}}
  augment: {toy_cut: {size: [4, 4]}}
  train: {epochs: 0, early_stop: {patience: 2}, clip_norm: null}
  evaluate: {size: input}
variants:
  a:
    set:
      model: {name: toy_net, width: 3}
      loss.toy_overlap: null
      augment.toy_mirror: {}
      augment.toy_cut.size: [2, 2]
      optimizer.multipliers.head: 0.5
      train.early_stop: null
      train.early_stop.score: miou_image
      data.raw_ids.100: 3
"""


@pytest.mark.parametrize("text", [MINIMAL, STUDY, RICH, FAMILIES])
def test_right_specs_validate(text, validator):
    spec = yaml.safe_load(text)
    validator.validate(spec if text is not RICH else _with_known_optimizer(spec))


def _with_known_optimizer(spec):
    spec["base"]["optimizer"] = {"name": "toy_descent", "lr": 0.1}
    return spec


ONLY_THE_LOADER_SEES = {
    "looks not ascending",
    *("duplicate key", "duplicate setting", "anchor", "merge key", "nul", "surrogate", "question is blank"),
    *("no", "octal", "hexadecimal", "underscore", "too many digits", "too large", "y", "infinite"),
    *("reference", "looks not ascending", "plugin absent", "profile component", "idle multiplier"),
    *("one sampling of images of many sizes", "replayed steps that add up", "replayed steps that may be cut"),
    *("parent", "circle", "own parent", "circle of like", "like nobody", "two lines as value"),
    *("idle component", "components that overlap", "two meanings"),
    *("other shapes", "other model", "other normalisation"),
    *("need of an unknown component", "unknown component needs", "unknown component excluded"),
    *("circle of needs", "component needs itself", "component excludes itself", "needs what it excludes"),
    *("excluded together", "excluded in several designs", "fraction with rules", "component that never runs"),
    *("combination with another's name", "combinations of one name", "from a combination that is not there"),
    *("circle through a combination", "reference that is not there"),
    *("set into an absent term", "removal of an absent term", "removal of the last term"),
    *("set below a number", "set undone"),
}


def _as_an_editor_reads(marked):
    try:
        return yaml.safe_load(marked.replace(HERE, ""))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return None


assert WRONG.keys() >= ONLY_THE_LOADER_SEES
READABLE = {name: spec for name in WRONG if (spec := _as_an_editor_reads(WRONG[name][0])) is not None}


@pytest.mark.parametrize("name", sorted(READABLE.keys() - ONLY_THE_LOADER_SEES))
def test_wrong_specs_do_not_validate(name, validator):
    assert list(validator.iter_errors(READABLE[name]))


def test_every_dotted_key_is_offered_with_its_meaning():
    offered = json_schema()["$defs"]["set"]["properties"]
    assert {
        "model",
        "model.width",
        "data.size",
        "loss",
        "loss.toy_overlap",
        "loss.toy_overlap.smooth",
        "optimizer.multipliers.backbone",
        "train.early_stop.patience",
        "evaluate.select_on",
    } <= offered.keys()
    assert not {"model.name", "loss.toy_overlap.name", "seeds"} & offered.keys()
    assert offered["train.epochs"]["description"].startswith("Passes over the training split")


def test_a_part_is_described_by_its_docstring():
    net = json_schema()["$defs"]["model.toy_net"]
    assert net["description"] == "Return a small net; its width decides the shapes."
    assert net["properties"]["name"]["const"] == "toy_net"
    assert net["required"] == ["name"]
