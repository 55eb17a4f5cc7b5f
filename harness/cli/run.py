"""The commands that train studies. `harness run`: train, judge and track what a study lacks, then report.

`harness tune`: search each variant's settings, then compare the winners with the variants as written.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from harness.cli import options
from harness.errors import InputError
from harness.files import DEFAULT_REPORTS, DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.api.looking import ExecutionOptions, StudyOutcome
    from harness.api.looking import Until as UntilDecided
    from harness.execute.study import Executor
    from harness.report.study.record import Report
    from harness.spec.load import Spec
    from harness.tracking.protocol import Store
    from harness.tune.winners import SearchOutcome


def run(
    spec: options.SpecFile,
    profile: options.Profile = None,
    set_: options.Sets = None,
    seeds: options.Seeds = None,
    only: options.Only = None,
    jobs: options.Jobs = None,
    device: options.Device = "auto",
    on: options.On = "local",
    address: options.Address = None,
    cpus_per_run: options.CpusPerRun = None,
    gpus_per_run: options.GpusPerRun = None,
    until: options.Until = None,
    max_seeds: options.MaxSeeds = None,
    max_hours: options.MaxHours = None,
    max_runs: options.MaxRuns = None,
    run_timeout: options.RunTimeout = None,
    root: options.Root = DEFAULT_ROOT,
    tracking_uri: options.Uri = None,
    upload_weights: options.UploadWeights = False,
    reports: options.Reports = DEFAULT_REPORTS,
    as_json: options.AsJson = False,
) -> None:
    """Train, judge and track what a study still lacks, then write its report.

    Interrupted, or stopped by --max-hours or --max-runs, it is continued by the same command; what tells most comes
    first. Run to its end it records a look: verdicts after more seeds take account of it; with --json it does not.
    Examples: harness run ablations/phase3.yaml --max-hours 2
    harness run ablations/phase3.yaml --until decided --max-seeds 6
    """
    from harness import api
    from harness.cli.progress import show_progress
    from harness.execute.budget import Budget
    from harness.runs.looks import known_here
    from harness.runs.studies import is_reported, note_report
    from harness.spec.lint_power import past_last_look

    options.check_place(on, jobs, address, cpus_per_run)
    _check_until(until, max_seeds, only)
    limit_s = options.parse_timeout(run_timeout)
    if on == "ray":
        executor = api.on_ray(address, cpus_per_run, gpus_per_run, device, limit_s)
    else:
        executor = api.on_this_machine(jobs=jobs, device=device, gpus_per_run=gpus_per_run, run_timeout_s=limit_s)
    store = api.open_store(root, tracking_uri, upload_weights=upload_weights, warn=options.warn)
    means = api.ExecutionOptions(store, executor, Budget(max_hours, max_runs), show_progress, options.warn)
    written = options.read_spec(spec, profile, set_, seeds)
    if until:
        looked, told, made, started = _look_until_decided(api.plan_until_decided(written, max_seeds), means, max_seeds)
    else:
        planned = api.make_plan(written)
        for note in past_last_look(planned, known_here(root, planned)):
            options.warn(note)
        with options.resumable():
            looked = api.look_once(planned, means, only=only or (), record=not as_json)
        told, made, started = (), None, looked.started
    study, results, taken = looked.plan, dict(looked.results), looked.taken
    report = reports / study.study / "report.md"
    if started or not is_reported(root, study, results, taken, report):
        api.make_report(study, results, reports, taken=taken, made=made)
        options.attach_report(store, study.study, report.parent)
        note_report(root, study, results, taken, report)
    else:
        print(f"nothing to do: all {len(results)} runs are finished", file=sys.stderr)
    for text in () if as_json else told:
        print(text)
    options.print_results(study, results, report, as_json=as_json)
    if any(result.status != "finished" for result in results.values()):
        raise typer.Exit(1)


def _check_until(until: str | None, max_seeds: int | None, only: list[str] | None) -> None:
    """Refuse options that would have no effect, or none that is clear."""
    if max_seeds is not None and not until:
        raise InputError("--max-seeds is the end of --until decided; add that, or give the seeds by --seeds")
    if until and only:
        raise InputError("--only chooses variants, and --until decided chooses them by itself; leave one of them out")


def _look_until_decided(
    until: UntilDecided, means: ExecutionOptions, limit: int | None
) -> tuple[StudyOutcome, tuple[str, ...], Report, int]:
    """Look until all is decided, telling of each look; `limit` is that of --max-seeds.

    Returns the last look, what all came to in words, the report of it, and how many runs were started.
    """
    from harness import api
    from harness.execute.until_decided import count_seeds, headlines, is_open
    from harness.report.study.until_decided import look_line, next_line, savings_sentence, until_sentences

    started, told = 0, []
    planned = {run.seed for run in until.whole.runs}
    with options.resumable():
        for looked, report in api.look_until_decided(until, means):
            started += looked.started
            claims, seeds = headlines(report.comparisons), count_seeds(looked.plan)
            most = max(seeds.values())
            goes_on = [is_open(claim, planned) and most < until.counts[-1] for claim in claims]
            told = [*until_sentences(claims, goes_on, limit)]
            told.append(savings_sentence(looked.plan, until.whole, until.counts[-1]))
            if looked.stopped:  # a warning has said so
                return looked, (), report, started
            # judged at this look: both sides have its seeds, and no earlier look called it
            now = [
                look_line(claim, goes_on=on, limit=limit)
                for claim, on in zip(claims, goes_on, strict=True)
                if claim.called is None and seeds[claim.variant] == seeds[claim.against] == most
            ]
            following = next_line(claims, goes_on, min((n for n in until.counts if n > most), default=most))
            print(f"look at {most} seeds:", *now, *filter(None, [following]), sep="\n  ", file=sys.stderr, flush=True)
    return looked, tuple(told), report, started


def tune(
    spec: options.SpecFile,
    variant: Annotated[
        list[str] | None, Option(metavar="NAME", help="Tune this variant; may be repeated [default: all].")
    ] = None,
    trials: Annotated[int | None, Option(min=1, help="Trials of each variant, instead of the spec's.")] = None,
    hours: Annotated[float | None, Option(min=0.01, help="Hours of each variant, instead of the spec's.")] = None,
    storage: Annotated[
        str | None, Option(metavar="URL", help="Database of the searches [default: optuna.db below --root].")
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
    from harness.tracking.server import sqlite_file
    from harness.tune.winners import asked_tuning

    limit_s = options.parse_timeout(run_timeout)
    study = options.read_spec(spec, profile, set_, seeds)
    tuning, budget = asked_tuning(study), {"trials": trials, "hours": hours}
    settings = tuning.settings.model_copy(update={key: value for key, value in budget.items() if value})
    study = replace(study, tune=replace(tuning, settings=settings))
    store = api.open_store(root, tracking_uri, warn=options.warn)
    if storage is not None:
        file, of_mlflow = sqlite_file(storage), sqlite_file(store.uri)
        if storage == store.uri or (file and of_mlflow and file.resolve() == of_mlflow.resolve()):
            raise InputError(f"--storage {storage}: this is MLflow's database; give the searches one of their own")
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
