"""Pictures of phones, sensors and scanners on their way through whole commands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from picture_files import chunk, exif_of, noise, write_bare_png, write_png, write_tiff
from PIL import Image
from tiny_study import harness_here

from harness.audit.measure import audit_source
from harness.data import open_whole
from harness.registry import choose

ROOT = Path(__file__).parents[2]
SPEC = """
study: phone
question: Is the reader one?
base:
  data: {name: folder, root: d, classes: [ground, thing], val_fraction: 0.3, size: native}
  model: {name: unet, base_channels: 2}
  loss: {cross_entropy: {}}
  train: {epochs: 1, batch_size: 2}
variants: {plain: {}}
seeds: [0]
"""


def run(place, *words):
    """Run the program, and all that it starts, where Pillow warns of pictures of 5,000 pixels as of 90 million."""
    (place / "python").mkdir(exist_ok=True)
    (place / "python" / "sitecustomize.py").write_text("import PIL.Image\nPIL.Image.MAX_IMAGE_PIXELS = 5_000\n")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{place / 'python'}:{ROOT}",
        "HARNESS_CACHE": str(place / "cache"),
        "PYTHONWARNINGS": "default",
    }
    code = "import sys; sys.argv = ['harness', *sys.argv[1:]]; from harness.cli.app import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(
        command,
        cwd=place,
        env={**environment, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )


def make_folders(place):
    for folder in ("images", "masks"):
        (place / "d" / folder).mkdir(parents=True)
    return place / "d" / "images", place / "d" / "masks"


def test_phone_pictures_are_read_upright_under_their_upright_masks(tmp_path):
    """Square, so that no size gives them away: a picture that lay on its head would not fit its mask."""
    images, masks = make_folders(tmp_path)
    for k in range(6):
        label = (noise(8, 8, 1, seed=k)[..., 0] > 127).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(label).save(masks / f"p{k}.png")
        stored = Image.fromarray(label * np.uint8(200)).convert("RGB").transpose(Image.Transpose.ROTATE_180)
        stored.save(images / f"p{k}.jpg", quality=95, exif=b"Exif\0\0" + exif_of(3))
    source = open_whole(choose("data", "folder", {"root": str(tmp_path / "d"), "classes": ["a", "b"]}))
    for split in source.splits.values():
        for k in range(len(split.names)):
            thing = split.read_label(k) == 1
            assert split.read_image(k)[thing].mean() > 190
            assert split.read_image(k)[~thing].mean() < 10


def test_a_mask_is_turned_by_its_own_tag_and_a_size_that_then_differs_is_a_fault(tmp_path):
    images, masks = make_folders(tmp_path)
    label = np.zeros((4, 6), np.uint8)
    label[0] = 1
    for k, (tag_of_image, tag_of_mask) in enumerate([(6, 6), (6, 1), (3, 1), (1, 3)]):
        picture = Image.fromarray(np.repeat(label[..., None] * np.uint8(255), 3, axis=2))
        picture.save(images / f"p{k}.png", exif=exif_of(tag_of_image))
        Image.fromarray(label).save(masks / f"p{k}.png", exif=exif_of(tag_of_mask))
    source = open_whole(choose("data", "folder", {"root": str(tmp_path / "d"), "classes": ["a", "b"]}))
    assert [(fault.name, fault.told) for fault in source.check()] == [
        ("p1", "masks/p1.png: the label is 4x6, the image 6x4")
    ]
    found = {name: (split, k) for split in source.splits.values() for k, name in enumerate(split.names)}
    for name, fits in (("p0", True), ("p2", False), ("p3", False)):
        split, k = found[name]
        assert np.array_equal(split.read_image(k)[..., 0] // 255, split.read_label(k)) == fits


@pytest.mark.parametrize(
    ("ending", "write", "told"),
    [
        (
            "png",
            lambda path, k: write_png(path, noise(8, 8, 3, dtype=np.uint16, seed=k), 2, 16),
            "more than 8 bits a channel",
        ),
        ("tif", lambda path, k: write_tiff(path, noise(8, 8, 3, seed=k), photometric=2, pages=5), "it holds 5 pages"),
    ],
)
def test_init_audit_and_run_refuse_what_would_be_lost_in_one_message(tmp_path, ending, write, told):
    images, masks = make_folders(tmp_path)
    for k in range(4):
        write(images / f"p{k}.{ending}", k)
        Image.fromarray(noise(8, 8, 1, seed=k)[..., 0] % 2).save(masks / f"p{k}.png")
    (tmp_path / "s.yaml").write_text(SPEC)
    for words in (["init", "d"], ["data", "audit", "s.yaml"], ["run", "s.yaml"], ["data", "show", "s.yaml"]):
        done = harness_here(*words, cwd=tmp_path)
        assert done.returncode == 2, words
        assert told in done.stdout + done.stderr, words
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "study.yaml").exists()


@pytest.mark.slow
def test_no_command_shows_the_warnings_of_pillow(tmp_path):
    """Files at which Pillow warns: large ones, broken EXIF and animation data, transparency of a palette."""
    images, masks = make_folders(tmp_path)
    text = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + b"\x87\x69\0\x04\0\0\0\x01\x7f\0\0\0" * 3
    writers = [
        lambda path: write_bare_png(path, 96, 96),
        lambda path: Image.new("RGB", (64, 64)).save(path, format="JPEG", exif=text),
        lambda path: Image.new("P", (64, 64), 1).save(path, transparency=bytes([255, 255])),
        lambda path: write_png(path, noise(64, 64, 3), 2, 8, before=chunk(b"acTL", bytes(8))),
        lambda path: write_tiff(path, noise(64, 64, 3), photometric=2, more=((34665, [9]), (34853, [7]))),
    ]
    for k, write in enumerate([*writers, *writers[1:]]):
        write(images / f"p{k}.png")
        size = (64, 64) if k else (96, 96)
        Image.fromarray(np.resize(np.array([0, 1], np.uint8), size)).save(masks / f"p{k}.png")
    (tmp_path / "s.yaml").write_text(SPEC.replace("size: native", "size: [32, 32]"))
    for words in (["init", "d"], ["data", "audit", "s.yaml"], ["data", "show", "s.yaml"], ["run", "s.yaml"]):
        done = run(tmp_path, *words)
        assert "Pillow" not in done.stderr and "PIL" not in done.stderr, (words, done.stderr)
        assert "EXIF" not in done.stderr and "Bomb" not in done.stderr, (words, done.stderr)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


def test_audit_names_every_picture_whose_transparency_differs(tmp_path):
    images, masks = make_folders(tmp_path)
    for k in range(4):
        alpha = noise(8, 8, 4, seed=k)
        alpha[..., 3] = alpha[..., 3] if k % 2 else 255
        Image.fromarray(alpha).save(images / f"p{k}.png")
        Image.fromarray(noise(8, 8, 1, seed=k)[..., 0] % 2).save(masks / f"p{k}.png")
    source = open_whole(choose("data", "folder", {"root": str(tmp_path / "d"), "classes": ["a", "b"]}))
    assert sorted(fault.name for fault in audit_source(source).faults) == ["p1", "p3"]
