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
    from harness.execute.study import Executor
    from harness.report.record import Report
    from harness.spec.lint import Concern
    from harness.spec.load import Spec
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


def execute(  # noqa: PLR0913 - as many as the command has
    plan: Plan,
    *,
    store: Store | None = None,
    only: Sequence[str] = (),
    jobs: int | None = None,
    device: str = "auto",
    executor: Executor | None = None,
    listen: Callable[[Event], None] = lambda event: None,
) -> dict[str, RunResult]:
    """Train and judge what the plan still lacks, and return run id -> result of all its runs that have ended.

    An interrupted call is continued by the next one. `store` is by default the one of `open_store()`; `only` names
    variants, and with them those they start from; `jobs` runs at once, by default as many as fill the machine;
    `executor`, such as `on_ray()`, has the runs made elsewhere; `listen` is told each event.

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
    executor = executor or partial(execute_local, machine=Machine(device), jobs=jobs)
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
    address: str | None = None,
    cpus_per_run: float | None = None,
    gpus_per_run: float | None = None,
    device: str = "auto",
) -> Executor:
    """Return what has `execute` run on a Ray cluster.

    `address` is `HOST:PORT`, `auto`, or `local` for a cluster made on this machine; None for $RAY_ADDRESS or `auto`. A
    run gets `cpus_per_run`, by default as many as it has threads, and `gpus_per_run`, by default 1 where there are any.

    Raises:
        InputError: Ray is not installed.
    """
    from importlib.util import find_spec

    from harness.errors import InputError

    if find_spec("ray") is None:
        raise InputError("--on ray: Ray is not installed; pip install ablation-harness[ray]")
    from harness.execute.ray_cluster import Cluster, execute_ray

    return partial(execute_ray, cluster=Cluster(address, cpus_per_run, gpus_per_run, device))


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
