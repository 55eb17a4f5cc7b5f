"""Masks with palettes: one colour that has two ids is an error, everywhere; palettes that agree are none."""

import numpy as np
import PIL.Image
import pytest

from harness.apply.predict.run import check_palettes
from harness.audit.findings import make_findings
from harness.audit.measure import audit_source
from harness.data import open_source, open_whole
from harness.data.faults import refuse
from harness.errors import InputError
from harness.registry import choose

BLACK, RED, GREEN, BLUE = (0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200)
SAME = [(BLACK, RED, GREEN, BLUE)] * 4
ADAPTED = [(BLACK, RED, GREEN), (BLACK, GREEN, RED), (BLACK, RED, GREEN), (BLACK, RED, GREEN)]
"""As a program saves them that makes a palette of the colours in each picture."""


def write_masks(root, palettes, ids=((0, 1, 2),) * 4):
    """Write a data set of square pictures; each mask has a palette (None: grey) and stripes of some ids."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for k, (palette, stripes) in enumerate(zip(palettes, ids, strict=True)):
        PIL.Image.new("RGB", (6, 6), (k, 50, 90)).save(root / "images" / f"{k}.png")
        mask = PIL.Image.fromarray(np.resize(np.array(stripes, np.uint8), (6, 6)))
        if palette is not None:
            mask.putpalette([value for colour in palette for value in colour])
        mask.save(root / "masks" / f"{k}.png")
    return {"root": str(root), "classes": ["a", "b", "c", "d"], "val_fraction": 0.25}


def test_a_colour_with_two_ids_is_refused_before_training_and_by_the_audit(tmp_path):
    settings = write_masks(tmp_path, ADAPTED)
    source = open_whole(choose("data", "folder", settings))
    with pytest.raises(InputError) as caught:
        refuse(source, source.check())
    assert str(caught.value).count("\n") == 1
    assert "palettes that disagree: " in str(caught.value)
    assert "the colour (" in str(caught.value)
    assert "save all masks with one palette" in str(caught.value)
    assert "on_bad_image" not in str(caught.value)
    errors = [f for f in make_findings(audit_source(source), "skip") if f.level == "error"]
    assert [finding.kind for finding in errors] == ["palettes that disagree"]
    with pytest.raises(InputError, match="palettes that disagree"):
        open_source(choose("data", "folder", {**settings, "on_bad_image": "skip"}))


@pytest.mark.parametrize(
    ("palettes", "ids"),
    [
        pytest.param(SAME, ((0, 1, 2), (3, 1, 0), (2, 2, 2), (0, 3, 1)), id="one palette"),
        pytest.param([SAME[0][:2], *SAME[1:]], ((0, 1), (0, 3), (2, 1), (0, 1)), id="cut short behind the last index"),
        pytest.param(ADAPTED, ((0, 0, 0), (0, 0, 0), (0, 1, 2), (0, 1, 2)), id="the indices that differ do not occur"),
        pytest.param([[RED] * 256] * 4, ((0, 1), (2, 3), (1, 1), (0, 2)), id="one colour for all"),
        pytest.param([None, SAME[0], None, SAME[0]], ((0, 1, 2),) * 4, id="grey ones beside them"),
    ],
)
def test_palettes_that_agree_over_the_indices_that_occur_are_no_fault(tmp_path, palettes, ids):
    source = open_whole(choose("data", "folder", write_masks(tmp_path, palettes, ids)))
    assert source.check() == ()
    check_palettes(sorted((tmp_path / "masks").iterdir()))


def test_predict_refuses_a_truth_whose_palettes_disagree(tmp_path):
    write_masks(tmp_path, ADAPTED)
    with pytest.raises(InputError, match=r"masks/1\.png: the colour .* has index 1, and index 2 in .*masks/0\.png"):
        check_palettes(sorted((tmp_path / "masks").iterdir()))
