"""Whatever bytes a spec or a result holds, only harness's own errors come out. HARNESS_FUZZ=20000 looks much longer."""

import io
import json
import os
import textwrap
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from tiny_study import TINY

from harness.api import load_spec
from harness.counts import load_counts, make_counts, save_counts
from harness.errors import HarnessError
from harness.predictions import PredictedImage, load_predictions, pack_predictions
from harness.records import Progress, RunResult
from harness.runs.folder import RunFolder, append_progress, load_result, save_result

EXAMPLES = int(os.environ.get("HARNESS_FUZZ", "120"))
SPECS = [textwrap.dedent(TINY), *(path.read_text() for path in sorted(Path("ablations").absolute().glob("*.yaml"))[:4])]
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def mutated(content: bytes):
    """Return a strategy of contents in which a few pieces are flipped, cut, doubled, moved or replaced."""

    def apply(steps):
        made = bytearray(content)
        for kind, at, length, other in steps:
            start = at % (len(made) + 1)
            end = min(start + length, len(made))
            piece = bytes(made[start:end])
            if kind == "flip" and piece:
                made[start] ^= 1 << length % 8
            elif kind == "cut":
                del made[start:end]
            elif kind == "double":
                made[start:start] = piece * 3
            elif kind == "insert":
                made[start:start] = other
            elif kind == "truncate":
                del made[end:]
            else:
                made[start:end] = other
        return bytes(made)

    kinds = st.sampled_from(["flip", "cut", "double", "insert", "truncate", "replace"])
    odd = st.binary(max_size=8) | st.sampled_from([b"\x00", b"\xff" * 4, b"null", b": ", b"[", b"{}", b"- ", b"1e999"])
    step = st.tuples(kinds, st.integers(0, len(content)), st.integers(0, 24), odd)
    return st.lists(step, min_size=1, max_size=4).map(apply)


def load_any_spec(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        load_spec(path)
    except HarnessError as error:
        assert "\n" not in str(error)


@fuzz
@given(st.sampled_from(SPECS).flatmap(lambda text: mutated(text.encode())))
@example(b"\xef\xbb\xbf" + SPECS[0].encode())
@example(SPECS[0].encode("utf-16"))
def test_spec_of_mutated_bytes(place, content):
    load_any_spec(place / "bytes.yaml", content)


KEYS = [
    "study",
    "base",
    "data",
    "name",
    "set",
    "from",
    "like",
    "components",
    "loss.dice",
    "train.epochs",
    "..",
    "",
    "a.b",
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "unet", "baseline@best", "../x", "native", "!!python/name:os.system", "\u202e", "x" * 300]),
    st.lists(st.integers(-2, 40), max_size=4),
    st.dictionaries(st.sampled_from(KEYS), st.integers(-2, 3) | st.text(max_size=3), max_size=3),
)


