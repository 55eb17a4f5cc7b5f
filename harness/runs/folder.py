"""A run's own folder: the durable truth about it, written before any tracking store hears of it.

`result.json` carries the SHA-256 of the files that a result is made from, and of itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import InputError
from harness.files import CannotWrite, find_damage, load_arrays, locked, write_text, write_whole
from harness.fingerprint import digest_file, fingerprint
from harness.predictions import load_predictions, save_predictions
from harness.records import Examples, Progress, RunResult, Which
from harness.runs.evaluations import load_evaluations, save_evaluations
from harness.runs.provenance import may_leave

RESULT_VERSION = 1
EXAMPLE_ARRAYS = ("image", "label", "prediction")


class File:
    """A file of a run, or a folder: read from a `RunFolder`, its path."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, owner: type) -> Path:
        return folder.path / self.name


@dataclass(frozen=True)
class RunFolder:
    """Where each file of one run lies. The files that a tracking store keeps too have the same names there."""

    path: Path

    config = File("config.yaml")  # the complete config
    provenance = File("provenance.json")  # what the run was made with: commit, packages, device, data
    journal = File("journal.jsonl")  # the finished epochs, a line each
    best = File("checkpoints/best.pt")  # the weights of the best epoch: the plain model's state dict
    last = File("checkpoints/last.pt")  # those of the last epoch, when training has ended; kept where a study asks
    state = File("checkpoints/state.pt")  # all that an unfinished run needs to go on; removed when it is finished
    state_before = File("checkpoints/state.previous.pt")  # the state before, for the day on which that one is damaged
    evaluation = File("evaluation")  # counts and contract of the best epoch; below it, of the last and the start
    predictions = File("evaluation/predictions.npz")  # validation images with truth and prediction, packed
    examples = File("examples.npz")  # a few pictures with truth and prediction, as arrays
    confusion_picture = File("confusion_matrix.png")
    examples_picture = File("predictions.png")
    result = File("result.json")  # what became of the run; written last
    log = File("output.log")  # what the run's process printed
    plugins = File("plugins.zip")  # the source of the run's plugins, which Python can import from; none without plugins
    lock = File("lock")  # the process that works on the run holds a lock on it

    def weights(self, which: Which) -> Path:
        """Return the weights of the best, or of the last, epoch."""
        return self.best if which == "best" else self.last


def run_folder(root: Path, run_id: str) -> RunFolder:
    """Return the folder of a run below the store's root; it need not exist."""
    return RunFolder(root.resolve() / "runs" / run_id)


def is_running(folder: RunFolder) -> bool:
    """Tell whether a process on this machine works on the run."""
    if not folder.lock.exists():
        return False
    with locked(folder.lock, wait=False) as acquired:
        return not acquired


def write_progress(folder: RunFolder, history: Sequence[Progress]) -> None:
    """Make the journal hold these epochs and no others."""
    write_text(folder.journal, "".join(json.dumps(_as_line(progress)) + "\n" for progress in history))


def append_progress(folder: RunFolder, progress: Progress) -> None:
    """Add an epoch to the journal, unless it is there. A line that a killed process left torn is cut off first."""
    lines = _whole_lines(folder)
    if progress.epoch in {line["epoch"] for line in lines}:
        return
    # Written anew as a whole: a reader, or a store, never sees half a line.
    write_text(folder.journal, "".join(json.dumps(line) + "\n" for line in [*lines, _as_line(progress)]))


def read_progress(folder: RunFolder) -> tuple[Progress, ...]:
    """Return the finished epochs in order, up to a torn or damaged line: the run's state makes the journal anew."""
    return tuple(_as_progress(line) for line in _whole_lines(folder))


