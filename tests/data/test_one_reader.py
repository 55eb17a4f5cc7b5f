"""One reader: training, audit, `show`, `predict`, `init` and `export` give the same pixels or the same refusal."""

import io
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import chunk, exif_of, noise, write_bare_png, write_png, write_tiff
from PIL import ImageOps

from harness.apply.export.parity import find_pictures as find_export_pictures
from harness.apply.predict.infer import _read_all
from harness.apply.predict.input_images import find_pictures
from harness.audit.measure import audit_source
from harness.cli.init import init_spec
from harness.data import open_whole
from harness.data.images import check_image, read_bands, read_ids, read_image
from harness.data.prepared import PreparedSplit
from harness.data.stored import FORMATS, LONGEST_SIDE_PX, MOST_PIXELS
from harness.errors import InputError
from harness.execute.inputs import digest_source
from harness.registry import choose

RGB = noise(6, 8, 3)
GREY = RGB[..., :1]
OPAQUE = np.full((6, 8, 1), 255, np.uint8)
FEW = RGB // 128 * 128
"""Eight colours at most."""
DEEP = noise(6, 8, 3, dtype=np.uint16)


def pillow(picture, **options):
    return lambda path: picture.save(path, **options)


def image(values):
    return PIL.Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def key_of(colour):
    """Return the chunk that makes a colour of a PNG transparent."""
    return chunk(b"tRNS", np.array(colour, ">u2").tobytes())


def frames(seed=1):
    return {"save_all": True, "append_images": [image(noise(6, 8, 3, seed=seed))]}


def with_alpha(alpha):
    return np.concatenate([RGB, alpha], axis=2)


