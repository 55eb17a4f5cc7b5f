"""What each command does where a byte of a file was changed: `python -m benchmarks.byte_flips [--every]`.

A small study on a prepared folder is made in a temporary place, in this process. Then each file below its store, its
cache, its prepared folder and its reports is damaged in turn (a byte flipped at the beginning, in the middle, at the
end or anywhere; cut short; emptied), and each command that reads the file is called. It must fail with one message,
build the file again, or give what it gave before. Anything else is printed, and makes the exit code 1.

Which files a command reads is found out by watching what it opens. mlflow.db is left out: no number is read from it.
`--every` tries each kind of damage for each file and command; else they take turns, from `--seed`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import math
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from benchmarks.setting import print_table
from harness.randomness import make_rng

SPEC = """
study: flips
question: Does a second round help?
base:
  data:
    name: folder
    root: prepared
    classes: {road: 0, sky: 1, car: 2}
    splits: {train: train, val: val}
    mask_suffix: _mask
    ignore: [255]
    size: [32, 32]
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 1.0e-2}
  train: {epochs: 1, batch_size: 4}
  evaluate: {size: native}
variants:
  first: {}
  second: {from: first@best, set: {optimizer.lr: 3.0e-3}}
seeds: [0, 1]
compare: {reference: first, margin: 0.05}
"""
RUN = "flips/second/seed0@best"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "plan": ("plan", "flips.yaml"),
    "run": ("run", "flips.yaml"),
    "report": ("report", "flips", "--reports", "out"),
    "gate": ("gate", "flips.yaml", "--reports", "out"),
    "predict": ("predict", RUN, "prepared/val/images", "--out", "out", "--device", "cpu"),
    "card": ("card", RUN, "--out", "out/card.md"),
    "export": ("export", RUN, "--images", "prepared/val/images", "--out", "out/model.onnx"),
    "reproduce": ("reproduce", RUN, "--device", "cpu"),
    "sync": ("sync",),
    "data audit": ("data", "audit", "flips.yaml", "--out", "out"),
    "data show": ("data", "show", "flips.yaml", "--out", "out/show.png"),
    "data prepare": ("data", "prepare", "city", "--out", "prepared", "--taxonomy", "labels.yaml"),
}
WITHOUT_RUNS = {"report, from the store": "report"}
"""Commands called where the run folders are gone, so that the tracking store's copies are used."""
Damage = Callable[[bytes, np.random.Generator], bytes]


def flip(content: bytes, place: int) -> bytes:
    """Return bytes of which one is another."""
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