def _whole_lines(folder: RunFolder) -> list[dict[str, Any]]:
    if not folder.journal.exists():
        return []
    whole, _, _ = folder.journal.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    lines: list[dict[str, Any]] = []
    for text in whole.splitlines():
        try:
            line = json.loads(text)
            _as_progress(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            break
        lines.append(line)
    return lines


def _as_line(progress: Progress) -> dict[str, Any]:
    metrics = {name: value if math.isfinite(value) else None for name, value in progress.metrics.items()}
    return {**progress.to_dict(), "metrics": metrics}


def _as_progress(line: Mapping[str, Any]) -> Progress:
    metrics = {name: math.nan if value is None else value for name, value in line["metrics"].items()}
    return Progress(**{**line, "metrics": metrics})


def save_result(folder: RunFolder, result: RunResult) -> None:
    """Write what became of a run; `result.json` comes last, so that where it is, all else is.

    Raises:
        CannotWrite: the disk is full or not writable. Of a run that is not finished this is no error: it will be tried
            again in any case, and the disk is what most likely ended it.
    """
    finished = result.status == "finished"
    try:
        evaluations = save_evaluations(folder.evaluation, result)
        if result.predictions is not None:
            save_predictions(folder.predictions, result.predictions)
        if result.examples is not None:
            _save_examples(folder.examples, result.examples)
        entry = {
            "version": RESULT_VERSION,
            "run_id": result.run_id,
            "status": result.status,
            "reason": result.reason,
            "best_epoch": result.best_epoch,
            **evaluations,
            "colours": [list(colour) for colour in result.colours],
            "seconds": result.seconds,
            # Digests of what is on the disk now, so after all of it is written.
            "sha256": digests_of(_judged_files(folder), folder.path) if finished else {},
            "model_sha256": digests_of(_model_files(folder), folder.path) if finished else {},
        }
        write_entry(folder.result, entry)
    except CannotWrite:
        if finished:
            raise


def load_result(folder: RunFolder) -> RunResult | None:
    """Return what became of a run, or None where nothing has yet.

    Raises:
        InputError: a file of the result is damaged, or of another version.
    """
    if not folder.result.exists():
        return None
    entry = read_entry(folder.result)
    if entry.get("version") != RESULT_VERSION:
        raise InputError(
            f"{folder.result}: version {entry.get('version')}; this harness reads version {RESULT_VERSION}"
        )
    require_same(entry.get("sha256", {}), folder.path, folder.result)
    provenance = folder.provenance
    try:
        return RunResult(
            run_id=entry["run_id"],
            status=entry["status"],
            reason=entry["reason"],
            history=read_progress(folder),
            best_epoch=entry["best_epoch"],
            **load_evaluations(folder.evaluation, entry),
            examples=_load_examples(folder.examples) if folder.examples.exists() else None,
            predictions=load_predictions(folder.predictions) if folder.predictions.exists() else None,
            colours=tuple((red, green, blue) for red, green, blue in entry["colours"]),
            provenance=json.loads(provenance.read_text(encoding="utf-8")) if provenance.exists() else {},
            seconds=entry["seconds"],
        )
    except (KeyError, TypeError, ValueError) as error:  # of an older harness, without checksums
        raise damaged(folder.result, f"{type(error).__name__}: {error}", folder.result) from None


def load_ended(folder: RunFolder) -> RunResult:
    """Return what became of a run that has ended."""
    result = load_result(folder)
    assert result is not None
    return result


def is_finished(folder: RunFolder) -> bool:
    """Tell whether the run is done and its result whole.

    Raises:
        InputError: `result.json` is damaged.
    """
    return folder.result.exists() and read_entry(folder.result).get("status") == "finished"


def _judged_files(folder: RunFolder) -> list[Path]:
    """Return the files that a report is made from."""
    files = [folder.journal, folder.provenance, folder.examples, *sorted(folder.evaluation.rglob("*"))]
    return [path for path in files if path.is_file() and not path.name.startswith(".")]


def _model_files(folder: RunFolder) -> list[Path]:
    """Return the files that a run's model is made from. They need not all lie beside its result."""
    return [path for path in (folder.config, folder.best, folder.last) if path.is_file()]


def find_model_damage(folder: RunFolder, path: Path) -> str | None:
    """Return what is wrong with a run's config or checkpoint, in words; None where it is as it was written.

    It is held against `result.json`, which an older harness did not write it into: a checkpoint is then held against
    the checksum inside it.

    Raises:
        InputError: `result.json` is damaged.
    """
    recorded = read_entry(folder.result).get("model_sha256", {}) if folder.result.exists() else {}
    name = path.relative_to(folder.path).as_posix()
    try:
        if name in recorded:
            return None if digest_file(path) == recorded[name] else "its checksum does not match"
    except OSError as error:
        return error.strerror or str(error)
    return find_damage(path) if path.suffix == folder.best.suffix else None


def record_weights(folder: RunFolder, path: Path, made_in: Path) -> None:
    """Enter into `result.json` a checkpoint that was made again in another folder, before it is moved into its own.

    The same counts may come from weights of other last bits.
    """
    # A kill between this and the move leaves the digest of a file that is not there, and it is made again. The other
    # way round it would leave a file that `result.json` calls damaged.
    entry = read_entry(folder.result)
    sums = {**entry.get("model_sha256", {}), **digests_of([path], made_in)}
    if sums != entry.get("model_sha256"):
        write_entry(folder.result, {**entry, "model_sha256": sums})


def find_start_problem(weights: Path) -> str | None:
    """Return why no run can start from a checkpoint, and what to do, for the user; None where one can."""
    damage = find_model_damage(RunFolder(weights.parent.parent), weights) if weights.exists() else None
    if weights.exists() and damage is None:
        return None
    return (
        f"the weights that it starts from are {f'damaged ({damage})' if damage else 'gone'}: {weights}; remove the "
        f"folder {weights.parent.parent}, and harness run trains that run again"
    )


def require_model_file(folder: RunFolder, path: Path) -> None:
    """Require a run's config or checkpoint to be as it was written.

    Raises:
        InputError: it is not; the message says what to do.
    """
    if problem := find_model_damage(folder, path):
        raise damaged(path, problem, folder.result)


def require_whole(folder: RunFolder) -> None:
    """Require all files that a run's numbers come from, as far as they are there, to be as they were written.

    Raises:
        InputError: one is not.
    """
    load_result(folder)
    for path in _model_files(folder):
        require_model_file(folder, path)


def _save_examples(path: Path, examples: Examples) -> None:
    arrays: dict[str, Any] = {"names": np.array(examples.names, dtype=str)}
    for index, maps in enumerate(zip(examples.images, examples.labels, examples.predictions, strict=True)):
        arrays |= {f"{kind}{index}": array for kind, array in zip(EXAMPLE_ARRAYS, maps, strict=True)}
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def _load_examples(path: Path) -> Examples:
    title = f"{path}: not a file of examples"
    names = tuple(load_arrays(path, ("names",), title)["names"].tolist())
    keys = [f"{kind}{index}" for kind in EXAMPLE_ARRAYS for index in range(len(names))]
    arrays = load_arrays(path, keys, title)
    maps = (tuple(arrays[f"{kind}{index}"] for index in range(len(names))) for kind in EXAMPLE_ARRAYS)
    return Examples(names, *maps)


def files_to_keep(folder: RunFolder) -> list[Path]:
    """Return the files of a run that every tracking store keeps: all that counts, and no weights."""
    files = [folder.config, folder.provenance, folder.journal, folder.examples, folder.result, folder.log]
    files += [folder.confusion_picture, folder.examples_picture, *folder.evaluation.rglob("*")]
    files += [folder.plugins] if may_leave(folder.plugins) else []
    return [path for path in files if path.is_file() and not path.name.startswith(".")]


def write_entry(path: Path, entry: Mapping[str, Any]) -> None:
    """Write a record as JSON that carries its own checksum."""
    write_text(path, json.dumps(signed(entry), indent=2, ensure_ascii=False))


def signed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its own checksum."""
    read_back = json.loads(json.dumps(entry))  # where keys are text, and sorted as such
    return {**entry, "checksum": fingerprint(read_back)}


def read_entry(path: Path) -> dict[str, Any]:
    """Return a record that `write_entry` wrote; older ones have no checksum.

    Raises:
        InputError: it is damaged.
    """
    try:
        return read_signed(path)
    except (OSError, ValueError) as error:
        raise damaged(path, str(error), path) from None


def read_signed(path: Path) -> dict[str, Any]:
    """Return the record in a file of JSON that carries its own checksum; older ones have none.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; the message says in what way.
    """
    try:
        entry = dict(json.loads(path.read_text(encoding="utf-8")))
        whole = entry.pop("checksum", None) in (None, fingerprint(entry))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not whole:
        raise ValueError("its checksum does not match")
    return entry


def digests_of(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the SHA-256 of each of some files, by its place below a folder."""
    return {path.relative_to(root).as_posix(): digest_file(path) for path in files}


def require_same(digests: Mapping[str, str], root: Path, result: Path) -> None:
    """Check files against what `digests_of` returned when they were written.

    Raises:
        InputError: one is gone, or another than it was.
    """
    for name, digest in digests.items():
        path = root / name
        if not path.is_file():
            raise damaged(path, "it is gone", result)
        if digest_file(path) != digest:
            raise damaged(path, "its checksum does not match", result)


def damaged(path: Path, problem: str, result: Path) -> InputError:
    """Return the error for a damaged file of a run whose outcome is in the file `result`."""
    return InputError(
        f"{path}: damaged ({problem}); put a whole copy of the file back, or remove {result} and run the study again: "
        "the run is then taken from the tracking store, or made again"
    )
