"""Counts: the file is readable with numpy alone, whole, and checked when read."""

import numpy as np
import pytest

from harness.counts import load_counts, make_counts, save_counts
from harness.errors import InputError
from harness.fingerprint import fingerprint
from harness.records import Counts


def sample() -> Counts:
    first = np.array([[5, 1, 0], [0, 0, 0], [2, 0, 7]])
    return make_counts([first, np.zeros((3, 3), np.int64)], ["a b", "ü"], ["g1", "g1"], ["x", "y", "straße"])


def test_sparse_counts_hold_the_dense_ones():
    counts = sample()
    assert counts.pixels_K.tolist() == [5, 1, 2, 7]
    assert counts.confusion_NCC()[0].tolist() == [[5, 1, 0], [0, 0, 0], [2, 0, 7]]
    assert counts.confusion_NCC()[1].sum() == 0
    assert counts.confusion_CC().tolist() == [[5, 1, 0], [0, 0, 0], [2, 0, 7]]


def test_file_follows_the_contract_and_numpy_alone_reads_it(tmp_path):
    save_counts(tmp_path / "val.npz", sample())
    with np.load(tmp_path / "val.npz", allow_pickle=False) as file:
        types = {name: str(file[name].dtype) for name in ("image", "true", "predicted", "pixels")}
        assert types == {"image": "int32", "true": "int16", "predicted": "int16", "pixels": "int64"}
        assert file["images"].tolist() == ["a b", "ü"]
        assert file["classes"].tolist() == ["x", "y", "straße"]
        assert int(file["version"]) == 1
    back = load_counts(tmp_path / "val.npz")
    assert (back.confusion_NCC() == sample().confusion_NCC()).all()
    assert (back.images, back.groups, back.classes) == (("a b", "ü"), ("g1", "g1"), ("x", "y", "straße"))


@pytest.mark.parametrize("damage", ["truncate", "not a file of counts", "class out of range", "other version"])
def test_damage_is_named(tmp_path, damage):
    path = tmp_path / "val.npz"
    save_counts(path, sample())
    with np.load(path) as file:
        arrays = dict(file)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "not a file of counts":
        path.write_bytes(b"hello")
    elif damage == "class out of range":
        np.savez(path, **{**arrays, "true": arrays["true"] + 5})
    else:
        np.savez(path, **{**arrays, "version": 9})
    with pytest.raises(InputError, match=r"val\.npz"):
        load_counts(path)


def test_pickled_objects_are_not_read(tmp_path):
    path = tmp_path / "val.npz"
    save_counts(path, sample())
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "images": np.array([object()])})
    with pytest.raises(InputError, match="not a counts file"):
        load_counts(path)


def test_fingerprint_is_pinned():
    """Ids of all runs of all users hang on this; a change here makes every stored result unknown."""
    assert fingerprint({"b": [1, 1.0, "ü"], "a": None}) == "896b6132d2d2"
    assert fingerprint({"a": None, "b": [1, 1.0, "ü"]}) == fingerprint({"b": [1, 1.0, "ü"], "a": None})
    assert fingerprint(1) != fingerprint(1.0)
