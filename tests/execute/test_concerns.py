"""Before a study runs, what it will not show is told once; what the splits hold is counted from the opened data."""

from __future__ import annotations

import textwrap

import pytest
from tiny_study import TINY

from harness import api
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


def test_groups_are_those_of_the_data_with_the_fewest(tmp_path):
    assert {name: len(sizes) for name, sizes in count_groups(plan_of(tmp_path)).items()} == {"val": 6, "test": 3}
    folds = plan_of(tmp_path, overrides=["data.folds=4", "data.val_images=7"], seeds=[0, 1, 2, 3])
    assert len(count_groups(folds)["val"]) == (12 + 7) // 4
