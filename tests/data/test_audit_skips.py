"""What `data.on_bad_image: skip` makes of bad files, and what it cannot."""

from pathlib import Path

from spoilt_trees import MAKERS, OFFROAD, choice_of, cut_short, jpeg_cut_short, unknown_offroad

from harness.audit.run import audit_data
from harness.data import open_source


def test_bad_images_that_the_study_skips_are_warnings(tmp_path: Path) -> None:
    root = MAKERS["offroad"](tmp_path)
    cut_short(root / OFFROAD[0])
    found = audit_data((choice_of("offroad", root, on_bad_image="skip"),))
    assert not found.refused
    assert found.findings[0].level == "warning"
    assert found.findings[0].told == (
        "unreadable: 1 file, first train/Color_Images/cc0000013.png: cannot be read: Truncated File Read; "
        "data.on_bad_image: skip leaves them out of every run"
    )
    assert found.audit.splits["train"].images == 3
    assert found.audit.splits["train"].names == ("cc0000012", "cc0000014")


def test_what_only_decoding_shows_is_skipped_too(tmp_path: Path) -> None:
    root = MAKERS["offroad"](tmp_path)
    jpeg_cut_short(root)
    choice = choice_of("offroad", root, on_bad_image="skip")
    assert "cc0000013" not in open_source(choice).splits["train"].names
    found = audit_data((choice,))
    assert not found.refused
    assert found.findings[0].level == "warning"


def test_ids_without_a_class_are_an_error_even_so(tmp_path: Path) -> None:
    root = MAKERS["offroad"](tmp_path)
    unknown_offroad(root)
    found = audit_data((choice_of("offroad", root, on_bad_image="skip"),))
    assert found.refused
    assert found.findings[0].kind == "unknown ids"
    unknown = found.audit.unknown[650]
    assert (unknown.pixels, unknown.images, unknown.first_file) == (7, 2, "train/Segmentation/cc0000013.png")
