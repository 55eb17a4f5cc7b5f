"""The shipped studies of real data sets, each on a small tree of its own layout: their plans, and a run to the end."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from golden_files import require_golden

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from layout_trees import make_cityscapes, make_kaggle, make_offroad

from harness import api
from harness.spec.plan_json import plan_to_json

ABLATIONS = Path(__file__).parents[2] / "ablations"
GOLDEN = Path(__file__).parent / "golden"
SMALL = ("train.epochs=1", "data.size=[32, 48]")
DRAWN = ("model.base_channels=4", "data.train_images=8", "data.val_images=4", "data.test_images=2")
CASES = {
    "cityscapes-unet": (None, make_cityscapes, ("model.base_channels=4",)),
    "offroad-augmentation": (None, make_offroad, ("model={name: unet, base_channels: 4}",)),
    "class-merging": (None, make_cityscapes, ("model={name: unet, base_channels: 4}",)),
    "class-merging-kaggle": ("kaggle", make_kaggle, ("model={name: unet, base_channels: 4}",)),
    "depth": (None, None, DRAWN),
    "depth-kaggle": ("kaggle", make_kaggle, ("model.base_channels=4",)),
    "depth-cityscapes": ("cityscapes", make_cityscapes, ("model.base_channels=4",)),
    "data-scaling": (None, None, DRAWN),
    "data-scaling-offroad": (
        "offroad",
        partial(make_offroad, images={"train": 16, "val": 4}),
        ("model={name: unet, base_channels: 4}",),
    ),
}
RUN = ("cityscapes-unet", "offroad-augmentation", "class-merging-kaggle", "depth-cityscapes", "data-scaling-offroad")
"""Each study once, each layout at least once; the plans of all are compared."""


def load(case: str, tmp_path: Path, *, small: bool):
    profile, make, own = CASES[case]
    overrides = [*own, *SMALL] if small else []
    if make is not None:
        options = {"disparity": True} if make is make_cityscapes else {}
        overrides.append(f"data.root={make(tmp_path / 'data', **options)}")
    study = ABLATIONS / f"{case.removesuffix(f'-{profile}')}.yaml"
    return api.load_spec(study, profile=profile, overrides=overrides, seeds=[0] if small else None)


def as_text(plan) -> str:
    """Return what a plan's runs are, without ids and places."""
    lines = []
    for run in plan_to_json(plan)["runs"]:
        if run["seed"] == 0:
            run["config"]["data"]["settings"].pop("root", None)
            lines += [
                run["variant"],
                *(f"  {key}: {json.dumps(value)}" for key, value in sorted(run["config"].items())),
            ]
    return f"{len(plan.runs)} runs\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_plans_are_as_they_were(case, tmp_path):
    require_golden(GOLDEN / f"{case}.txt", as_text(api.make_plan(load(case, tmp_path, small=False))))


@pytest.mark.parametrize("case", RUN)
@pytest.mark.slow
def test_studies_run_to_the_end(case, tmp_path):
    plan = api.make_plan(load(case, tmp_path, small=True))
    short = [run for run in plan.runs if run.config.train.epochs <= 80]
    store = api.open_store(tmp_path / "mlruns")
    results = api.execute(plan, store=store, only=[run.variant for run in short], jobs=1)
    assert {run.label: results[run.id].status for run in short} == {run.label: "finished" for run in short}
    report = api.make_report(plan, results, tmp_path / "reports")
    assert all(variant.delta for variant in report.variants if variant.name in [run.variant for run in short[1:]])
    text = (tmp_path / "reports" / plan.study / "report.md").read_text()
    assert ("One label set for all" in text) == (case.startswith(("cityscapes-unet", "class-merging")))
