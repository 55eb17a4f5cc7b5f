"""`harness tune`: search each variant's settings, then compare the winners with the variants as written."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.errors import InputError
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.execute.study import Executor
    from harness.spec.load import Spec
    from harness.tracking.protocol import Store
    from harness.tune.winners import SearchOutcome


def tune(
    spec: options.SpecFile,
    variant: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Tune this variant; may be repeated [default: all].")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of each variant, instead of the spec's.")] = None,
    hours: Annotated[float | None, typer.Option(min=0.01, help="Hours of each variant, instead of the spec's.")] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Database of the searches [default: optuna.db below --root].")
    ] = None,
    profile: options.Profile = None,
    set_: options.Sets = None,
    seeds: options.Seeds = None,
    jobs: options.Jobs = None,
    device: options.Device = "auto",
    run_timeout: options.RunTimeout = None,
    root: options.Root = DEFAULT_ROOT,
    tracking_uri: options.Uri = None,
    reports: options.Reports = DEFAULT_REPORTS,
    as_json: options.AsJson = False,
) -> None:
    """Search each variant's best settings, then train and compare them with the settings as written, on all seeds.

    Interrupted, it is continued by the same command. Started several times at once, it runs as many trials at once;
    --jobs is for the final runs. Example: harness tune ablations/tune-desert.yaml --trials 30
    """
    from harness import api
    from harness.cli.progress import show_trials

    limit_s = options.parse_timeout(run_timeout)
    study = _with_budget(options.read_spec(spec, profile, set_, seeds), trials, hours)
    store = api.open_store(root, tracking_uri, warn=options.warn)
    _refuse_shared(storage, tracking_uri, root)
    with options.resumable(), show_trials() as listen:
        searches = api.tune(
            study,
            store=store,
            variants=variant or (),
            storage=storage,
            device=device,
            run_timeout_s=limit_s,
            listen=listen,
        )
    running = sum(trial.state == "running" for item in searches for trial in item.trials)
    if running:
        print(f"{running} trials are run by other processes; the last one to end compares the winners", file=sys.stderr)
        return
    executor = api.on_this_machine(jobs=jobs, device=device, run_timeout_s=limit_s)
    _compare(study, searches, store, executor, reports=reports, as_json=as_json)


def _with_budget(study: Spec, trials: int | None, hours: float | None) -> Spec:
    from harness.tune.winners import asked_tuning

    tuning = asked_tuning(study)
    given = {"trials": trials, "hours": hours}
    settings = tuning.settings.model_copy(update={key: value for key, value in given.items() if value})
    return replace(study, tune=replace(tuning, settings=settings))


def _refuse_shared(storage: str | None, tracking_uri: str | None, root: Path) -> None:
    from harness.tracking.server import find_uri, sqlite_file

    if storage is None:
        return
    uri = find_uri(root, tracking_uri)
    file, mlflows = sqlite_file(storage), sqlite_file(uri)
    if storage == uri or (file and mlflows and file.resolve() == mlflows.resolve()):
        raise InputError(f"--storage {storage}: this is MLflow's database; give the searches one of their own")


def _compare(
    study: Spec,
    searches: tuple[SearchOutcome, ...],
    store: Store,
    executor: Executor,
    *,
    reports: Path,
    as_json: bool,
) -> None:
    """Train what the comparison of the winners still lacks, and write both reports."""
    from harness import api
    from harness.cli.progress import show_progress

    plan = api.make_tuned_plan(study, searches)
    with options.resumable(), show_progress(plan.runs) as show:
        results = api.execute(plan, store=store, executor=executor, listen=show)
    taken = api.record_look(plan, results, store=store, warn=options.warn)
    api.make_tuning_report(study, searches, api.make_report(plan, results, reports, taken=taken), reports)
    options.attach_report(store, plan.study, reports / plan.study)
    options.print_results(plan, results, reports / plan.study / "tuning.md", as_json=as_json)
    without = [item.variant.name for item in searches if item.winner is None]
    if without:
        print(f"no trial is finished and keeps the constraints: {', '.join(without)}", file=sys.stderr)
    if without or any(result.status != "finished" for result in results.values()):
        raise typer.Exit(1)
