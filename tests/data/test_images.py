import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from harness.data.images import ColourMaskError, check_image, read_ids, read_image, resize_pair
from harness.errors import InputError

IDS = np.array([[0, 1, 2], [3, 250, 255]], np.uint8)


def test_8_bit_label(tmp_path: Path) -> None:
    PIL.Image.fromarray(IDS).save(tmp_path / "a.png")
    ids = read_ids(tmp_path / "a.png")
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, IDS)


def test_16_bit_label_keeps_ids_above_255(tmp_path: Path) -> None:
    wide = np.array([[100, 7100], [10000, 65535]], np.uint16)
    PIL.Image.fromarray(wide).save(tmp_path / "a.png")
    ids = read_ids(tmp_path / "a.png")
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, wide)


def test_palette_label_gives_indices_not_colours(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(IDS, mode=None).convert("L")
    palette = PIL.Image.new("P", picture.size)
    palette.putpalette([200, 10, 10] * 256)  # one colour for all: only the indices can tell pixels apart
    palette.putdata(IDS.ravel().tolist())
    palette.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), IDS)


def write_grey_png(path: Path, ids: npt.NDArray[np.uint8], bits: int) -> None:
    """Write a grey PNG of 1, 2 or 4 bits by hand: Pillow cannot."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = []
    for row in ids:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(b"\0" + bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8)))
    header = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_narrow_grey_labels_are_not_spread_over_0_to_255(tmp_path: Path, bits: int) -> None:
    ids = (np.arange(12, dtype=np.uint8) % (1 << bits)).reshape(3, 4)
    write_grey_png(tmp_path / "a.png", ids, bits)
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colour_mask_says_what_to_do(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mask.png"
    PIL.Image.new(mode, (2, 2)).save(path)
    with pytest.raises(ColourMaskError) as caught:
        read_ids(path)
    assert str(caught.value) == (
        f"{path}: a colour picture ({mode}), but labels are ids in one channel: "
        "write each pixel's class id into an 8-bit, 16-bit or palette PNG"
    )


def test_pictures_of_other_modes_become_rgb(tmp_path: Path) -> None:
    PIL.Image.new("RGBA", (3, 2), (10, 20, 30, 0)).save(tmp_path / "rgba.png")
    PIL.Image.new("L", (3, 2), 7).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "rgba.png")[0, 0].tolist() == [10, 20, 30]
    assert read_image(tmp_path / "grey.png").tolist() == np.full((2, 3, 3), 7).tolist()


def test_16_bit_picture_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((2, 2), 5000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: a picture of more than 8 bits a channel"):
        read_image(tmp_path / "a.png")


def test_every_cut_of_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 9, (8, 8), np.uint8)).save(whole)
    content = whole.read_bytes()
    for length in range(len(content) - 12):  # the last 12 bytes only say that the file ends
        cut.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"cut\.png"):
            check_image(cut)


def test_a_cut_label_is_an_error_unless_every_pixel_is_there(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    ids = np.random.default_rng(0).integers(0, 9, (8, 8), np.uint8)
    PIL.Image.fromarray(ids).save(whole)
    content, errors = whole.read_bytes(), 0
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        try:
            np.testing.assert_array_equal(read_ids(cut), ids)
        except InputError as error:
            assert "cut.png" in str(error)
            errors += 1
    assert errors > len(content) - 30  # what may be missing are checksums and the end mark


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png: cannot be read"):
        read_image(tmp_path / "gone.png")


def test_check_image_gives_height_and_width(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (7, 3)).save(tmp_path / "a.png")
    assert check_image(tmp_path / "a.png") == (3, 7)


def test_resize_takes_the_middle_of_labels_and_the_mean_of_pictures() -> None:
    label = np.kron(np.array([[1, 2], [3, 255]], np.uint8), np.ones((3, 3), np.uint8))
    image = np.zeros((6, 6, 3), np.uint8)
    image[:, ::2] = 200
    small_image, small_label = resize_pair(image, label, (2, 2))
    assert small_label.tolist() == [[1, 2], [3, 255]]
    assert small_image.shape == (2, 2, 3)
    assert 80 < small_image.mean() < 120  # without antialiasing each pixel would be 0 or 200


def test_resize_never_makes_new_ids() -> None:
    label = np.random.default_rng(1).choice(np.array([0, 9, 255], np.uint8), (37, 53))
    for size in ((10, 11), (64, 99), (37, 53)):
        image, resized = resize_pair(np.zeros((37, 53, 3), np.uint8), label, size)
        assert image.shape[:2] == resized.shape == size
        assert set(np.unique(resized)) <= {0, 9, 255}
