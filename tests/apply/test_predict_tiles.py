"""Bounded memory changes nothing: strips, tiles and the estimate of what a forward pass occupies."""

from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from harness.apply.model import Model
from harness.apply.predict import tiles
from harness.apply.predict.infer import Predictor, Views
from harness.apply.predict.tiles import (
    SAFETY,
    Tiling,
    check_tiling,
    choose_tiling,
    forward_bytes_per_pixel,
    interpolate_rows,
    spans,
    strips_of,
    tiled_strips,
    window,
)
from harness.errors import InputError
from harness.models.network import Network
from harness.models.unet import make_unet
from harness.train.batches import Preprocessing, make_normalizer

UNET_REACH = 110
"""Pixels beyond a pixel that the U-Net looks at: 92 by its convolutions, the rest by pooling to multiples of 16."""


def make_model(network, num_classes, size="native"):
    network.module.eval()
    config = SimpleNamespace(
        data=SimpleNamespace(size=size),
        train=SimpleNamespace(precision="float32"),
        evaluate=SimpleNamespace(batch_size=4),
    )
    unit = Preprocessing(("rgb",), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    cpu = torch.device("cpu")
    return Model(config, num_classes, cpu, network, make_normalizer(unit, "contiguous", cpu))


def wrap(module):
    return Network(module=module, read=lambda logits: (logits, ()), backbone=(), classifier=())


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(1, 17),
)
@settings(max_examples=30, deadline=None)
def test_rows_interpolated_apart_are_those_of_the_whole(small, large, rows):
    logits_CHW = torch.from_numpy(np.random.default_rng(1).normal(size=(3, *small)).astype(np.float32))
    whole = functional.interpolate(logits_CHW[None], size=large, mode="bilinear", align_corners=False)[0]
    for top in range(0, large[0], rows):
        bottom = min(top + rows, large[0])
        part = interpolate_rows(logits_CHW, large, top, bottom)
        torch.testing.assert_close(part, whole[:, top:bottom], rtol=0, atol=2e-5)


def test_strips_of_a_picture_too_large_to_interpolate_whole(monkeypatch):
    logits_CHW = torch.randn(5, 30, 41, generator=torch.Generator().manual_seed(0))
    [whole] = strips_of([logits_CHW], (200, 301))
    monkeypatch.setattr(tiles, "WHOLE_BYTES", 0)
    monkeypatch.setattr(tiles, "STRIP_BYTES", 4 * 5 * 301 * 7)
    parts = list(strips_of([logits_CHW], (200, 301)))
    assert [part.top for part in parts] == list(range(0, 200, 7))
    torch.testing.assert_close(torch.cat([p.scores_CRW for p in parts], 1), whole.scores_CRW, rtol=0, atol=2e-5)


