"""The shipped studies: they and their profiles are right, and fit the schema."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.errors import InputError
from harness.spec.load import load_spec
from harness.spec.plan import expand

ABLATIONS = Path(__file__).parents[2] / "ablations"
STUDIES = sorted(ABLATIONS.glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_load_and_fit_their_schema(path):
    content = yaml.safe_load(path.read_text())
    jsonschema.validate(content, json.loads((ABLATIONS / "study.schema.json").read_text()))
    for profile in (None, *content.get("profiles", {})):
        plan = expand(load_spec(path, profile=profile), lambda config: {"data": "digest"})
        assert {run.family for run in plan.runs} == content["variants"].keys()
        assert len(plan.runs) == len(plan.variants) * len({run.seed for run in plan.runs})


def test_phase3_differs_from_gentle_backbone_in_its_four_components_alone():
    plan = expand(load_spec(ABLATIONS / "phase3.yaml"), lambda config: {"data": "digest"})
    phase3 = next(run for run in plan.runs if run.variant == "phase3")
    assert phase3.settings_from == "gentle-backbone"
    assert set(phase3.changed) == {"loss.cross_entropy.class_weights", "loss.dice", "augment.crop", "augment.flip"}


def test_phase3_attribution_tries_every_combination_and_trains_again_nothing_of_phase3():
    whole, attribution = (
        expand(load_spec(ABLATIONS / f"{name}.yaml"), lambda config: {"data": "digest"})
        for name in ("phase3", "phase3-attribution")
    )
    assert len(attribution.combinations("phase3")) == 2**4
    seeds = {run.seed for run in attribution.runs}
    assert {run.id for run in whole.runs if run.seed in seeds} < {run.id for run in attribution.runs}


def test_data_that_is_not_there_is_named():
    from harness.execute.inputs import make_reader

    with pytest.raises(InputError, match="data/camvid"):
        expand(load_spec(ABLATIONS / "camvid.yaml"), make_reader())