DAMAGES: Mapping[str, Damage] = {
    "first byte": lambda content, rng: flip(content, 0),
    "middle byte": lambda content, rng: flip(content, len(content) // 2),
    "last byte": lambda content, rng: flip(content, len(content) - 1),
    "any byte": lambda content, rng: flip(content, int(rng.integers(len(content)))),
    "cut short": lambda content, rng: content[: int(rng.integers(len(content)))],
    "emptied": lambda content, rng: b"",
}


@dataclass
class Outcome:
    """What a call did."""

    code: int
    lines: frozenset[str]
    files: Mapping[str, str]
    error: str
    opened: frozenset[str] = frozenset()
    crash: str = ""


@dataclass
class Workplace:
    """A place with a finished study, and what its files were."""

    folder: Path
    pristine: dict[str, bytes] = field(default_factory=dict)
    expected: dict[str, Outcome] = field(default_factory=dict)

    def snapshot(self) -> dict[str, bytes]:
        """Return the content of all files that may be damaged, by path."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for top in ("mlruns", "cache", "prepared", "reports")
            for path in sorted((self.folder / top).rglob("*"))
            if path.is_file() and not path.is_symlink() and not is_left_out(path)
        }

    def restore(self) -> None:
        """Bring all files back to what they were."""
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        now = self.snapshot()
        for name in now.keys() - self.pristine.keys():
            (self.folder / name).unlink(missing_ok=True)
        for name, content in self.pristine.items():
            if now.get(name) != content:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_bytes(content)


def is_left_out(path: Path) -> bool:
    """Tell whether a file holds nothing that anything is read from: MLflow's database, locks."""
    return path.name.startswith((".", "mlflow.db")) or path.name.endswith((".lock", "lock"))


_opened: set[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        _opened.add(os.path.realpath(os.fsdecode(arguments[0])))


def make_workplace(folder: Path, without: Sequence[str]) -> Workplace:
    """Draw a small Cityscapes, prepare it, train the study on it in this process, and see what each command does."""
    draw_city(folder / "city")
    (folder / "labels.yaml").write_text(
        "name: three\\nclasses:\\n  - {name: road, ids: [7], colour: [128, 64, 128]}\\n"
        "  - {name: sky, ids: [23], colour: [70, 130, 180]}\\n  - {name: car, ids: [26], colour: [0, 0, 142]}\\n"
        "ignored: [0]\\n".replace("\\n", "\n")
    )
    (folder / "flips.yaml").write_text(SPEC)
    place = Workplace(folder)
    require_done(call(place, COMMANDS["data prepare"]))
    train(folder / "mlruns")
    require_done(call(place, COMMANDS["run"]))
    for name in ("data audit", "data show", "gate", "sync"):  # what they keep for the next time is there from now on
        require_done(call(place, COMMANDS[name]), name)
    shutil.rmtree(folder / "out", ignore_errors=True)
    place.pristine = place.snapshot()
    for name, run in operations().items():
        if without and name.startswith(tuple(without)):
            continue
        first = run(place)
        require_done(first, name)
        place.restore()
        second = run(place)
        place.restore()
        same = {file: digest for file, digest in first.files.items() if second.files.get(file) == digest}
        place.expected[name] = Outcome(first.code, first.lines & second.lines, same, "", first.opened | second.opened)
    return place


def require_done(outcome: Outcome, name: str = "") -> None:
    """Stop where a whole study does not do what it should."""
    if outcome.crash or outcome.code not in (0, 3):
        raise SystemExit(f"{name}: exit code {outcome.code}: {outcome.error}\n{outcome.crash}")


def draw_city(root: Path) -> None:
    """Write a few pictures and labels in Cityscapes' layout."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 6), ("val", 4)):
        for index in range(number):
            ids_HW = np.full((48, 64), 7, np.uint8)
            ids_HW[: rng.integers(10, 30)] = 23
            ids_HW[30:40, rng.integers(0, 20) : rng.integers(30, 60)] = 26
            image_HWC = (ids_HW[..., None] * [3, 5, 7] + rng.integers(0, 40, (48, 64, 3))).astype(np.uint8)
            stem = f"town{index % 2}_{index:06}_000019"
            for kind, end, pixels in (("leftImg8bit", "leftImg8bit", image_HWC), ("gtFine", "gtFine_labelIds", ids_HW)):
                path = root / kind / split / f"town{index % 2}" / f"{stem}_{end}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                PIL.Image.fromarray(pixels).save(path)


def train(root: Path) -> dict[str, bytes]:
    """Train the study below a store's root, in this process; return the arrays of its counts."""
    from harness import api
    from harness.execute.events import Ended, Event, Started
    from harness.execute.run import run_one
    from harness.execute.study import execute_plan
    from harness.records import Machine, Run
    from harness.runs.folder import RunFolder, load_result

    def in_this_process(runs: Sequence[Run], folders: Mapping[str, RunFolder]) -> Iterator[Event]:
        for run in runs:
            yield Started(run)
            start = folders[run.start.run_id].best if run.start else None
            run_one(run, folders[run.id], Machine("cpu"), start, lambda progress: None)
            result = load_result(folders[run.id])
            assert result is not None
            yield Ended(run, result)

    plan, counts = api.make_plan(api.load_spec("flips.yaml")), {}
    for event in execute_plan(plan, plan.runs, api.open_store(root), in_this_process):
        if isinstance(event, Ended):
            val = event.result.counts["val"]
            counts[event.run.id] = b"".join(
                a.tobytes() for a in (val.image_K, val.true_K, val.predicted_K, val.pixels_K)
            )
    return counts


def operations() -> dict[str, Callable[[Workplace], Outcome]]:
    """Return what is tried on damaged files, by name."""
    called = {name: lambda place, arguments=arguments: call(place, arguments) for name, arguments in COMMANDS.items()}
    apart = {name: lambda place, key=key: call_without_runs(place, COMMANDS[key]) for name, key in WITHOUT_RUNS.items()}
    return {**called, **apart, "train from the cache": train_again}


def train_again(place: Workplace) -> Outcome:
    """Train the study below another root, with the cache that is there."""

    def work() -> None:
        counts = train(Path(tempfile.mkdtemp(dir=place.folder / "out")))  # MLflow keeps a path's database open
        for run_id, content in counts.items():
            print(run_id, hashlib.sha256(content).hexdigest())

    return observe(place, work, keep=())


def call_without_runs(place: Workplace, arguments: tuple[str, ...]) -> Outcome:
    """Call a command where the run folders are gone."""
    runs = place.folder / "mlruns" / "runs"
    runs.rename(place.folder / "runs")
    try:
        return call(place, arguments)
    finally:
        shutil.rmtree(runs, ignore_errors=True)
        (place.folder / "runs").rename(runs)


def call(place: Workplace, arguments: tuple[str, ...]) -> Outcome:
    """Call the program in this process."""
    from harness.cli.app import main

    def work() -> None:
        sys.argv = ["harness", *arguments]
        main()

    return observe(place, work)


def observe(place: Workplace, work: Callable[[], None], keep: tuple[str, ...] = ("out", "reports")) -> Outcome:
    """Do something in the workplace; return what it said and wrote."""
    global _opened
    out, err, code, crash = io.StringIO(), io.StringIO(), 0, ""
    (place.folder / "out").mkdir(exist_ok=True)
    _opened = set()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            work()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            from harness.errors import HarnessError

            code = 2
            if isinstance(error, HarnessError):
                err.write(str(error))
            else:
                crash = traceback.format_exc()
    opened, _opened = frozenset(_opened), None
    files = {
        path.relative_to(place.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in keep
        for path in sorted((place.folder / top).rglob("*"))
        if path.is_file()
    }
    return Outcome(code, frozenset(out.getvalue().splitlines()), files, err.getvalue(), opened, crash)


def judge(place: Workplace, name: str, file: str, outcome: Outcome) -> str:
    """Return what became of a damaged file: `message`, `built again`, `identical`, or what went wrong."""
    expected = place.expected[name]
    if outcome.crash or "Traceback" in outcome.error:
        return f"traceback: {(outcome.crash or outcome.error).strip().splitlines()[-1]}"
    if outcome.code not in (0, expected.code):
        return "message" if outcome.error.strip() else f"exit code {outcome.code} without a word"
    path = place.folder / file
    is_whole = path.is_file() and path.read_bytes() == place.pristine[file]
    missing = set() if is_whole else expected.lines - outcome.lines  # it may tell what it has made again
    other = {key for key, digest in expected.files.items() if outcome.files.get(key) != digest and key != file}
    if missing or other or outcome.code != expected.code:
        return f"other output: {sorted(missing)[:2]} {sorted(other)[:3]} {outcome.error[-300:]}"
    return "built again" if is_whole else "identical"


def trials(place: Workplace, every: bool) -> Iterator[tuple[str, str, str]]:
    """Yield file, command and kind of damage; none where the command does not read the file."""
    turns = itertools.cycle(DAMAGES)
    for file, content in place.pristine.items():
        for name, expected in place.expected.items():
            opened = str((place.folder / file).resolve()) in expected.opened
            in_child = name == "reproduce" and file.endswith((".bin", "best.pt"))  # in a process that is not watched
            if content and (opened or in_child):
                for kind in DAMAGES if every else [next(turns)]:
                    yield file, name, kind
            elif content:
                yield file, name, ""


def sweep(
    place: Workplace, *, every: bool, seed: int, share: float = 1.0, seconds: float = math.inf
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Damage files, in an order drawn at random; return (command, fate) -> number, and what went wrong, a line each."""
    rng, fates, wrong, began = make_rng(seed, "byte_flips"), Counter[tuple[str, str]](), [], time.monotonic()
    asked = list(trials(place, every))
    fates.update((name, "not read") for _, name, kind in asked if not kind)
    asked = [trial for trial in asked if trial[2]]
    for index in rng.permutation(len(asked))[: math.ceil(share * len(asked))]:
        file, name, kind = asked[index]
        content = place.pristine[file]
        damaged = DAMAGES[kind](content, rng)
        if damaged == content or time.monotonic() - began > seconds:
            fates[name, "not tried"] += 1
            continue
        (place.folder / file).write_bytes(damaged)
        outcome = operations()[name](place)
        fate = judge(place, name, file, outcome)
        if fate not in ("message", "built again", "identical"):
            wrong.append(f"{name}: {file}: {kind}: {fate}")
            print(wrong[-1], file=sys.stderr, flush=True)
            fate = "WRONG"
        fates[name, fate] += 1
        place.restore()
    return fates, wrong


@contextlib.contextmanager
def workplace(without: Sequence[str] = ()) -> Iterator[Workplace]:
    """Make the study in a temporary folder that is the current one meanwhile, with a cache of its own.

    Commands that begin with a word of `without` are left out.
    """
    before, cache, arguments = Path.cwd(), os.environ.get("HARNESS_CACHE"), sys.argv
    sys.addaudithook(_watch)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        os.environ["HARNESS_CACHE"] = str(root / "cache")
        os.chdir(root)
        try:
            yield make_workplace(root, without)
        finally:
            os.chdir(before)
            sys.argv = arguments
            if cache is None:
                del os.environ["HARNESS_CACHE"]
            else:
                os.environ["HARNESS_CACHE"] = cache


def main() -> None:
    """Try all files and commands, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", action="store_true", help="each kind of damage for each file and command")
    parser.add_argument("--without", nargs="*", default=[], metavar="COMMAND", help="left out, such as reproduce")
    parser.add_argument("--seconds", type=float, default=math.inf, help="try nothing more after so long")
    parser.add_argument("--share", type=float, default=1.0, help="of the trials, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with workplace(options.without) as place:
        print(f"{len(place.pristine)} files; made in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        fates, wrong = sweep(
            place, every=options.every, seed=options.seed, share=options.share, seconds=options.seconds
        )
        names = list(place.expected)
    columns = ("message", "built again", "identical", "WRONG", "not tried", "not read")
    rows = [[name, *(str(fates[name, column]) for column in columns)] for name in names]
    print_table(["command", *columns], rows)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
