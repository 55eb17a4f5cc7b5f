"""Wrong options, files and plugins: one message each, which names the option or the file."""

from __future__ import annotations

import pytest
from plans import plan_of
from toys import MINIMAL
from wrong_specs import top

from harness.errors import InputError
from harness.spec.compare import compare_anew
from harness.spec.load import load_spec, read_study_name


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("model.nam=x", ["model.nam", "no such setting", "known: "]),
        ("model.widht=4", ["did you mean 'width'"]),
        ("modle.width=4", ["did you mean 'model'"]),
        ("model.width=wide", ['"wide" was given', "integer"]),
        ("optimizer.lr=1e-3", ["write 1.0e-3"]),
        ("optimizer.lr=", ["nothing in it"]),
        ("optimizer.lr=[", ["not valid YAML"]),
        ("optimizer.lr=&a 1", ["anchors"]),
        ("optimizer.lr", ["key=value"]),
        ("=4", ["key=value"]),
        ("model.name=toy_tower", ["model: {name: toy_tower}"]),
        ("loss.toy_overlap.smooth=2.0", ["loss.toy_overlap: {smooth: 2.0}"]),
        ("compare.epoch=lst", ['"lst" was given', "best or last"]),
        ("compare.epohc=last", ["no such key", "did you mean 'epoch'"]),
        ("compare.epoch.which=last", ["no such key"]),
        ("compare.reference=plan", ["no variant 'plan'", "did you mean 'plain'"]),
        ("compare=last", ["must be a mapping"]),
    ],
)
def test_error_of_an_override_names_the_override(override, fragments, write_spec):
    with pytest.raises(InputError) as caught:
        load_spec(write_spec(MINIMAL), overrides=[override])
    message = str(caught.value)
    assert message.startswith(f"--set {override}: "), message
    for fragment in fragments:
        assert fragment in message, message


@pytest.mark.parametrize("override", ["compare.epoch=lst", "compare.split=train", "compare.reference=plan"])
def test_a_stored_plan_refuses_the_same_overrides(override, write_spec):
    with pytest.raises(InputError) as caught:
        compare_anew(plan_of(write_spec(MINIMAL)), [override])
    assert str(caught.value).startswith(f"--set {override}: ")


def test_a_report_changes_no_setting_of_runs(write_spec):
    with pytest.raises(InputError, match=r"^--set model.width=4: model.width: .* only keys of compare do"):
        compare_anew(plan_of(write_spec(MINIMAL)), ["model.width=4"])


def test_unknown_profile(write_spec):
    path = write_spec(top("profiles: {full: {}}"))
    with pytest.raises(InputError, match=r"--profile ful: .*did you mean 'full'"):
        load_spec(path, profile="ful")


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [True]])
def test_wrong_seeds_option(seeds, write_spec):
    with pytest.raises(InputError, match=r"^--seeds .*seeds must be"):
        load_spec(write_spec(MINIMAL), seeds=seeds)


def test_error_in_a_profile_points_into_the_profile(write_spec):
    path = write_spec(top("profiles:\n  full:\n    set: {model.width: 0}"))
    load_spec(path)
    with pytest.raises(InputError) as caught:
        load_spec(path, profile="full")
    assert f"{path}:13:24: profiles.full.set.model.width: 0 was given" in str(caught.value)


@pytest.mark.parametrize("read", [load_spec, read_study_name])
def test_files_that_are_none(read, tmp_path):
    (tmp_path / "study.yaml").write_text(MINIMAL)
    with pytest.raises(InputError, match=r"studdy\.yaml: there is no such file; .*did you mean 'study.yaml'"):
        read(tmp_path / "studdy.yaml")
    with pytest.raises(InputError, match=r"this is a folder.*study\.yaml"):
        read(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("study: toy\nquestion: é ".encode() + b"\xe9\n")
    with pytest.raises(InputError, match=r"latin\.yaml:2:13: byte 0xe9 is not UTF-8"):
        read(tmp_path / "latin.yaml")


def test_a_plugin_that_fails_is_named_with_its_cause(tmp_path, monkeypatch, write_spec):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy_broken.py").write_text("raise SystemExit('gone')\n")
    with pytest.raises(InputError, match=r"study\.yaml:11:11: plugins\.0: .*'toy_broken'.*SystemExit: gone"):
        load_spec(write_spec(top("plugins: [toy_broken]")))
