"""Before a study runs, what it will not show is told once; what the splits hold is counted from the opened data."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from PIL import Image
from tiny_study import TINY

from harness import api
from harness.errors import InputError
from harness.execute.events import Event, Warned
from harness.execute.inputs import count_groups


class Enough(Exception):
    pass


def plan_of(tmp_path, **options):
    path = tmp_path / "tiny.yaml"
    path.write_text(textwrap.dedent(TINY))
    return api.make_plan(api.load_spec(path, **options))


def test_concerns_are_told_before_anything_runs(tmp_path):
    plan, told = plan_of(tmp_path), []
    concerns = api.lint_plan(plan)

    def listen(event: Event) -> None:
        told.append(event)
        if len(told) == len(concerns):
            raise Enough

    with pytest.raises(Enough):
        api.execute(plan, listen=listen)
    assert told == [Warned(f"{concern.text}; {concern.remedy}") for concern in concerns]
    assert [concern.code for concern in concerns] == ["continued", "few_seeds", "few_groups"]


def test_groups_are_those_of_the_data_with_the_fewest_or_of_all_folds_that_are_judged(tmp_path):
    assert {name: len(sizes) for name, sizes in count_groups(plan_of(tmp_path)).items()} == {"val": 6, "test": 3}
    folds = plan_of(tmp_path, overrides=["data.folds=4", "data.val_images=7"], seeds=[0, 1, 2, 3])
    assert {name: len(sizes) for name, sizes in count_groups(folds).items()} == {"val": 12 + 7, "test": 3}
    some = plan_of(tmp_path, overrides=["data.folds=4", "data.val_images=8"], seeds=[0, 5, 4])
    assert len(count_groups(some)["val"]) == 2 * (12 + 8) // 4


def test_groups_that_only_choose_the_epoch_are_not_counted(tmp_path):
    held_out = plan_of(tmp_path, overrides=["data.val_images=24", "evaluate.select_split=held_out"])
    assert {name: len(sizes) for name, sizes in count_groups(held_out).items()} == {"val": 16, "test": 3}
    (few,) = (concern for concern in api.lint_plan(held_out) if concern.code == "few_groups")
    assert "16 independent groups" in few.text


def test_a_primary_split_that_the_data_do_not_have_is_an_error_at_its_key(tmp_path):
    for number in range(8):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.full((8, 8), number % 2, np.uint8)).save(tmp_path / folder / f"{number}.png")
    data = f"  data: {{name: folder, root: {tmp_path}, classes: [a, b], val_fraction: 0.5, size: [8, 8]}}"
    text = textwrap.dedent(TINY).replace(next(line for line in TINY.splitlines() if "data:" in line), data)
    path = tmp_path / "tiny.yaml"
    for split in ("val", "test"):
        path.write_text(f"{text}compare: {{split: {split}}}\n")
        if split == "val":
            assert api.make_plan(api.load_spec(path)).split == "val"
            continue
        line = len(path.read_text().splitlines())
        with pytest.raises(InputError) as caught:
            api.make_plan(api.load_spec(path))
        assert str(caught.value) == (
            f'{path}:{line}:18: compare.split: "test" was given, and the data have no such split; labelled images to '
            "judge on are in val"
        )
