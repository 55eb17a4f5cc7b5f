"""What a finished run is good for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.studies import open_store

if TYPE_CHECKING:
    from harness.apply.choose import Chosen
    from harness.apply.predict.run import Wanted
    from harness.tracking.protocol import Store


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

    from harness.apply.predict import run as job_of

    chosen = choose_run(run, store=store)
    job = job_of.prepare_job(chosen, images, Path(out), wanted or job_of.Wanted())
    for _ in job_of.run_job(job, job_of.make_predictor(job)):
        pass
    record: dict[str, Any] = json.loads((job.out / job_of.RECORD).read_text(encoding="utf-8"))
    return record