READ = {
    "plain.png": (pillow(image(RGB)), RGB),
    "grey.png": (pillow(image(GREY)), GREY),
    "palette.png": (pillow(image(FEW).quantize(8)), FEW),
    "black and white.png": (pillow(image(GREY).point(lambda value: value > 99, "1")), (GREY > 99) * np.uint8(255)),
    "opaque.png": (lambda path: write_png(path, with_alpha(OPAQUE), 6, 8), RGB),
    "all clear.png": (lambda path: write_png(path, with_alpha(0 * OPAQUE), 6, 8), RGB),
    "grey opaque.png": (lambda path: write_png(path, np.dstack([GREY, OPAQUE]), 4, 8), GREY),
    "unused key.png": (lambda path: write_png(path, FEW, 2, 8, before=key_of([1, 2, 3])), FEW),
    "plain.bmp": (pillow(image(RGB)), RGB),
    "plain.tif": (lambda path: write_tiff(path, RGB, photometric=2), RGB),
    "packed.tif": (pillow(image(RGB), compression="tiff_lzw"), RGB),
    "opaque.tif": (lambda path: write_tiff(path, with_alpha(OPAQUE), photometric=2, extra=(2,)), RGB),
    "white is zero.tif": (lambda path: write_tiff(path, GREY, photometric=0), 255 - GREY),
    "four bits.tif": (lambda path: write_tiff(path, GREY // 16, photometric=1, bits=4), GREY // 16 * 17),
    "still.gif": (pillow(image(FEW).quantize(8)), FEW),
    "lossless.webp": (pillow(image(RGB), lossless=True), RGB),
    "turned.png": (pillow(image(RGB), exif=exif_of(6)), np.rot90(RGB, -1)),
    "turned behind.png": (lambda path: write_png(path, RGB, 2, 8, behind=chunk(b"eXIf", exif_of(3))), RGB[::-1, ::-1]),
    "turned.tif": (lambda path: write_tiff(path, RGB, photometric=2, more=((274, [8]),)), np.rot90(RGB)),
    "turned.webp": (pillow(image(RGB), lossless=True, exif=exif_of(5)), RGB.swapaxes(0, 1)),
    "nonsense exif.png": (pillow(image(RGB), exif=b"Exif\0\0MM\0*" + b"\xff" * 40), RGB),
    "orientation 77.png": (pillow(image(RGB), exif=exif_of(77)), RGB),
    "overview.tif": (lambda path: write_tiff_with_overview(path, RGB), RGB),
}
MANY = "more than 8 bits a channel"
CLEAR = "its transparency"
REFUSED = {
    "deep colour.png": (lambda path: write_png(path, DEEP, 2, 16), MANY),
    "deep grey.png": (lambda path: write_png(path, DEEP[..., :1], 0, 16), MANY),
    "deep alpha.png": (lambda path: write_png(path, noise(6, 8, 4, dtype=np.uint16), 6, 16), MANY),
    "deep colour.tif": (lambda path: write_tiff(path, DEEP, photometric=2), MANY),
    "deep grey.tif": (lambda path: write_tiff(path, DEEP[..., :1], photometric=1), MANY),
    "float.tif": (lambda path: write_tiff(path, GREY.astype(np.float32), photometric=1, number=3), MANY),
    "float colour.tif": (
        lambda path: write_tiff(path, RGB.astype(np.float32), photometric=2, number=3),
        "3 bands of 32",
    ),
    "signed.tif": (lambda path: write_tiff(path, GREY.view(np.int8), photometric=1, number=2), "have a sign"),
    "near infrared.tif": (lambda path: write_tiff(path, noise(6, 8, 4), photometric=2, extra=(0,)), "4 bands"),
    "five bands.tif": (lambda path: write_tiff(path, noise(6, 8, 5), photometric=2, extra=(0, 0)), "5 bands"),
    "fourth band.tif": (lambda path: write_tiff(path, noise(6, 8, 4), photometric=2), CLEAR),
    "two bands.tif": (lambda path: write_tiff(path, noise(6, 8, 2), photometric=1, extra=(0,)), "2 bands"),
    "eight bands.tif": (
        lambda path: write_tiff(path, noise(6, 8, 8, dtype=np.uint16), photometric=1, extra=(0,) * 7),
        "8 bands of 16 bits",
    ),
    "clear.png": (lambda path: write_png(path, noise(6, 8, 4), 6, 8), CLEAR),
    "clear colour.png": (lambda path: write_png(path, RGB, 2, 8, before=key_of(RGB[2, 2])), CLEAR),
    "clear index.png": (pillow(image(FEW).quantize(8), transparency=1), CLEAR),
    "half clear index.png": (pillow(image(FEW).quantize(8), transparency=bytes([9, 99])), CLEAR),
    "clear.webp": (pillow(image(noise(6, 8, 4)), lossless=True), CLEAR),
    "stack.tif": (lambda path: write_tiff(path, RGB, photometric=2, pages=5), "it holds 5 pages"),
    "film.png": (pillow(image(RGB), **frames()), "it holds 2 frames"),
    "film.gif": (pillow(image(FEW).quantize(8), **frames()), "it holds 2 frames"),
    "film.webp": (pillow(image(RGB), **frames()), "it holds 2 frames"),
    "print.jpg": (pillow(image(RGB).convert("CMYK")), "colours are CMYK"),
    "print.tif": (lambda path: write_tiff(path, noise(6, 8, 4), photometric=5), "colours are CMYK"),
    "lab.tif": (lambda path: write_tiff(path, RGB, photometric=8), "colours are LAB"),
    "video.tif": (lambda path: write_tiff(path, RGB, photometric=6), "colours are YCbCr"),
    "jpeg 2000.png": (lambda path: image(RGB).save(path, format="JPEG2000"), "not a picture in a format that is read"),
    "avif.png": (lambda path: image(RGB).save(path, format="AVIF"), "not a picture in a format that is read"),
    "postscript.png": (lambda path: image(RGB).save(path, format="EPS"), "not a picture in a format that is read"),
    "too many.png": (lambda path: write_bare_png(path, 20_000, 20_000), "20,000x20,000 pixels"),
    "too wide.png": (lambda path: write_bare_png(path, 1, 140_000), "1x140,000 pixels"),
    "torn.tif": (lambda path: path.write_bytes(tiff_bytes()[:9000]), "a damaged TIFF"),
}


def write_tiff_with_overview(path, values):
    """Write a TIFF with a smaller copy of its page, as cloud-optimised GeoTIFFs have them."""
    file = io.BytesIO()
    small = image(values).resize((4, 3))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    image(values).save(file, format="TIFF", save_all=True, append_images=[small])
    path.write_bytes(file.getvalue())


def tiff_bytes():
    file = io.BytesIO()
    image(noise(60, 80, 3)).save(file, format="TIFF", compression="tiff_lzw")
    return file.getvalue()


def make_data(root, name, write):
    """Write a data set of four pictures, the first of a kind, and return it; masks have the size of their pictures."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    write(root / "images" / name)
    for k in range(1, 4):
        image(noise(6, 8, 3, seed=k)).save(root / "images" / f"z{k}.png")
    for path in (root / "images").iterdir():
        shape = READ[name][1].shape[:2] if path.name == name and name in READ else (6, 8)
        image(noise(*shape, 1) % 2).save(root / "masks" / f"{path.stem}.png")
    return open_whole(data_at(root))


def data_at(root):
    return choose("data", "folder", {"root": str(root), "classes": ["a", "b"], "val_fraction": 0.25})


def place_of(source, name):
    return next((s, s.names.index(name)) for s in source.splits.values() if name in s.names)


def training(source, root, path):
    split, index = place_of(source, path.stem)
    return PreparedSplit(split, source.taxonomy, "native", "native").pair(index)[0]


def first_check(source, root, path):
    raise_first(source.check(), root, path)


def audit(source, root, path):
    raise_first(audit_source(source).faults, root, path)


def raise_first(faults, root, path):
    for fault in faults:
        if fault.name == path.stem:
            raise InputError(str(root / fault.told))


def show(source, root, path):
    split, index = place_of(source, path.stem)
    return PreparedSplit(split, source.taxonomy, "native", "native", cached=False).pair(index)[0]


def predict(source, root, path):
    failed = []
    (read,) = [*_read_all(find_pictures([str(path)]), failed)] or [None]
    if failed:
        raise InputError(failed[0].reason)
    return read.image


def export(source, root, path):
    chosen = SimpleNamespace(config=SimpleNamespace(data=data_at(root)))
    pictures = find_export_pictures(chosen, root / "images")
    return pictures.read(pictures.names.index(path.name))


READERS = {f.__name__: f for f in (training, first_check, audit, show, predict, export)}


@pytest.mark.parametrize("name", READ)
def test_every_reader_gives_the_same_upright_pixels(tmp_path, name):
    write, expected = READ[name]
    source = make_data(tmp_path / "data", name, write)
    path = tmp_path / "data" / "images" / name
    bands, _ = read_bands(path)
    np.testing.assert_array_equal(bands, expected)
    assert bands.dtype == np.uint8
    three = np.broadcast_to(expected, (*expected.shape[:2], 3))
    for reader in READERS.values():
        if path.suffix == ".gif" and reader is not predict:
            continue  # no ending of a data set
        if (found := reader(source, tmp_path / "data", path)) is not None:
            np.testing.assert_array_equal(found, three, err_msg=reader.__name__)


@pytest.mark.parametrize("name", REFUSED)
def test_every_reader_refuses_what_would_be_lost_in_the_same_words(tmp_path, name):
    write, told = REFUSED[name]
    source = make_data(tmp_path / "data", name, write)
    path = tmp_path / "data" / "images" / name
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    for reader in READERS.values():
        if path.suffix == ".gif" and reader is not predict:
            continue
        with pytest.raises(InputError) as again:
            reader(source, tmp_path / "data", path)
        assert str(again.value) == str(caught.value), reader.__name__


@pytest.mark.parametrize("name", ["deep colour.png", "stack.tif", "clear.png", "too many.png"])
def test_init_says_why_it_cannot_read_the_first_picture(tmp_path, name):
    make_data(tmp_path / "data", name, REFUSED[name][0])
    (tmp_path / "data" / "images" / name).rename(tmp_path / "data" / "images" / f"a{name}")
    (tmp_path / "data" / "masks" / f"{name[:-4]}.png").rename(tmp_path / "data" / "masks" / f"a{name[:-4]}.png")
    for k in range(1, 4):
        REFUSED[name][0](tmp_path / "data" / "images" / f"z{k}{name[-4:]}")
        if name.endswith(".tif"):
            (tmp_path / "data" / "images" / f"z{k}.png").unlink()
    with pytest.raises(InputError, match=REFUSED[name][1]):
        init_spec(tmp_path / "data", tmp_path / "study.yaml")
    assert not (tmp_path / "study.yaml").exists()


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: write_bare_png(path, 20_000, 20_000), "20,000x20,000 pixels .* too many: up to 268,435,456"),
        (lambda path: write_tiff(path, GREY, photometric=1, pages=3), "it holds 3 pages"),
        (lambda path: path.write_bytes(b"no picture"), "not a picture in a format"),
    ],
)
def test_init_says_why_no_mask_can_be_read(tmp_path, write, told):
    make_data(tmp_path / "data", "plain.png", READ["plain.png"][0])
    for path in (tmp_path / "data" / "masks").iterdir():
        write(path)
    with pytest.raises(InputError, match=rf"no mask in .*/masks can be read \(4 masks were tried\): .*masks/.*{told}"):
        init_spec(tmp_path / "data", tmp_path / "study.yaml")


IDS = noise(6, 8, 1) % 4
MASKS_READ = {
    "grey.png": (lambda path: write_png(path, IDS, 0, 8), IDS),
    "palette.png": (lambda path: paletted(IDS).save(path), IDS),
    "clear palette.png": (lambda path: paletted(IDS).save(path, transparency=0), IDS),
    "two bits.tif": (lambda path: write_tiff(path, IDS, photometric=1, bits=2), IDS),
    "four bits.tif": (lambda path: write_tiff(path, IDS, photometric=1, bits=4), IDS),
    "unused clear palette.png": (lambda path: paletted(IDS).save(path, transparency=99), IDS),
    "overview.tif": (lambda path: write_tiff_with_overview(path, IDS), IDS),
    "wide.tif": (lambda path: write_tiff(path, IDS.astype(np.uint32), photometric=1), IDS),
    "turned.png": (lambda path: image(IDS).save(path, exif=exif_of(8)), np.rot90(IDS)),
    "turned palette.png": (lambda path: paletted(IDS).save(path, exif=exif_of(3)), IDS[::-1, ::-1]),
    "turned.tif": (lambda path: write_tiff(path, IDS, photometric=1, more=((274, [6]),)), np.rot90(IDS, -1)),
    "turned deep.png": (
        lambda path: write_png(path, IDS * np.uint16(300), 0, 16, before=chunk(b"eXIf", exif_of(2))),
        IDS[:, ::-1] * np.uint16(300),
    ),
}
MASKS_REFUSED = {
    "white is zero.tif": (lambda path: write_tiff(path, IDS, photometric=0), "0 is white"),
    "float.tif": (lambda path: write_tiff(path, IDS.astype(np.float32), photometric=1, number=3), "float numbers"),
    "stack.tif": (lambda path: write_tiff(path, IDS, photometric=1, pages=2), "it holds 2 pages"),
    "two bands.tif": (lambda path: write_tiff(path, noise(6, 8, 2), photometric=1, extra=(0,)), "2 bands"),
    "colour stack.tif": (lambda path: write_tiff(path, RGB, photometric=2, pages=2), "it holds 2 pages"),
    "deep colours.png": (lambda path: write_png(path, DEEP, 2, 16), "a colour picture"),
    "print.tif": (lambda path: write_tiff(path, noise(6, 8, 4), photometric=5), "a colour picture"),
    "jpeg 2000.png": (lambda path: image(IDS).save(path, format="JPEG2000"), "not a picture in a format that is read"),
    "colours.png": (lambda path: image(RGB).save(path), "a colour picture"),
    "too many.png": (lambda path: write_bare_png(path, 20_000, 20_000), "20,000x20,000 pixels"),
}


def paletted(ids_HW1, colours=((0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200))):
    picture = PIL.Image.fromarray(ids_HW1[..., 0])
    picture.putpalette([value for colour in colours for value in colour])
    return picture


@pytest.mark.parametrize("name", MASKS_READ)
def test_ids_are_those_stored_and_upright(tmp_path, name):
    write, expected = MASKS_READ[name]
    write(tmp_path / name)
    found = read_ids(tmp_path / name)
    np.testing.assert_array_equal(found, expected[..., 0])


@pytest.mark.parametrize("name", MASKS_REFUSED)
def test_labels_are_refused_where_ids_would_be_lost_or_doubtful(tmp_path, name):
    write, told = MASKS_REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=told):
        read_ids(tmp_path / name)


ROWS = {
    "grey, 8 bits or less": ("grey.png", "four bits.tif"),
    "a palette": ("palette.png", "palette.png"),
    "red, green and blue, 8 bits": ("plain.png", "colours.png"),
    "16 bits, grey": ("deep grey.png", "turned deep.png"),
    "16 bits, in colour": ("deep colour.tif", "deep colours.png"),
    "floating point": ("float.tif", "float.tif"),
    "an EXIF orientation": ("turned.png", "turned.png"),
    "transparency that is the same everywhere": ("opaque.png", "unused clear palette.png"),
    "transparency that differs": ("clear index.png", "clear palette.png"),
    "a further band (near infrared)": ("near infrared.tif", "two bands.tif"),
    "several pages, slices or frames": ("stack.tif", "stack.tif"),
    "a smaller copy of itself (GeoTIFF's overviews)": ("overview.tif", "overview.tif"),
    "CMYK, LAB or YCbCr colours": ("print.jpg", "print.tif"),
    "TIFF in which 0 is white": ("white is zero.tif", "white is zero.tif"),
    f"more than {MOST_PIXELS:,} pixels, or {LONGEST_SIDE_PX:,} a side": ("too many.png", "too many.png"),
    f"another format than {', '.join(FORMATS).replace('WEBP', 'WebP')}": ("avif.png", "jpeg 2000.png"),
}
"""Row of the table in docs/own-data.md -> a picture and a mask that it is about."""


def test_the_table_of_what_is_read_is_true():
    """The files themselves are read, and refused, by the tests above."""
    page = (Path(__file__).parents[2] / "docs/own-data.md").read_text()
    rows = [
        line.strip("| ").split(" | ") for line in page.split("| a file that stores")[1].split("\n\n")[0].splitlines()
    ]
    assert [title for title, *_ in rows[2:]] == list(ROWS)
    for title, of_picture, of_mask in rows[2:]:
        picture, mask = ROWS[title]
        assert of_picture.startswith("read" if picture in READ else "refused"), title
        assert picture in READ or picture in REFUSED
        assert of_mask.startswith("read" if mask in MASKS_READ else "refused"), title
        assert mask in MASKS_READ or mask in MASKS_REFUSED


@settings(max_examples=60, deadline=None)
@given(
    orientation=st.integers(1, 8),
    ending=st.sampled_from(["png", "jpg", "webp", "tif", "deflate.tif"]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    mode=st.sampled_from(["RGB", "L"]),
)
def test_pictures_are_turned_as_pillow_turns_them(tmp_path_factory, orientation, ending, height, width, mode):
    path = tmp_path_factory.mktemp("a") / f"a.{ending}"
    options = {"compression": "tiff_adobe_deflate"} if ending == "deflate.tif" else {}
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image(noise(height, width, 3)).convert(mode).save(path, exif=exif, **options)
    with path.open("rb") as opened, PIL.Image.open(opened) as picture:  # not by its path: see `harness.data.stored`
        upright = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), upright)
    assert check_image(path) == upright.shape[:2]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_pixels_or_one_error_and_no_warning(tmp_path_factory, data):
    """Whatever byte is wrong, and in whatever format: never another exception, and no word of Pillow's."""
    format_ = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM"]))
    file = io.BytesIO()
    image(FEW).save(file, format=format_, **({} if format_ in ("PPM", "BMP", "GIF") else {"exif": exif_of(6)}))
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("a") / "a.png"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    for read in (read_image, read_ids, check_image):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                read(path)
            except InputError as error:
                assert str(path) in str(error)
        assert not caught


def test_ids_of_runs_change_where_pixels_do_and_nowhere_else(tmp_path):
    """The digest of files whose reading has not changed is that of their bytes, as it was before."""
    from harness.data.digests import digest_files

    def digest_of(folder):
        source = make_data(tmp_path / folder, "plain.png", writers[folder])
        for name, split in source.splits.items():
            files = [tmp_path / folder / kind / f"{image}.png" for image in split.names for kind in ("images", "masks")]
            yield name, split.digest == digest_files({f.relative_to(tmp_path / folder).as_posix(): f for f in files})

    writers = {"as before": pillow(image(RGB)), "mirrored": pillow(image(RGB), exif=exif_of(2))}
    assert all(same for _, same in digest_of("as before"))
    source = open_whole(choose("data", "folder", {"root": str(tmp_path / "as before"), "classes": ["a", "b"]}))
    split_of_plain = dict(digest_of("mirrored"))
    assert sorted(split_of_plain.values()) == [False, True]  # the other split has no mirrored picture
    assert digest_source(source) == digest_source(source)
