"""The Python interface, which the command line itself uses: spec -> plan -> results -> report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records import Machine, Plan, Run, RunResult

if TYPE_CHECKING:
    from harness.execute.events import Event
    from harness.execute.probe import Forecast
    from harness.execute.tune import TuneEvent
    from harness.report.record import Report
    from harness.spec.lint import Concern
    from harness.spec.load import Spec
    from harness.spec.tuned import Searched
    from harness.store.protocol import Store

DEFAULT_ROOT = Path("mlruns")
DEFAULT_REPORTS = Path("reports")


def load_spec(
    path: str | Path,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> Spec:
    """Read a study from YAML, strictly.

    `profile` names one of its profiles, `overrides` are `key=value` texts applied to the base, and `seeds` stand in for
    those of the spec.

    Raises:
        InputError: the spec is wrong; the message gives file, line, column, key, what came and what would work.
    """
    import harness.data
    import harness.parts  # noqa: F401 - enter the parts into the catalog
    from harness.spec.load import load_spec as load

    return load(path, profile=profile, overrides=overrides, seeds=seeds)


def make_plan(spec: Spec) -> Plan:
    """Expand a study into its runs (variants x seeds), each with an id; reads the data's digests.

    Raises:
        InputError: data or weights are not where the spec says.
    """
    from harness.execute.inputs import make_reader
    from harness.spec.plan import make_plan as expand

    return expand(spec, make_reader())


def lint_plan(plan: Plan, *, seconds: Mapping[str, float] | None = None) -> tuple[Concern, ...]:
    """Return what the results of a plan will not show, or will show wrongly, most serious first; opens the data.

    `seconds` is how long a run of a variant takes, as far as it is known: remedies then have their price in hours.
    """
    from harness.execute.inputs import count_groups
    from harness.spec.lint import lint

    return lint(plan, groups=count_groups(plan), seconds=seconds)


def forecast(runs: Sequence[Run], *, jobs: int | None = None, device: str = "auto") -> Forecast:
    """Run a few steps of each kind of run, and return how long the runs take, `jobs` at once, and what they occupy.

    Raises:
        InputError: the runs cannot be trained.
    """
    from harness.execute.local import default_jobs
    from harness.execute.probe import probe

    return probe(runs, Machine(device), jobs or default_jobs(runs))


def open_store(root: str | Path = DEFAULT_ROOT, tracking_uri: str | None = None) -> Store:
    """Open the tracking store: MLflow at `tracking_uri`, at MLFLOW_TRACKING_URI, or in a database below `root`."""
    from harness.store.mlflow_store import MlflowStore

    return MlflowStore(Path(root), tracking_uri)


def execute(
    plan: Plan,
    *,
    store: Store | None = None,
    only: Sequence[str] = (),
    jobs: int | None = None,
    device: str = "auto",
    listen: Callable[[Event], None] = lambda event: None,
) -> dict[str, RunResult]:
    """Train and judge what the plan still lacks, and return run id -> result of all its runs that have ended.

    An interrupted call is continued by the next one. `store` is by default the one of `open_store()`; `only` names
    variants, and with them those they start from; `jobs` runs at once, by default as many as fill the machine;
    `listen` is told each event.

    Raises:
        InputError: the data cannot be trained on.
    """
    from harness.execute.events import Ended, Warned
    from harness.execute.inputs import check_data, read_notes
    from harness.execute.local import execute_local
    from harness.execute.study import execute_plan
    from harness.spec.plan import select
    from harness.store.folder import load_result, run_folder

    check_data(plan)
    for note in read_notes(plan):
        listen(Warned(note))
    for concern in lint_plan(plan):
        listen(Warned(f"{concern.text}; {concern.remedy}"))
    store = store or open_store()
    runs = select(plan, only).runs if only else plan.runs
    results: dict[str, RunResult] = {}
    executor = partial(execute_local, machine=Machine(device), jobs=jobs)
    for event in execute_plan(plan, runs, store, executor):
        listen(event)
        if isinstance(event, Ended):
            results[event.run.id] = event.result
    for run in plan.runs:
        earlier = None if run.id in results else load_result(run_folder(store.root, run.id))
        if earlier is not None:
            results[run.id] = earlier
    return results


def tune(
    spec: Spec,
    *,
    store: Store | None = None,
    variants: Sequence[str] = (),
    storage: str | None = None,
    device: str = "auto",
    listen: Callable[[TuneEvent], None] = lambda event: None,
) -> tuple[Searched, ...]:
    """Search for the best settings of variants, by default of all, and return what the searches have found.

    An interrupted call is continued by the next one: finished trials are not run again. `storage` is the URL of the
    searches' database, by default `optuna.db` below the store's root.

    Raises:
        InputError: the spec says nothing of tuning, or the data cannot be trained on.
        HarnessError: the database cannot be used, or the run that all trials start from failed.
    """
    from harness.execute.inputs import check_data, make_reader
    from harness.execute.local import execute_local
    from harness.execute.tune import open_site, searched, tune_variant
    from harness.spec.tuned import choose_variants

    chosen = choose_variants(spec, variants)
    store = store or open_store()
    check_data(make_plan(spec))
    url = storage or f"sqlite:///{store.root}/optuna.db"
    executor, read_inputs = partial(execute_local, machine=Machine(device), jobs=1), make_reader()
    sites = [open_site(spec, variant, store, executor, read_inputs, url=url) for variant in chosen]
    for site in sites:
        for event in tune_variant(site):
            listen(event)
    return tuple(searched(site) for site in sites)


def make_tuned_plan(spec: Spec, searches: Sequence[Searched]) -> Plan:
    """Return the study in which the winners meet the variants as written, on all seeds.

    Raises:
        InputError: no search has a winner.
    """
    from harness.execute.inputs import make_reader
    from harness.spec.tuned import plan_finals

    return plan_finals(spec, searches, make_reader())


def study_name(text: str) -> str:
    """Return the study that a spec file is about; other texts are names already.

    Raises:
        InputError: the file cannot be read, or names no study.
    """
    if not text.endswith((".yaml", ".yml")):
        return text
    from harness.spec.load import read_study_name

    return read_study_name(Path(text))


def load_results(
    *studies: str, store: Store | None = None, compare: tuple[str, str] | None = None
) -> tuple[Plan, dict[str, RunResult]]:
    """Return a study's plan and the results that the store holds of it. Needs neither data nor torch.

    Of several studies, the plan holds the runs of all, with variants named `<study>/<variant>`. `compare` keeps two
    variants, of which the second is the reference.

    Raises:
        InputError: the store has no such study, or it has no such variant.
    """
    from dataclasses import replace

    from harness.errors import InputError, did_you_mean
    from harness.spec.union import narrow, unite

    store = store or open_store()
    plans: list[Plan] = []
    results: dict[str, RunResult] = {}
    for study in studies:
        plan = store.load_plan(study)
        if plan is None:
            raise InputError(f"the store has no study '{study}'; {did_you_mean(study, store.studies())}")
        plans.append(plan)
        found = {run.id: store.load_result(run.id, study) for run in plan.runs}
        results |= {run_id: result for run_id, result in found.items() if result is not None}
    united = unite(plans)
    if compare is not None:
        united = replace(narrow(united, *compare), study=f"{united.study}-compared")
    return united, results


def make_report(plan: Plan, results: Mapping[str, RunResult], folder: str | Path = DEFAULT_REPORTS) -> Report:
    """Write `<folder>/<study>/` (report.md, report.json, figures, tables) and return the record behind it."""
    from harness.report.write import write_report

    return write_report(plan, results, Path(folder) / plan.study)


def make_tuning_report(
    spec: Spec, searches: Sequence[Searched], report: Report, folder: str | Path = DEFAULT_REPORTS
) -> None:
    """Write `tuning.md`, its figures and tables beside the report on the winners."""
    from harness.report.tuning import write_tuning
    from harness.spec.tuned import asked_tuning

    write_tuning(asked_tuning(spec), searches, report, Path(folder) / report.study)
