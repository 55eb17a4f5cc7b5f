"""`harness run`: train, judge and track what a study lacks, then report."""

from __future__ import annotations

import sys
from functools import partial

import typer

from harness.cli_options import (
    DEFAULT_REPORTS,
    DEFAULT_ROOT,
    Address,
    AsJson,
    CpusPerRun,
    Device,
    GpusPerRun,
    Jobs,
    MaxHours,
    MaxRuns,
    On,
    Only,
    Profile,
    Reports,
    Root,
    Seeds,
    Sets,
    SpecFile,
    Uri,
    attach_report,
    check_place,
    print_results,
    read_spec,
    resumable,
    warn,
)


def run(
    spec: SpecFile,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    only: Only = None,
    jobs: Jobs = None,
    device: Device = "auto",
    on: On = "local",
    address: Address = None,
    cpus_per_run: CpusPerRun = None,
    gpus_per_run: GpusPerRun = None,
    max_hours: MaxHours = None,
    max_runs: MaxRuns = None,
    root: Root = DEFAULT_ROOT,
    tracking_uri: Uri = None,
    reports: Reports = DEFAULT_REPORTS,
    as_json: AsJson = False,
) -> None:
    """Train, judge and track what a study still lacks, then write its report.

    Interrupted, or stopped by --max-hours or --max-runs, it is continued by the same command; what tells most comes
    first. Example: harness run ablations/phase3.yaml --max-hours 2
    """
    from harness import api
    from harness.execute.budget import Budget
    from harness.execute.events import Event, Started, Stopped
    from harness.progress import show_progress
    from harness.store.studies import is_reported, note_report

    events: set[type[Event]] = set()
    check_place(on, jobs, address, cpus_per_run)
    if on == "ray":
        executor = api.on_ray(address, cpus_per_run, gpus_per_run, device)
    else:
        executor = api.on_this_machine(jobs=jobs, device=device, gpus_per_run=gpus_per_run)
    budget = Budget(max_hours, max_runs)
    store = api.open_store(root, tracking_uri)
    study = api.make_plan(read_spec(spec, profile, set_, seeds))
    with resumable(), show_progress(study.runs) as show:

        def listen(event: Event) -> None:
            events.add(type(event))
            show(event)

        results = api.execute(study, store=store, only=only or (), executor=executor, budget=budget, listen=listen)
    look = api.load_looks if Stopped in events or as_json else partial(api.record_look, results=results)
    taken = look(study, store=store, warn=warn)
    report = reports / study.study / "report.md"
    if Started in events or not is_reported(root, study, results, taken, report):
        api.make_report(study, results, reports, taken=taken)
        attach_report(store, study.study, report.parent)
        note_report(root, study, results, taken, report)
    else:
        print(f"nothing to do: all {len(results)} runs are finished", file=sys.stderr)
    print_results(study, results, report, as_json=as_json)
    if any(result.status != "finished" for result in results.values()):
        raise typer.Exit(1)