def places_in(tree, path=()):
    """Yield the path to each value of a tree."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places_in(value, (*path, key))


@fuzz
@given(st.data())
def test_spec_of_mutated_structure(place, data):
    """A value replaced, a key removed or renamed, a piece of the spec put in another place."""
    tree = yaml.safe_load(data.draw(st.sampled_from(SPECS)))
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [path for path in places_in(tree) if path[0] != "plugins"]
        path = data.draw(st.sampled_from(paths))
        around = tree
        for key in path[:-1]:
            around = around[key]
        kind = data.draw(st.sampled_from(["replace", "remove", "rename", "transplant"]))
        if kind == "remove":
            del around[path[-1]]
        elif kind == "rename" and isinstance(around, dict):
            around[data.draw(st.sampled_from(KEYS))] = around.pop(path[-1])
        elif kind == "transplant":
            donor = json.loads(json.dumps(tree))
            for key in data.draw(st.sampled_from(paths)):
                donor = donor[key] if not isinstance(donor, dict) or key in donor else {}
            around[path[-1]] = donor
        else:
            around[path[-1]] = data.draw(ODD)
    load_any_spec(place / "structure.yaml", yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode())


def sample_counts():
    return make_counts(
        [np.array([[5, 1], [2, 7]]), np.zeros((2, 2), np.int64)], ["a", "ü"], ["g", "g"], ["x", "straße"]
    )


def counts_bytes() -> dict[str, bytes]:
    """Return the arrays of a counts file as npy files by name."""
    file = io.BytesIO()
    counts = sample_counts()
    arrays = {
        "image": counts.image_K,
        "true": counts.true_K,
        "predicted": counts.predicted_K,
        "pixels": counts.pixels_K,
        "images": np.array(counts.images),
        "groups": np.array(counts.groups),
        "classes": np.array(counts.classes),
        "version": np.int64(1),
    }
    np.savez_compressed(file, **arrays)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


MEMBERS = counts_bytes()


def load_any_counts(path: Path) -> None:
    try:
        counts = load_counts(path)
    except HarnessError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert counts.confusion_CC().sum() == counts.pixels_K.sum()


@pytest.fixture(scope="module")
def whole_counts(place):
    save_counts(place / "whole.npz", sample_counts())
    return (place / "whole.npz").read_bytes()


@fuzz
@given(st.data())
def test_counts_of_mutated_bytes(place, whole_counts, data):
    path = place / "bytes.npz"
    path.write_bytes(data.draw(mutated(whole_counts)))
    load_any_counts(path)


@fuzz
@given(st.data())
def test_counts_of_mutated_arrays(place, data):
    """The zip file is right, checksums and all: what is wrong is an array's header or content."""
    name = data.draw(st.sampled_from(sorted(MEMBERS)))
    path = place / "headers.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in MEMBERS.items():
            archive.writestr(member, data.draw(mutated(content)) if member == name else content)
    load_any_counts(path)


any_array = of_numpy.arrays(
    of_numpy.scalar_dtypes() | of_numpy.unicode_string_dtypes() | of_numpy.array_dtypes(),
    of_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@fuzz
@given(st.sampled_from(sorted(MEMBERS)), any_array)
def test_counts_with_another_array(place, name, array):
    path = place / "arrays.npz"
    arrays = {member: np.load(io.BytesIO(content)) for member, content in MEMBERS.items()}
    arrays[name] = array
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about field names that old versions cannot read
        np.savez(file, **{member.removesuffix(".npy"): value for member, value in arrays.items()})
    load_any_counts(path)


@pytest.fixture(scope="module")
def whole_result(place):
    folder = RunFolder(place / "result")
    picture = np.zeros((4, 4, 3), np.uint8)
    append_progress(folder, Progress(1, 1, {"val/loss": 1.0, "val/miou_dataset": 0.5}, True, 1))
    seen = pack_predictions(["a"], [PredictedImage(picture, picture[..., 0], picture[..., 0])])
    save_result(
        folder,
        RunResult(
            "abc", "finished", best_epoch=1, counts={"val": sample_counts()}, contract={"a": 1}, predictions=seen
        ),
    )
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert load_result(folder) is not None
    return folder, {path: path.read_bytes() for path in files}


@fuzz
@given(st.data())
def test_result_of_mutated_bytes(whole_result, data):
    """A file of a finished result that has changed is never taken for whole."""
    folder, files = whole_result
    path = data.draw(st.sampled_from(sorted(files)))
    content = data.draw(mutated(files[path]))
    path.write_bytes(content)
    try:
        load_result(folder)
    except HarnessError as error:
        assert str(path) in str(error)
    else:
        assert content == files[path] or path == folder.result
    finally:
        path.write_bytes(files[path])


@fuzz
@given(st.data())
def test_predictions_of_mutated_bytes(place, whole_result, data):
    folder, files = whole_result
    path = place / "predictions.npz"
    path.write_bytes(data.draw(mutated(files[folder.predictions])))
    try:
        load_predictions(path)
    except HarnessError as error:
        assert str(path) in str(error)
