"""Planning has limits, and says them before it makes any list; what is extreme and valid is answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from extreme_plans import BASE
from PIL import Image

from harness import api
from harness.errors import InputError

MOST_S = 20.0
"""Seconds of the processor for one study: sixty, on a machine that is three times as slow."""


@pytest.fixture
def folder(tmp_path):
    """Return a data set of a dozen small pictures."""
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for index in range(12):
        label_HW = np.tile(np.uint8([0, 1]), (8, 4))
        Image.fromarray(label_HW).save(tmp_path / f"set/masks/{'a' * 40}{index}.png")
        Image.fromarray(np.stack(3 * [120 * label_HW], -1)).save(tmp_path / f"set/images/{'a' * 40}{index}.png")
    return tmp_path / "set"


@pytest.mark.slow
def test_every_numeric_setting_may_have_its_extreme_values(folder, tmp_path):
    program = Path(__file__).with_name("extreme_plans.py")
    done = subprocess.run(
        [sys.executable, program, folder],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) > 150
    assert sum(said == "planned" for _, _, said in told) > 120  # else the values are refused, not planned with
    assert [item for item in told if item[1] > MOST_S] == []


def plan_quickly(study, tmp_path, **options):
    """Return what refuses a study, which may take two seconds, and twice that where other programs run too."""
    path = tmp_path / "study.yaml"
    path.write_text(study if isinstance(study, str) else json.dumps(study))
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        api.make_plan(api.load_spec(path, **options))
    assert time.process_time() - began < 4
    return str(caught.value)


def change(**changes):
    return {**BASE, **changes}


COMPONENTS = {f"c{index}": {"train.batch_size": 2 + index} for index in range(40)}
TOO_MUCH = {
    "a factorial of forty": (
        change(variants={"all": {"components": COMPONENTS, "design": "factorial"}}),
        ["1,099,511,627,776 combinations of 40 components", "leave_one_out (41 combinations)"],
    ),
    "one design of several": (
        change(variants={"all": {"components": COMPONENTS, "design": ["together", "factorial"]}}),
        ["1,099,511,627,776 combinations"],
    ),
    "a thousand components": (
        change(variants={"all": {"components": {f"c{i}": {"train.batch_size": 2 + i} for i in range(1000)}}}),
        ["1000 components", "64 at most"],
    ),
    "200,000 seeds": (change(seeds=list(range(200_000))), ["goes on after 10,000 items"]),
    "runs": (
        change(variants={f"v{i}": {"set": {"train.epochs": 2 + i}} for i in range(60)}, seeds=list(range(1000))),
        ["60 variants with 1,000 seeds are 60,000 runs", "50,000 at most"],
    ),
    "looks": (change(compare={"looks": [3, 10**9]}), ["2 to 1000"]),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_refused_with_what_would_work(name, tmp_path):
    study, fragments = TOO_MUCH[name]
    message = plan_quickly(study, tmp_path)
    for fragment in fragments:
        assert fragment in message


@pytest.mark.parametrize(
    ("key", "value", "most"),
    [
        ("data.train_images", 2_000_000_000, 10_000),
        ("data.size", [1_000_000, 1_000_000], 2048),
        ("augment.crop", {"size": [1_000_000, 1_000_000]}, 32768),
        ("train.epochs", 10**12, 1_000_000),
        ("train.batch_size", 10**9, 1_000_000),
        ("evaluate.batch_size", 10**9, 1_000_000),
        ("model.base_channels", 10**9, 1_000_000),
    ],
)
def test_numbers_beyond_all_machines_are_refused(key, value, most, tmp_path):
    message = plan_quickly(change(variants={"plain": {}, "big": {"set": {key: value}}}), tmp_path)
    assert f"less than or equal to {most}" in message
    assert key in message


def test_seeds_of_the_command_line_have_the_same_limit(tmp_path):
    assert "10,000 at most" in plan_quickly(BASE, tmp_path, seeds=range(200_000))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(?:a+){2,}b"])
def test_an_expression_that_backtracks_for_ever_is_refused(pattern, folder, tmp_path):
    data = {"name": "folder", "root": str(folder), "classes": ["ground", "sky"], "groups": pattern}
    message = plan_quickly(change(base={**BASE["base"], "data": data}), tmp_path)
    assert f"'{pattern}' has not been found in all 12 image names after 3 seconds" in message


def test_conditions_of_a_search_are_not_multiplied_without_end(tmp_path):
    space = {f"augment.{name}": {"choice": [{"p": k / 40} for k in range(40)]} for name in ("flip", "blur")}
    space["augment.rotate"] = {"choice": [{"degrees": 1 + k} for k in range(40)]}
    space["optimizer.lr"] = {
        "log_uniform": [1e-4, 1e-2],
        "when": {"augment.flip.p": 0.5, "augment.blur.p": 0.5, "augment.rotate.degrees": 2},
    }
    assert "64,000 combinations of choices" in plan_quickly(change(tune={"space": space}), tmp_path)


def test_a_plan_of_many_variants_and_seeds_is_walked_once(tmp_path):
    """Seeds of each variant were once looked for among all runs: six seconds of the processor for so many."""
    from types import SimpleNamespace

    from harness.spec.lint_power import past_last_look

    runs = [SimpleNamespace(variant=f"v{index // 10}", seed=index % 10) for index in range(50_000)]
    names = list(dict.fromkeys(run.variant for run in runs))
    plan = SimpleNamespace(runs=runs, variants=names, looks=(), reference="v0")
    began = time.process_time()
    assert list(past_last_look(plan, ())) == []
    assert time.process_time() - began < 3
