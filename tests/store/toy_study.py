"""A study of two runs that nobody trains: their folders are written by hand."""

import numpy as np

from harness.counts import make_counts
from harness.predictions import PredictedImage, pack_predictions
from harness.records import Progress, RunResult
from harness.runs.folder import append_progress, run_folder, save_result
from harness.spec.load import load_spec
from harness.spec.plan import expand

SPEC = """
study: toy
question: Does it track?
base:
  data: {name: desert}
  model: {name: unet}
  loss: {cross_entropy: {}}
variants:
  baseline: {}
  dice:
    from: baseline@best
    components: {dice: {loss.dice: {}}}
"""


def toy_plan(folder):
    path = folder / "toy.yaml"
    path.write_text(SPEC)
    return expand(load_spec(path), lambda config: {"data": "d"})


def epoch(number: int) -> Progress:
    metrics = {"train/loss": 1 / (number + 1), "val/loss": 2.0, "val/miou_dataset": number / 10, "val/iou/a|b": 0.1}
    return Progress(number, 2, metrics, improved=True, time_ms=1_000_000 + number)


def finish(store, run):
    folder = run_folder(store.root, run.id)
    for number in (1, 2):
        append_progress(folder, epoch(number))
    folder.best.parent.mkdir(parents=True, exist_ok=True)
    folder.best.write_bytes(b"weights")
    counts = make_counts([np.array([[3, 1], [0, 4]])], ["a"], ["g"], ["a|b", "c"])
    result = RunResult(
        run_id=run.id,
        status="finished",
        history=(epoch(1), epoch(2)),
        best_epoch=2,
        counts={"val": counts, "test": counts},
        regions={"val": {"border": counts}},
        contract={"version": 1, "splits": {"val": "x"}, "size": "native", "taxonomy": "t", "selected_on": "val"},
        predictions=pack_predictions(
            ("a",), [PredictedImage(np.zeros((2, 4, 3), np.uint8), *np.zeros((2, 2, 4), np.uint8))]
        ),
    )
    save_result(folder, result)
    return folder