@given(st.integers(1, 700), st.integers(2, 8), st.integers(0, 4))
@settings(max_examples=200, deadline=None)
def test_tiles_cover_an_axis_with_the_overlap_and_begin_on_the_grid(length, side, overlap):
    side, overlap = 32 * side, 32 * min(overlap, side // 2)
    found = spans(length, side, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == length
    for (start, end), (following, _) in pairwise(found):
        assert start % 32 == following % 32 == 0
        assert start < following <= end - overlap
    assert all(end - start <= side + 31 for start, end in found)
    total = sum(np.pad(window(span, length, overlap), (span[0], length - span[1])) for span in found)
    assert total.min() > 0


@given(st.integers(64, 230), st.integers(64, 230), st.integers(0, 1))
@settings(max_examples=10, deadline=None)
def test_tiles_of_a_local_function_give_it_back(height, width, overlap):
    """A function of 17x17 pixels looks 8 pixels beyond each: a quarter of an overlap of 32."""
    reach = 8 if overlap else 0

    def blur(tile):
        image_CHW = torch.from_numpy(tile.astype(np.float32)).permute(2, 0, 1)[None]
        return functional.avg_pool2d(image_CHW, 2 * reach + 1, 1, reach, count_include_pad=False)[0]

    image = random_image(height, width)
    parts = list(tiled_strips(blur, image, Tiling(96, 128, 32 * overlap)))
    assert [part.top for part in parts] == np.cumsum([0, *(p.scores_CRW.shape[1] for p in parts[:-1])]).tolist()
    torch.testing.assert_close(torch.cat([p.scores_CRW for p in parts], 1), blur(image), rtol=0, atol=1e-3)


@torch.inference_mode()
def test_a_unet_sees_in_tiles_what_it_sees_in_the_whole():
    torch.manual_seed(0)
    model = make_model(make_unet(4, 3, 2), 4)
    image = random_image(96, 1500)
    tiling = Tiling(896, 896, 448)
    check_tiling(tiling)
    assert tiling.overlap / 4 >= UNET_REACH
    whole = model([image])[0]
    parts = list(tiled_strips(lambda tile: model([tile])[0], image, tiling))
    assert len(spans(1500, tiling.width, tiling.overlap)) > 1
    torch.testing.assert_close(torch.cat([p.scores_CRW for p in parts], 1), whole, rtol=0, atol=1e-4)
    short = list(tiled_strips(lambda tile: model([tile])[0], image, Tiling(128, 256, 0)))
    assert (torch.cat([p.scores_CRW for p in short], 1) - whole).abs().max() > 1e-2  # the overlap is what does it


@pytest.mark.parametrize(
    ("tiling", "told"),
    [(Tiling(100, 128, 32), "sides"), (Tiling(128, 128, 96), "overlap 96"), (Tiling(128, 128, 10), "overlap 10")],
)
def test_tiles_of_no_use_are_refused(tiling, told):
    with pytest.raises(InputError, match=told):
        check_tiling(tiling)


def test_the_estimate_counts_what_is_alive_at_once():
    """Two 1x1 convolutions, 3 -> 16 -> 4 channels: input and middle, or middle and output, live together."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 1), torch.nn.Conv2d(16, 4, 1))
    found = forward_bytes_per_pixel(make_model(wrap(module), 4)) / SAFETY
    uint8_and_float = 3 + 4 * 3
    least, most = 4 * (16 + 4), 4 * (3 + 16 + 4) + 2 * uint8_and_float
    assert least <= found <= most


def test_auto_tiles_stay_below_the_limit_and_depend_on_the_size_alone():
    assert choose_tiling(1000, 1000, bytes_per_pixel=400, num_classes=10, limit=400 * 10**6) is None
    tiling = choose_tiling(4000, 6000, bytes_per_pixel=400, num_classes=10, limit=10**9)
    check_tiling(tiling)
    assert 400 * tiling.height**2 + 2 * 4 * 10 * 6000 * tiling.height <= 10**9
    assert 400 * (tiling.height + 128) ** 2 + 2 * 4 * 10 * 6000 * (tiling.height + 128) > 10**9


@dataclass
class Recorder(torch.nn.Module):
    """A pixel-wise network that notes the sizes that it is given."""

    seen: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def forward(self, images_BCHW):
        self.seen.append(tuple(images_BCHW.shape[2:]))
        return images_BCHW * 10


def test_large_pictures_are_tiled_by_themselves_and_predicted_the_same(tmp_path):
    from PIL import Image

    from harness.apply.predict.input_images import find_pictures

    Image.fromarray(random_image(400, 500)).save(tmp_path / "a.png")
    pictures = find_pictures([str(tmp_path)])
    recorder = Recorder()
    model = make_model(wrap(recorder), 3)
    [whole] = Predictor(model, Views()).predict(pictures)
    assert whole.tiling is None
    predictor = Predictor(model, Views(), limit=4 * 10**6, maps=True)
    [tiled] = predictor.predict(pictures)
    assert tiled.tiling is not None
    recorder.seen.clear()
    list(predictor.predict(pictures))
    assert max(recorder.seen) <= (tiled.tiling.height + 31, tiled.tiling.width + 31)
    assert (tiled.label == whole.label).all()
    assert (tiled.label == random_image(400, 500).argmax(2)).all()


def test_tiles_for_a_model_that_resizes_are_refused():
    model = make_model(wrap(Recorder()), 3, size=(32, 48))
    with pytest.raises(InputError, match="32x48"):
        Predictor(model, Views(), tiling=Tiling(64, 64, 0))


def test_a_very_wide_picture_is_predicted_in_strips_of_columns_as_in_strips_of_rows(monkeypatch):
    """The same tiles and sums: labels differ at most where two classes are all but tied."""
    from harness.apply.predict import infer
    from harness.apply.predict.infer import _Read

    torch.manual_seed(3)
    model = make_model(make_unet(4, in_channels=3, base_channels=4), 4)
    image = random_image(70, 700)
    predictor = Predictor(model, Views(), tiling=Tiling(64, 128, 32), maps=True)
    tops = []
    monkeypatch.setattr(infer.tiles, "tiled_strips", lambda *args: (tops.append(args[1].shape), tiled_strips(*args))[1])
    by_columns = predictor._measure_tiles(_Read(None, image, False), Tiling(64, 128, 32))
    monkeypatch.setattr(infer, "_VERY_WIDE", 100)
    by_rows = predictor._measure_tiles(_Read(None, image, False), Tiling(64, 128, 32))
    assert tops == [(700, 70, 3), (70, 700, 3)]
    assert by_columns.label.shape == by_rows.label.shape == (70, 700)
    assert (by_columns.label == by_rows.label).mean() > 0.999
    np.testing.assert_allclose(by_columns.maps["confidence"] / 65535, by_rows.maps["confidence"] / 65535, atol=1e-4)
