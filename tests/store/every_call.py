"""Every method of a store, called."""

import inspect
from functools import partial

from harness.runs.folder import run_folder
from harness.tracking.protocol import Store, StoreError

NOT_ASKED = {"root", "uri"}


def ask_all(store, plan, place) -> dict[str, str]:
    """Call every method of a store, and return what was wrong with those that failed as a store may fail."""
    run, folder = plan.runs[0], run_folder(store.root, plan.runs[0].id)
    calls = {
        "open_study": partial(store.open_study, plan),
        "mirror": partial(store.mirror, run, folder, "finished"),
        "close_study": partial(store.close_study, "finished"),
        "fetch": partial(store.fetch, run.id, plan.study, run_folder(store.root / "fetched", run.id)),
        "load_plan": partial(store.load_plan, plan.study),
        "load_results": partial(store.load_results, plan.study, [run.id]),
        "find": partial(store.find, run.id),
        "studies": store.studies,
        "attach": partial(store.attach, plan.study, place / "report", "report"),
        "load_looks": partial(store.load_looks, plan.study),
    }
    assert calls.keys() == {name for name, _ in inspect.getmembers(Store) if name[0] != "_"} - NOT_ASKED
    told = {}
    for name, call in calls.items():
        try:
            call()
        except StoreError as error:
            told[name] = str(error)
    return told
