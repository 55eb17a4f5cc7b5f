"""The Python interface, which the command line itself uses: spec -> plan -> results -> report."""

from typing import TYPE_CHECKING, Any

from harness.api.executing import execute, on_ray, on_this_machine
from harness.api.looking import Looked, Means, Until, look_once, look_until_decided, plan_until_decided
from harness.api.studies import (
    choose_run,
    collect_garbage,
    forecast,
    lint_plan,
    load_looks,
    load_results,
    load_written,
    make_plan,
    make_report,
    open_store,
    predict,
    record_look,
    study_name,
    sync,
    take_inventory,
)
from harness.api.tuning import make_tuned_plan, make_tuning_report, tune
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.spec.load import load_spec

__all__ = [
    "DEFAULT_REPORTS",
    "DEFAULT_ROOT",
    "Looked",
    "Means",
    "Until",
    "choose_run",
    "collect_garbage",
    "execute",
    "forecast",
    "lint_plan",
    "load_looks",
    "load_results",
    "load_spec",
    "load_written",
    "look_once",
    "look_until_decided",
    "make_plan",
    "make_report",
    "make_tuned_plan",
    "make_tuning_report",
    "on_ray",
    "on_this_machine",
    "open_store",
    "plan_until_decided",
    "predict",
    "record_look",
    "study_name",
    "sync",
    "take_inventory",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import what reads a spec when it is first asked for: commands about a store or a study's name need none of it."""
    if name != "load_spec":
        raise AttributeError(f"harness.api has no '{name}'")
    from harness.spec.load import load_spec

    return load_spec
