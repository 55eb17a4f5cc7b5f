"""`predict` on pictures of extreme size or shape: bounded memory, and files of the picture's size."""

import io
import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.apply.predict.contact_sheet import draw_sheet, make_row
from harness.apply.predict.legend import LegendEntry, draw_legend, legend_height
from harness.apply.predict.overlay import _fit_legend, draw_overlay
from harness.apply.predict.png import write_png
from harness.data.label_sets import shipped_taxonomy

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from picture_files import write_bare_png
from picture_files import write_png as write_deep_png

RUN = "rough/small@best"
TAXONOMY = shipped_taxonomy("camvid-11")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(1, 1), (3, 5), (40, 33), (1, 400), (400, 1)]),
    kind=st.sampled_from(["grey", "deep", "colour", "palette"]),
    smooth=st.booleans(),
    strip=st.integers(1, 50),
    seed=st.integers(0, 9),
)
def test_what_is_written_in_strips_is_what_others_read(tmp_path_factory, shape, kind, smooth, strip, seed):
    values = np.random.default_rng(seed).integers(0, 256, (*shape, *([3] if kind == "colour" else [])), np.uint8)
    values = np.sort(values, axis=0) if smooth else values
    values = values.astype(np.uint16) * 257 if kind == "deep" else values
    colours = [(k, 255 - k, 7) for k in range(256)] if kind == "palette" else []
    path = tmp_path_factory.mktemp("a") / "a.png"
    write_png(path, shape, (values[top : top + strip] for top in range(0, shape[0], strip)), colours)
    with Image.open(path) as picture:
        picture.verify()
    with Image.open(path) as picture:
        assert picture.mode == {"grey": "L", "deep": "I;16", "colour": "RGB", "palette": "P"}[kind]
        assert np.array_equal(np.array(picture), values)
        if colours:
            assert picture.getpalette() == [value for colour in colours for value in colour]


def test_files_are_about_as_small_as_those_of_pillow(tmp_path):
    scene = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)).resize((640, 480))
    write_png(tmp_path / "a.png", (480, 640), [np.asarray(scene)])
    theirs = io.BytesIO()
    scene.save(theirs, format="PNG")
    assert (tmp_path / "a.png").stat().st_size < 1.3 * len(theirs.getvalue())


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (3, 20_000), (20_000, 300), (3000, 4000)])
@pytest.mark.parametrize("panels", [1, 2])
def test_an_overlay_has_about_the_size_of_its_picture_and_little_memory(size, panels):
    image = np.zeros((*size, 3), np.uint8)
    label = np.resize(np.arange(11, dtype=np.uint8), size)
    tracemalloc.start()
    (height, width), strips = draw_overlay(image, dict.fromkeys("ab"[:panels], label), TAXONOMY, 0.5)
    rows = 0
    for strip in strips:
        assert strip.shape[1:] == (width, 3)
        assert strip.dtype == np.uint8
        rows += len(strip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == height
    factor, rest = divmod((width + 8) // panels - 8, size[1])
    assert rest == 0
    assert factor == 1 or max(size) * factor <= 4 * 480
    assert size[0] * factor <= height <= 1.5 * size[0] * factor + 300
    assert peak < 120e6


def test_large_pictures_on_a_sheet_are_thinned_and_small_ones_are_not():
    label = np.resize(np.arange(11, dtype=np.uint8), (6000, 8000))
    image = np.zeros((6000, 8000, 3), np.uint8)
    tracemalloc.start()
    maps = {"confidence": label.astype(np.uint16)}
    row = make_row(image, label, caption="a", taxonomy=TAXONOMY, truth=label, maps=maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6
    assert {picture.shape for picture in row.cells.values()} == {(240, 320, 3)}
    assert draw_sheet([row], TAXONOMY, "a").width < 2000
    small = make_row(image[:60, :80], label[:60, :80], caption="a", taxonomy=TAXONOMY, truth=None, maps={})
    assert small.pixels.sum() == 60 * 80


def test_a_legend_of_many_classes_fits_a_large_picture():
    entries = [LegendEntry((k, k, k), f"a class with a long name {k}") for k in range(250)]
    size_px = _fit_legend(entries, 8000, 160, 6000)
    assert 12 < size_px < 160
    assert legend_height(entries, 8000, size_px) <= 3000
    assert draw_legend(entries, 8000, size_px).height == legend_height(entries, 8000, size_px)


def test_a_picture_of_one_row_is_predicted_at_its_size_and_one_too_large_is_named(call, tmp_path):
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    write_bare_png(pictures / "wide.png", 1, 100_000)
    write_bare_png(pictures / "tall.png", 100_000, 1)
    write_bare_png(pictures / "huge.png", 30_000, 30_000)
    write_deep_png(pictures / "deep.png", np.zeros((4, 4, 3), np.uint16), 2, 16)
    code, text, err = call("predict", RUN, pictures, "--out", out, "--json", "--maps", "--grid")
    answer = json.loads(text)
    assert code == 1
    assert {entry["name"]: entry["size"] for entry in answer["images"]} == {"tall": [100_000, 1], "wide": [1, 100_000]}
    assert [Path(entry["image"]).name for entry in answer["failed"]] == ["deep.png", "huge.png"]
    assert "huge.png: 30,000x30,000 pixels (height x width) are too many: up to 268,435,456 pixels" in err
    assert "Warning" not in err
    for name, size in (("wide", (100_000, 1)), ("tall", (1, 100_000))):
        for kind in ("labels", "masks", "overlays", "confidence", "entropy"):
            with Image.open(out / kind / f"{name}.png") as picture:
                assert picture.width == size[0]
                assert picture.height <= size[1] + 200
    assert sum(path.stat().st_size for path in out.rglob("*.png")) < 1e6


def test_phone_pictures_are_scored_upright_and_disagreeing_palettes_are_refused(call, trained, tmp_path):
    truth, pictures = tmp_path / "truth", tmp_path / "pictures"
    truth.mkdir(), pictures.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3
    for path in sorted(trained.images.iterdir())[:2]:
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(pictures / path.name, exif=exif)
        mask = Image.open(trained.truth / path.name)
        mask.transpose(Image.Transpose.ROTATE_180).save(truth / path.name, exif=exif)
    upright = [str(pictures / path.name).replace(str(pictures), str(trained.images)) for path in pictures.iterdir()]
    call("predict", RUN, *sorted(upright), "--out", tmp_path / "a", "--truth", trained.truth)
    call("predict", RUN, pictures, "--out", tmp_path / "b", "--truth", truth)
    first, second = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("a", "b"))
    assert [entry["turned"] for entry in second["images"]] == [True, True]
    assert first["scores"] == second["scores"]
    for path, colours in zip(sorted(truth.iterdir()), ((0, 0, 0, 200, 0, 0), (200, 0, 0, 0, 0, 0)), strict=True):
        mask = Image.fromarray(np.resize(np.array([0, 1], np.uint8), (60, 84)))
        mask.putpalette(colours)
        mask.save(path)
    code, _, err = call("predict", RUN, pictures, "--out", tmp_path / "c", "--truth", truth)
    assert code == 2
    assert "ids are indices" in err
    assert not (tmp_path / "c").exists()
