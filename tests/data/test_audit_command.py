"""`harness data audit` as its user runs it."""

import json
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from layout_trees import make_offroad
from typer.testing import CliRunner, Result

from harness.cli.app import app
from harness.data.recognised import Layout
from harness.errors import InputError

STUDY = """
study: toy
question: Does it matter?
base:
  data: {{name: offroad, root: {root}, size: [32, 64]}}
  model: {{name: unet, base_channels: 4}}
  loss: {{cross_entropy: {{}}}}
  optimizer: {{name: adam, lr: 1.0e-3}}
variants:
  baseline: {{}}
  half: {{set: {{data.fraction: 0.5}}}}
{more}
seeds: [0]
"""
FILES = ["audit.json", "audit.md", "class_pixels.png", "labels.png"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an off-road tree below the current folder, with one image in train and val."""
    monkeypatch.chdir(tmp_path)
    root = make_offroad(tmp_path / "offroad", images={"train": 3, "val": 6})
    copy = root / "val/Color_Images/ww0000012.png"
    copy.write_bytes((root / "train/Color_Images/cc0000013.png").read_bytes())
    return root


def audit(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "audit", *map(str, arguments)])


def write_study(root: Path, more: str = "") -> Path:
    path = root.parent / "toy.yaml"
    path.write_text(STUDY.format(root=root, more=textwrap.indent(more, "  ")))
    return path


def test_a_study_is_audited_with_warnings_first_and_files_beside(root: Path) -> None:
    done = audit(write_study(root))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        f"offroad {root}",
        "warning: 1 image of val is also in train, pixel for pixel: a score on val partly tells what was learnt by "
        "heart: ww0000012 = cc0000013",
    ]
    assert lines[-1] == "0 errors, 1 warning; figures and every file's name: audit/toy"
    assert sorted(path.name for path in Path("audit/toy").iterdir()) == FILES
    for name in FILES[2:]:
        assert min(PIL.Image.open(Path("audit/toy") / name).size) > 200


def test_json_is_what_the_file_holds(root: Path) -> None:
    done = audit(write_study(root), "--json", "--out", "elsewhere")
    (answer,) = json.loads(done.stdout)["audits"]
    assert answer == json.loads(Path("elsewhere/audit.json").read_text())
    assert answer["twins"] == [
        {"kind": "exact", "splits": ["train", "val"], "names": ["cc0000013", "ww0000012"], "bits": 0}
    ]


def test_every_data_set_of_a_study_is_audited(root: Path) -> None:
    study = write_study(root, "drawn: {set: {data: {name: desert, train_images: 4, val_images: 6, test_images: 2}}}")
    done = audit(study, "--json")
    assert [item["data"] for item in json.loads(done.stdout)["audits"]] == ["offroad", "desert"]
    for folder in ("1-offroad", "2-desert"):
        assert sorted(path.name for path in (Path("audit/toy") / folder).iterdir()) == FILES


def test_the_page_begins_with_what_was_found(root: Path) -> None:
    mask = root / "train/Segmentation/cc0000012.png"
    PIL.Image.fromarray(np.full((32, 64), 7, np.uint16)).save(mask)
    (root / "train/Segmentation/cc0000014.png").unlink()
    done = audit(write_study(root))
    assert done.exit_code == 2
    page = Path("audit/toy/audit.md").read_text().splitlines()
    assert page[:5] == [
        "# Audit of offroad",
        "",
        "- **error** (unknown ids): label ids without a class: 7 (2,048 px); known ids: 100, 200, 300, 500, 550, 600, "
        "700, 800, 7100, 10000; give them a class, or declare them ignored; first file: train/Segmentation/"
        "cc0000012.png",
        "- **error** (faulty files): images without a label: 1 file, first train/Color_Images/cc0000014.png (there "
        "is no train/Segmentation/cc0000014.png); repair them, or write data.on_bad_image: skip",
        "- **warning** (leakage): 1 image of val is also in train, pixel for pixel: a score on val partly tells what "
        "was learnt by heart: ww0000012 = cc0000013",
    ]
    assert "## Faulty files" in page
    assert "| train/cc0000013 | val/ww0000012 | exact | 0 |" in page


def test_user_data_are_untouched_and_pages_repeat_byte_for_byte(root: Path) -> None:
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    study = write_study(root)
    audit(study)
    first = {name: (Path("audit/toy") / name).read_bytes() for name in FILES}
    audit(study)
    assert {name: (Path("audit/toy") / name).read_bytes() for name in FILES} == first
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == files


def test_a_folder_is_recognised(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = [
        Layout("offroad", {"root": str(root)}, "Color_Images and Segmentation"),
        Layout("folder", {}, "pictures and masks"),
    ]
    module = SimpleNamespace(recognise=lambda place: layouts if place == root else [])
    monkeypatch.setitem(sys.modules, "harness.data.layouts", module)
    done = audit(root)
    assert done.exit_code == 0, done.output
    first, *guessed, last = done.stderr.splitlines()
    assert first == f"{root}: read as offroad (Color_Images and Segmentation)"
    assert [line.split(":")[0].strip() for line in guessed] == [
        "guessed, so see that it is right",
        "division",
        "classes",
        "groups",
    ]
    assert last == "it could also be read as folder (pictures and masks)"
    assert sorted(path.name for path in Path("audit/offroad").iterdir()) == FILES


def test_a_place_that_is_not_there(root: Path) -> None:
    done = audit("nowhere.yaml")
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == (
        f"nowhere.yaml: there is no such file or folder: {Path.cwd()} holds no 'nowhere.yaml'; "
        "give a study in YAML, or the folder of a data set"
    )
