"""What a study cannot show, as its plan alone tells: the same words as `harness plan`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import harness.data
import harness.parts  # noqa: F401 - enter the parts into the catalog
from harness.errors import InputError
from harness.records import Counts, Plan
from harness.report.study.claims import Concern
from harness.spec.lint import lint
from harness.spec.plugins import import_plugin


def make_concerns(plan: Plan, counts: Mapping[str, Counts]) -> tuple[Concern, ...]:
    """Return the plan's concerns; nothing where a plugin that defines its parts cannot be imported here.

    `counts` are those of one result of each split.
    """
    groups = {split: tuple(Counter(found.groups).values()) for split, found in counts.items()}
    try:
        for module in dict.fromkeys(name for run in plan.runs for name in run.config.plugins):
            import_plugin(module)
        found = lint(plan, groups=groups if "val" in groups else None)
    except InputError:
        return ()
    return tuple(Concern(**asdict(concern)) for concern in found)
