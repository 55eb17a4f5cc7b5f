"""Kept predictions: which images, what size, and back from the file as they were."""

import numpy as np
import pytest

from harness.errors import InputError
from harness.predictions import (
    PredictedImage,
    choose_evenly,
    downscale,
    load_predictions,
    pack_predictions,
    save_predictions,
    unpack,
)


def make_seen(seed: int, height: int = 40, width: int = 60) -> PredictedImage:
    rng = np.random.default_rng(seed)
    smooth = np.linspace(0, 255, width).astype(np.uint8)
    image = np.broadcast_to(smooth[None, :, None], (height, width, 3)).copy()
    return PredictedImage(image, *(rng.integers(0, 5, (height, width)).astype(np.uint8) for _ in range(2)))


@pytest.mark.parametrize(
    ("total", "most", "chosen"),
    [(0, 64, []), (1, 64, [0]), (3, 64, [0, 1, 2]), (5, 3, [0, 2, 4]), (500, 2, [0, 499]), (9, 0, [])],
)
def test_kept_images_are_evenly_spaced(total, most, chosen):
    assert choose_evenly(total, most) == chosen


def test_as_many_are_kept_as_asked_for():
    assert all(len(choose_evenly(total)) == min(total, 64) for total in range(400))


def test_downscaling_keeps_class_indices_and_whole_steps():
    label = np.arange(1024 * 5, dtype=np.uint16).reshape(5, 1024).astype(np.uint8)
    assert (downscale(label) == label[::2, ::2]).all()
    assert (downscale(label[:, :512]) == label[:, :512]).all()
    assert downscale(np.zeros((1025, 700), np.uint8)).shape == (342, 234)


def test_pictures_come_back_and_the_bytes_repeat(tmp_path):
    kept = [make_seen(0), make_seen(1, 20, 30)]
    packed = pack_predictions(["a/ü", "b"], kept)
    assert pack_predictions(["a/ü", "b"], kept) == packed
    save_predictions(tmp_path / "predictions.npz", packed)
    back = load_predictions(tmp_path / "predictions.npz")
    assert back == packed
    for name, seen in zip(packed.names, kept, strict=True):
        found = unpack(back, name)
        assert (found.label == seen.label).all()
        assert (found.prediction == seen.prediction).all()
        assert np.abs(found.image.astype(int) - seen.image).max() < 16
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as file:
        assert file["names"].tolist() == ["a/ü", "b"]
        assert (file["prediction1"] == kept[1].prediction).all()


def test_nothing_kept_is_a_file_too(tmp_path):
    save_predictions(tmp_path / "predictions.npz", pack_predictions([], []))
    assert load_predictions(tmp_path / "predictions.npz").names == ()


def test_damage_is_named(tmp_path):
    path = tmp_path / "predictions.npz"
    save_predictions(path, pack_predictions(["a"], [make_seen(0)]))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"predictions\.npz: not a file of predictions"):
        load_predictions(path)
