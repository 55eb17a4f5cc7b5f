"""Searches for the best settings of variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.executing import on_this_machine
from harness.api.studies import lint_plan, make_plan, open_store
from harness.files import DEFAULT_REPORTS
from harness.records import Plan

if TYPE_CHECKING:
    from harness.report.study.record import Report
    from harness.spec.load import Spec
    from harness.tracking.protocol import Store
    from harness.tune.loop import TuneEvent
    from harness.tune.winners import SearchOutcome


def tune(  # noqa: PLR0913 - as many as the command has
    spec: Spec,
    *,
    store: Store | None = None,
    variants: Sequence[str] = (),
    storage: str | None = None,
    device: str = "auto",
    run_timeout_s: float | None = None,
    listen: Callable[[TuneEvent], None] = lambda event: None,
) -> tuple[SearchOutcome, ...]:
    """Search for the best settings of variants, by default of all, and return what the searches have found.

    An interrupted call is continued by the next one: finished trials are not run again. `storage` is the URL of the
    searches' database, by default `optuna.db` below the store's root. A trial that takes longer than `run_timeout_s` is
    ended, and has failed.

    Raises:
        InputError: the spec says nothing of tuning, or the data cannot be trained on.
        HarnessError: the database cannot be used, or the run that all trials start from failed.
    """
    from harness.execute.inputs import check_data, make_reader
    from harness.tracking.server import database_uri
    from harness.tune.loop import open_search, searched, tune_variant
    from harness.tune.winners import choose_variants

    chosen = choose_variants(spec, variants)
    store = store or open_store()
    check_data(make_plan(spec))
    url = storage or database_uri(store.root / "optuna.db")
    executor = on_this_machine(jobs=1, device=device, run_timeout_s=run_timeout_s)
    read_inputs = make_reader()
    sites = [open_search(spec, variant, store, executor, read_inputs, url=url) for variant in chosen]
    for site in sites:
        for event in tune_variant(site):
            listen(event)
    return tuple(searched(site) for site in sites)


def make_tuned_plan(spec: Spec, searches: Sequence[SearchOutcome]) -> Plan:
    """Return the study in which the winners meet the variants as written, on all seeds.

    Raises:
        InputError: no search has a winner.
    """
    from harness.execute.inputs import make_reader
    from harness.tune.winners import plan_finals

    plan = plan_finals(spec, searches, make_reader())
    return replace(plan, concerns=lint_plan(plan))


def make_tuning_report(
    spec: Spec, searches: Sequence[SearchOutcome], report: Report, folder: str | Path = DEFAULT_REPORTS
) -> None:
    """Write `tuning.md`, its figures and tables beside the report on the winners."""
    from harness.tune.report import write_tuning
    from harness.tune.winners import asked_tuning

    write_tuning(asked_tuning(spec), searches, report, Path(folder) / report.study)
