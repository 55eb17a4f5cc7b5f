"""The Python interface, which the command line itself uses: spec -> plan -> results -> report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.records import Machine, Plan, Run, RunResult

if TYPE_CHECKING:
    from harness.apply.choose import Chosen
    from harness.apply.predict import Wanted
    from harness.execute.budget import Budget
    from harness.execute.events import Event
    from harness.execute.probe import Forecast
    from harness.execute.study import Executor
    from harness.execute.tune import TuneEvent
    from harness.report.record import Report
    from harness.spec.lint import Concern
    from harness.spec.load import Spec
    from harness.spec.tuned import Searched
    from harness.store.protocol import Store
    from harness.store.sync import Delivery

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

    return probe(runs, Machine(device), jobs or default_jobs(runs, device))


def open_store(root: str | Path = DEFAULT_ROOT, tracking_uri: str | None = None) -> Store:
    """Open the tracking store: MLflow at `tracking_uri`, at MLFLOW_TRACKING_URI, or in a database below `root`."""
    from harness.store.mlflow_store import MlflowStore

    return MlflowStore(Path(root), tracking_uri)


def execute(  # noqa: PLR0913 - as many as the command has
    plan: Plan,
    *,
    store: Store | None = None,
    only: Sequence[str] = (),
    jobs: int | None = None,
    device: str = "auto",
    executor: Executor | None = None,
    budget: Budget | None = None,
    listen: Callable[[Event], None] = lambda event: None,
) -> dict[str, RunResult]:
    """Train and judge what the plan still lacks, and return run id -> result of all its runs that have ended.

    An interrupted call is continued by the next one. `store` is by default the one of `open_store()`; `only` names
    variants, and with them those they start from; `jobs` runs at once, by default as many as fill the machine;
    `executor`, such as `on_ray()`, has the runs made otherwise; `budget` ends the call before all is done;
    `listen` is told each event.

    Raises:
        InputError: the data cannot be trained on.
    """
    from harness.execute.budget import Budget, within
    from harness.execute.events import Ended, Warned
    from harness.execute.inputs import check_data, read_notes
    from harness.execute.study import execute_plan
    from harness.spec.plan import select
    from harness.store.folder import load_result, run_folder
    from harness.store.stale import describe_stale, find_stale, remember_runs

    check_data(plan)
    for note in read_notes(plan):
        listen(Warned(note))
    for concern in lint_plan(plan):
        listen(Warned(f"{concern.text}; {concern.remedy}"))
    store = store or open_store()
    chosen = select(plan, only) if only else plan
    for text in describe_stale(find_stale(store.root, chosen)):
        listen(Warned(text))
    remember_runs(store.root, chosen)
    runs = chosen.runs
    results: dict[str, RunResult] = {}
    executor = within(executor or on_this_machine(jobs=jobs, device=device), plan, budget or Budget())
    for event in execute_plan(plan, runs, store, executor):
        listen(event)
        if isinstance(event, Ended):
            results[event.run.id] = event.result
    for run in plan.runs:
        earlier = None if run.id in results else load_result(run_folder(store.root, run.id))
        if earlier is not None:
            results[run.id] = earlier
    return results


def on_ray(
    address: str | None = None, cpus_per_run: float | None = None, gpus_per_run: float = 0.0, device: str = "auto"
) -> Executor:
    """Return what has `execute` run on a Ray cluster.

    `address` is `HOST:PORT`, `auto`, or `local` for a cluster made on this machine; None for $RAY_ADDRESS or `auto`. A
    run gets `cpus_per_run`, by default as many as it has threads, and `gpus_per_run`.

    Raises:
        InputError: Ray is not installed.
    """
    from importlib.util import find_spec

    from harness.errors import InputError

    if find_spec("ray") is None:
        raise InputError("--on ray: Ray is not installed; pip install ablation-harness[ray]")
    from harness.execute.ray_cluster import Cluster, execute_ray

    return partial(execute_ray, cluster=Cluster(address, cpus_per_run, gpus_per_run, device))


def on_this_machine(*, jobs: int | None = None, device: str = "auto", gpus_per_run: float | None = None) -> Executor:
    """Return what has `execute` make runs here, `jobs` at once, by default as many as fill the machine.

    Each run has a GPU of its own where there are any, or, with `gpus_per_run` below 1, shares one.

    Raises:
        InputError: a GPU, or a share of one, that is not there.
    """
    from harness.execute.local import execute_local
    from harness.execute.machine import read_offer
    from harness.execute.places import make_places

    make_places(read_offer(device, threads=1), device, gpus_per_run=gpus_per_run)
    return partial(execute_local, machine=Machine(device), jobs=jobs, gpus_per_run=gpus_per_run)


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
    from harness.execute.tune import open_site, searched, tune_variant
    from harness.spec.tuned import choose_variants

    chosen = choose_variants(spec, variants)
    store = store or open_store()
    check_data(make_plan(spec))
    url = storage or f"sqlite:///{store.root}/optuna.db"
    executor, read_inputs = on_this_machine(jobs=1, device=device), make_reader()
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
    *studies: str,
    store: Store | None = None,
    compare: tuple[str, str] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> tuple[Plan, dict[str, RunResult]]:
    """Return a study's plan and what became of its runs: from the folders here, and for the rest from the store.

    Of several studies, the plan holds the runs of all, with variants named `<study>/<variant>`. `compare` keeps two
    variants, of which the second is the reference. `warn` is told when the store fails, and the folders must do. Needs
    neither data nor torch.

    Raises:
        InputError: the store has no such study, or it has no such variant.
        StoreError: the store fails, and the study was never run here.
    """
    from dataclasses import replace

    from harness.spec.union import narrow, unite
    from harness.store.recall import recall_study

    store = store or open_store()
    plans: list[Plan] = []
    results: dict[str, RunResult] = {}
    for study in studies:
        plan, found = recall_study(store, study, warn)
        plans.append(plan)
        results |= found
    united = unite(plans)
    if compare is not None:
        united = replace(narrow(united, *compare), study=f"{united.study}-compared")
    return united, results


def sync(*studies: str, store: Store | None = None, reports: str | Path = DEFAULT_REPORTS) -> tuple[Delivery, ...]:
    """Bring studies (all that were run here, unless some are named) from their folders to the store.

    Runs, their epochs and files, and reports that lie in `reports`; what the store has is left as it is.

    Raises:
        InputError: there is no such study here.
        StoreError: the store fails; the next call goes on where this one ended.
    """
    from harness.store.mlflow_store import local_store
    from harness.store.sync import find_studies, sync_study

    store = store or open_store()
    source = local_store(store.root)
    found = []
    for plan in find_studies(store.root, source, studies):
        found.append(sync_study(plan, store, source))
        if (Path(reports) / plan.study / "report.json").exists():
            store.attach_report(plan.study, Path(reports) / plan.study)
    return tuple(found)


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


def choose_run(run: str, *, store: Store | None = None) -> Chosen:
    """Return a finished run by `STUDY/VARIANT@best`, `STUDY/VARIANT/seed1@last`, a run id or a `models:/` URI.

    Its files are brought here from the store where need be. `store` is by default the one of `open_store()`.

    Raises:
        InputError: there is no such run, or it is not finished; the message says what there is.
    """
    from harness.apply.choose import choose

    return choose(run, store or open_store())


def predict(
    run: str, images: Sequence[str], out: str | Path, *, wanted: Wanted | None = None, store: Store | None = None
) -> dict[str, Any]:
    """Predict pictures (files, folders, patterns) with a run, write files below `out`, and return the record of them.

    The record is that of `<out>/predictions.json`; pictures that could not be used are in its `failed`.

    Raises:
        InputError: there is no such run or picture, or what is wanted cannot be done.
    """
    import json

    from harness.apply import predict as job_of

    chosen = choose_run(run, store=store)
    job = job_of.prepare_job(chosen, images, Path(out), wanted or job_of.Wanted())
    for _ in job_of.run_job(job, job_of.make_predictor(job)):
        pass
    record: dict[str, Any] = json.loads((job.out / job_of.RECORD).read_text())
    return record
