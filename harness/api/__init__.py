"""The Python interface, which the command line itself uses: spec -> plan -> results -> report."""

from typing import TYPE_CHECKING, Any

from harness.api.executing import execute as execute
from harness.api.executing import make_tuned_plan as make_tuned_plan
from harness.api.executing import make_tuning_report as make_tuning_report
from harness.api.executing import on_ray as on_ray
from harness.api.executing import on_this_machine as on_this_machine
from harness.api.executing import tune as tune
from harness.api.looking import ExecutionOptions as ExecutionOptions
from harness.api.looking import StudyOutcome as StudyOutcome
from harness.api.looking import Until as Until
from harness.api.looking import look_once as look_once
from harness.api.looking import look_until_decided as look_until_decided
from harness.api.looking import plan_until_decided as plan_until_decided
from harness.api.studies import choose_run as choose_run
from harness.api.studies import collect_garbage as collect_garbage
from harness.api.studies import forecast as forecast
from harness.api.studies import lint_plan as lint_plan
from harness.api.studies import load_looks as load_looks
from harness.api.studies import load_results as load_results
from harness.api.studies import load_written as load_written
from harness.api.studies import make_plan as make_plan
from harness.api.studies import make_report as make_report
from harness.api.studies import open_store as open_store
from harness.api.studies import predict as predict
from harness.api.studies import record_look as record_look
from harness.api.studies import study_name as study_name
from harness.api.studies import sync as sync
from harness.api.studies import take_inventory as take_inventory
from harness.files import DEFAULT_REPORTS as DEFAULT_REPORTS
from harness.files import DEFAULT_ROOT as DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.spec.load import load_spec as load_spec


def __getattr__(name: str) -> Any:
    """Import what reads a spec when it is first asked for: commands about a store or a study's name need none of it."""
    if name != "load_spec":
        raise AttributeError(f"harness.api has no '{name}'")
    from harness.spec.load import load_spec

    return load_spec
