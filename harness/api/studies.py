"""Studies: spec -> plan, and results -> report; what a store holds of them, and what a finished run is good for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, describe_missing
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT
from harness.records import Concern, Machine, Plan, Run, RunResult

if TYPE_CHECKING:
    from harness.apply.choose import ChosenRun
    from harness.apply.predict.run import PredictOptions
    from harness.execute.probe import Forecast
    from harness.report.study.record import Report
    from harness.spec.load import Spec
    from harness.stats.looks import Taken
    from harness.tracking.garbage import Garbage, Inventory
    from harness.tracking.protocol import Store
    from harness.tracking.sync import SyncResult


def make_plan(spec: Spec) -> Plan:
    """Expand a study into its runs (variants x seeds), each with an id; reads the data's digests.

    With them is noted, once, what their results will not show: reports tell it without opening the data again.

    Raises:
        InputError: data or weights are not where the spec says, or lack the split that verdicts are to be given on; or
            settings and files tell that a run would stop in the middle.
    """
    from harness.execute.feasibility import check_feasible
    from harness.execute.inputs import check_split, make_reader
    from harness.spec.plan import expand

    plan = expand(spec, make_reader())
    if spec.compare.split is not None:
        check_split(plan, spec.compare.split)
    check_feasible(plan)
    return replace(plan, concerns=lint_plan(plan))


def lint_plan(plan: Plan, *, seconds: Mapping[str, float] | None = None) -> tuple[Concern, ...]:
    """Return what the results of a plan will not show, or will show wrongly, most serious first; opens the data.

    `seconds` is how long a run of a variant takes, as far as it is known: remedies then have their price in hours.
    """
    from harness.execute.inputs import count_groups
    from harness.spec.lint import lint

    return lint(plan, groups=count_groups(plan), seconds=seconds)


def forecast(
    runs: Sequence[Run], *, jobs: int | None = None, device: str = "auto", lasts_wanted: Collection[str] = ()
) -> Forecast:
    """Run a few steps of each kind of run, and return how long the runs take, `jobs` at once, and what they occupy.

    `lasts_wanted` holds the ids of the runs that keep the weights of their last epoch.

    Raises:
        InputError: the runs cannot be trained.
    """
    from harness.execute.local import default_jobs
    from harness.execute.model_check import check_models
    from harness.execute.probe import probe

    check_models(runs, Machine(device))
    return probe(runs, Machine(device), min(jobs or default_jobs(runs, device), len(runs)), lasts_wanted)


def open_store(
    root: str | Path = DEFAULT_ROOT,
    tracking_uri: str | None = None,
    *,
    upload_weights: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> Store:
    """Open the tracking store: MLflow at `tracking_uri`, at MLFLOW_TRACKING_URI, or in a database below `root`.

    A store whose files are not on this machine keeps the runs' weights, another one only with `upload_weights`.
    `warn` is told where the store was copied or moved, and its database is changed to say where its files are now.

    Raises:
        InputError: the URI, or the folder's path, is one that MLflow cannot open.
    """
    from harness.tracking.mlflow_store import MlflowStore

    return MlflowStore(Path(root), tracking_uri, warn, upload_weights=upload_weights)


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
    overrides: Sequence[str] = (),
    warn: Callable[[str], None] = lambda text: None,
) -> tuple[Plan, dict[str, RunResult]]:
    """Return a study's plan and what became of its runs: from the folders here, and for the rest from the store.

    Of several studies, the plan holds the runs of all, with variants named `<study>/<variant>`. `compare` keeps two
    variants, of which the second is the reference. `overrides` (`compare.key=value`) say what is compared, in place of
    what the study says. `warn` is told when the store fails, and the folders must do. Needs neither data nor torch.

    Raises:
        InputError: the store has no such study, it has no such variant, or an override is wrong.
        StoreError: the store fails, and the study was never run here.
    """
    from harness.judged import primary_split
    from harness.spec.compare import compare_anew
    from harness.spec.plan import narrow, unite
    from harness.tracking.load import find_study

    store = store or open_store()
    found = [find_study(store, study, warn) for study in studies]
    results = {id_: result for _, of_study in found for id_, result in of_study.items()}
    united = compare_anew(unite([plan for plan, _ in found]), overrides)
    if compare is not None:
        # the whole study says which split is judged: the two variants alone may lack the runs that they start from
        split = primary_split(united, {name for result in results.values() for name in result.counts})
        united = replace(narrow(united, *compare), study=f"{united.study}-compared", split=split)
    return united, results


def load_written(
    spec: Spec, *, store: Store | None = None, warn: Callable[[str], None] = lambda text: None
) -> tuple[Plan, dict[str, RunResult]]:
    """Return the plan of a study as its spec is written now, and the results of exactly these runs; reads the data.

    A run whose variant and seed were trained with something else is skipped, and its `reason` says with what.

    Raises:
        InputError: data or weights are not where the spec says.
    """
    from harness.runs.stale import describe_difference, find_stale
    from harness.tracking.load import find_results

    store = store or open_store()
    plan = make_plan(spec)
    results = find_results(store, plan, warn)
    ids = {run.label: run.id for run in plan.runs}
    for item in find_stale(store.root, plan):
        id_ = ids[item.label]
        if id_ not in results or results[id_].status != "finished":
            reason = f"it was trained {describe_difference(item)}, not as the spec is written now"
            results[id_] = RunResult(id_, "skipped", reason)
    return plan, results


def sync(*studies: str, store: Store | None = None, reports: str | Path = DEFAULT_REPORTS) -> tuple[SyncResult, ...]:
    """Bring studies (all that were run here, unless some are named) from their folders to the store.

    Runs, their epochs and files, and reports that lie in `reports`; what the store has is left as it is.

    Raises:
        InputError: there is no such study here.
        StoreError: the store fails; the next call goes on where this one ended.
    """
    from harness.tracking.mlflow_store import local_store
    from harness.tracking.sync import find_studies, sync_study

    store = store or open_store()
    local = local_store(store.root)
    source = local if local is not None and local.uri != store.uri else None
    found = []
    for plan in find_studies(store.root, local, studies):
        found.append(sync_study(plan, store, source))
        if (Path(reports) / plan.study / "report.json").exists():
            store.attach(plan.study, Path(reports) / plan.study, "report")
    return tuple(found)


def load_looks(
    plan: Plan, *studies: str, store: Store | None = None, warn: Callable[[str], None] = lambda text: None
) -> Taken:
    """Return the recorded looks at the runs of a plan, as `make_report` takes them.

    They are those of the plan's study, or of `studies`, from whose runs the plan was put together. `warn` is told when
    the store fails, and the files here must do.
    """
    from harness.runs.looks import merge_looks, taken_looks
    from harness.tracking.load import find_looks

    store = store or open_store()
    looks = (look for study in studies or (plan.study,) for look in find_looks(store, study, warn))
    return taken_looks(plan, merge_looks(looks))


def record_look(
    plan: Plan,
    results: Mapping[str, RunResult],
    *,
    store: Store | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Taken:
    """Record that a study is looked at with these results, and return all recorded looks at its runs.

    The same results again are no other look. Runs that failed are not part of it. `warn` is told when the store fails:
    the look is then kept below its root alone.

    Raises:
        CannotWrite: the look cannot be kept.
    """
    from harness.runs.looks import taken_looks
    from harness.tracking.load import record_look as record

    return taken_looks(plan, record(store or open_store(), plan, results, warn))


def make_report(
    plan: Plan,
    results: Mapping[str, RunResult],
    folder: str | Path = DEFAULT_REPORTS,
    *,
    taken: Taken = (),
    made: Report | None = None,
) -> Report:
    """Write `<folder>/<study>/` (report.md, report.json, figures, tables) and return the record behind it.

    `taken` are the recorded looks, of `record_look` or `load_looks`; without them this is the first look. `made` is the
    record where it is there already, of `look_until_decided` for instance.
    """
    from harness.report.write import write_report

    return write_report(plan, results, Path(folder) / plan.study, taken, made=made)


def take_inventory(root: str | Path = DEFAULT_ROOT, tracking_uri: str | None = None) -> Inventory:
    """Return the studies below a store's root, with their runs and sizes.

    Raises:
        InputError: there is no such folder, or the plan of a study is damaged.
        StoreError: the tracking store fails: what its studies need is not known.
    """
    from harness.tracking import garbage

    place, store = _open(root, tracking_uri)
    plans = garbage.plans_on_record(place, store)
    return garbage.take_inventory(place, plans, garbage.find_garbage(place, plans))


def collect_garbage(
    root: str | Path = DEFAULT_ROOT, tracking_uri: str | None = None, *, dry_run: bool = False
) -> tuple[Garbage, ...]:
    """Remove what no study on record needs, and return it; with `dry_run`, return it only.

    Raises:
        InputError: there is no such folder, the plan of a study is damaged, or a file cannot be removed.
        StoreError: the tracking store fails: what its studies need is not known.
    """
    from harness.tracking.garbage import find_garbage, plans_on_record, remove_garbage

    place, store = _open(root, tracking_uri)
    return find_garbage(place, plans_on_record(place, store)) if dry_run else remove_garbage(place, store)


def _open(root: str | Path, tracking_uri: str | None) -> tuple[Path, Store | None]:
    """Return the root, and the tracking store where there is one: none is made for having been looked at."""
    from harness.tracking.server import DATABASE, default_uri, find_uri

    place = Path(root)
    if not place.is_dir():
        raise InputError(f"{describe_missing(place)}; name the one that harness run kept its runs in")
    is_default = find_uri(place, tracking_uri) == default_uri(place)
    return place, None if is_default and not (place / DATABASE).exists() else open_store(place, tracking_uri)


def choose_run(run: str, *, store: Store | None = None) -> ChosenRun:
    """Return a finished run by `STUDY/VARIANT@best`, `STUDY/VARIANT/seed1@last`, a run id or a `models:/` URI.

    Its files are brought here from the store where need be. `store` is by default the one of `open_store()`.

    Raises:
        InputError: there is no such run, or it is not finished; the message says what there is.
    """
    from harness.apply.choose import choose

    return choose(run, store or open_store())


def predict(
    run: str,
    images: Sequence[str],
    out: str | Path,
    *,
    wanted: PredictOptions | None = None,
    store: Store | None = None,
) -> dict[str, Any]:
    """Predict pictures (files, folders, patterns) with a run, write files below `out`, and return the record of them.

    The record is that of `<out>/predictions.json`; pictures that could not be used are in its `failed`.

    Raises:
        InputError: there is no such run or picture, or what is wanted cannot be done.
    """
    import json

    from harness.apply.predict import run as job_of

    chosen = choose_run(run, store=store)
    job = job_of.prepare_job(chosen, images, Path(out), wanted or job_of.PredictOptions())
    for _ in job_of.run_job(job, job_of.make_predictor(job)):
        pass
    record: dict[str, Any] = json.loads((job.out / job_of.RECORD).read_text(encoding="utf-8"))
    return record
