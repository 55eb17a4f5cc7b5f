import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.audit.findings import Finding, make_findings
from harness.audit.measure import Audit, audit_source, choose_examples
from harness.audit.run import audit_data, gather, propose_weights
from harness.data.source import IGNORE, Fault, Source, Split
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError
from harness.registry import choose

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="real data not at ../shared/data")
CLASSES = ("ground", "thing", "sky")
Rows = Sequence[Sequence[int]]


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def make_split(
    labels: Sequence[Rows],
    images: Sequence[np.ndarray] | None = None,
    groups: Sequence[str] = (),
    recordings: Sequence[str] = (),
    start: int = 0,
) -> Split:
    """Return a split of labels given as rows of raw ids, with pictures of noise unless they are given."""
    pictures = images or [noise(start + k) for k in range(len(labels))]
    names = tuple(f"i{start + k}" for k in range(len(labels)))

    def no_label(index: int) -> np.ndarray:
        raise AssertionError("the audit reads raw ids")

    return Split(
        names=names,
        groups=tuple(groups) or names,
        read_image=lambda k: pictures[k],
        read_label=no_label,
        read_ids=lambda k: np.array(labels[k], np.uint8),
        digest="",
        recordings=tuple(recordings),
    )


def make_source(splits: Mapping[str, Split], notes: tuple[str, ...] = (), faults: tuple[Fault, ...] = ()) -> Source:
    colours = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
    taxonomy = Taxonomy("toy", CLASSES, colours, {0: 0, 1: 1, 2: 2, 9: IGNORE})
    return Source(taxonomy, splits, listed=faults, notes=notes)


def told(audit: Audit, level: str = "warning") -> list[str]:
    return [finding.told for finding in make_findings(audit, "error") if finding.level == level]


EVERYTHING = [[0, 1], [2, 0]]
SIX = make_split([EVERYTHING] * 6, start=50)


def test_pixels_are_counted_by_hand() -> None:
    train = make_split([[[0, 0, 1], [9, 0, 2]], [[1, 1, 1], [1, 9, 9]]])
    audit = audit_source(make_source({"train": train, "val": SIX}))
    split = audit.splits["train"]
    assert split.pixels_NC.tolist() == [[3, 1, 1], [0, 4, 0]]
    assert split.class_pixels == [3, 5, 1]
    assert split.class_images == [1, 2, 1]
    assert split.ignored == 3
    assert split.imbalance == 5.0
    assert split.sizes == {"8x8": 2}
    assert (split.images, split.names, split.places) == (2, ("i0", "i1"), (0, 1))


def test_mean_and_deviation_of_the_training_pixels() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    mixed = np.zeros((2, 8, 3), np.uint8)
    mixed[..., 0], mixed[0, :, 1] = 255, 51
    audit = audit_source(make_source({"train": make_split([EVERYTHING] * 2, [black, mixed]), "val": SIX}))
    assert audit.mean_rgb == pytest.approx((0.5, 0.05, 0.0))
    assert audit.std_rgb == pytest.approx((0.5, np.sqrt(0.25 * 0.15**2 + 0.75 * 0.05**2), 0.0))


def test_agreement_of_neighbours_and_of_images_apart() -> None:
    labels = [[[0, 0]], [[0, 0]], [[1, 1]], [[1, 9]]]
    audit = audit_source(make_source({"train": make_split(labels), "val": SIX}))
    alike = audit.splits["train"].alike
    assert alike is not None
    assert (alike.neighbours, alike.apart) == pytest.approx((2 / 3, 0))  # apart: 0 with 2, 1 with 3
    audit = audit_source(make_source({"train": make_split(labels, groups="aabb"), "val": SIX}))
    alike = audit.splits["train"].alike
    assert alike is not None
    assert alike.neighbours == 1.0


def test_what_cannot_be_decoded_is_a_fault_and_the_others_are_measured() -> None:
    train = make_split([EVERYTHING] * 3)

    def read_image(index: int) -> np.ndarray:
        if index == 1:
            raise InputError("train/i1.jpg: cannot be read: it ends early")
        return noise(index)

    broken = Split(train.names, train.groups, read_image, train.read_label, train.read_ids, "")
    audit = audit_source(make_source({"train": broken, "val": SIX}))
    assert [(fault.kind, fault.split, fault.name, fault.file) for fault in audit.faults] == [
        ("cannot be decoded", "train", "i1", "train/i1.jpg")
    ]
    assert audit.splits["train"].names == ("i0", "i2")
    assert audit.splits["train"].places == (0, 2)
    assert told(audit, "error") == [
        "cannot be decoded: 1 file, first train/i1.jpg: cannot be read: it ends early; "
        "training would stop at them, whatever data.on_bad_image says: repair or remove them"
    ]


def test_progress_counts_the_images_of_all_splits() -> None:
    steps: list[tuple[int, int]] = []
    train = make_split([EVERYTHING] * 3)
    audit_source(make_source({"train": train, "val": SIX}), lambda done, total: steps.append((done, total)))
    assert steps == [(k, 9) for k in range(1, 10)]


def test_an_empty_split_is_an_error() -> None:
    audit = audit_source(make_source({"train": make_split([]), "val": make_split([])}))
    assert told(audit, "error") == ["train has no image that can be used", "val has no image that can be used"]
    assert audit.mean_rgb == ()
    assert all(set(proposal.loss_shares) == {0.0} for proposal in propose_weights(audit))
    assert choose_examples(audit) == ()


def finding_of(splits: Mapping[str, Split]) -> list[str]:
    return told(audit_source(make_source(splits)))


def test_classes_that_a_split_lacks() -> None:
    train, val = [[0, 0], [0, 2]], [[0, 0], [0, 1]]
    assert finding_of({"train": make_split([train]), "val": make_split([val] * 6, start=9)}) == [
        "val shows classes that train never shows, and that will score 0: thing",
        "val does not show, and cannot judge: sky",
    ]
    assert finding_of({"train": make_split([[[0, 1]]]), "val": make_split([[[1, 0]]] * 6, start=9)}) == [
        "on no pixel of any split: sky; is the class list the right one?"
    ]


def test_one_clip_that_training_shows_too() -> None:
    train = make_split([EVERYTHING] * 3, groups="abc", recordings=["x", "y", "y"])
    val = make_split([EVERYTHING] * 6, groups=[*"defghi"], recordings=["y"] * 6, start=9)
    assert finding_of({"train": train, "val": val}) == [
        "val is one clip: its 6 images (6 groups) are all of recording y, which 2 training images show too; "
        "neighbouring labels agree on 100 %; it is one independent unit, and a score on it says little about other "
        "recordings"
    ]


def test_one_group_is_one_clip_where_recordings_are_unknown() -> None:
    train = make_split([EVERYTHING] * 2, groups="xx")
    val = make_split([[[0, 1], [2, 9]]] * 2, groups="yy", start=9)
    assert finding_of({"train": train, "val": val}) == [
        "val is one clip: its 2 images are all of group y; neighbouring labels agree on 100 %; it is one independent "
        "unit, and a score on it says little about other groups"
    ]


def test_recordings_on_both_sides() -> None:
    train = make_split([EVERYTHING] * 3, groups="abc", recordings="xyz")
    val = make_split([EVERYTHING] * 6, groups=[*"defghi"], recordings=[*"xxyyww"], start=9)
    assert finding_of({"train": train, "val": val}) == ["2 of the 3 recordings of val are also in train: x, y"]


def test_names_of_single_images_are_no_shared_groups() -> None:
    splits = {name: make_split([EVERYTHING] * 6, [noise(k + start) for k in range(6)]) for name, start in NUMBERS}
    assert finding_of(splits) == []


NUMBERS = (("train", 0), ("val", 9))


def test_frames_of_a_film_that_count_as_independent() -> None:
    scenes = [[[0] * 8]] * 4 + [[[1] * 8]] * 4
    audit = audit_source(make_source({"train": make_split(scenes), "val": SIX}))
    assert told(audit)[0] == (
        "train looks like a film: labels of images that follow one another agree on 86 %, of images far apart on 0 %, "
        "but each image counts as independent; intervals will be too narrow"
    )


def test_copies_within_and_across_splits() -> None:
    pictures = [noise(k) for k in range(4)]
    train = make_split([EVERYTHING] * 3, [pictures[0], pictures[1], pictures[0]])
    val = make_split([EVERYTHING] * 6, [pictures[1], *[noise(k) for k in range(20, 25)]], start=9)
    assert finding_of({"train": train, "val": val}) == [
        "1 image of val is also in train, pixel for pixel: a score on val partly tells what was learnt by heart: "
        "i9 = i1",
        "1 image of train repeats another one of it, and counts twice: i2 = i0",
    ]


def test_few_groups_sizes_imbalance_and_notes() -> None:
    sizes = [np.zeros((2, 2 + k, 3), np.uint8) for k in range(2)]
    train = make_split([[[0] * 30, [1, *[2] * 29]]] * 2, sizes)
    audit = audit_source(
        make_source({"train": train, "val": make_split([EVERYTHING] * 2, start=9)}, notes=("Beware.",))
    )
    assert told(audit) == [
        "val has 2 groups to resample: intervals from so few units are not to be trusted",
        "Beware.",
    ]
    assert told(audit, "note") == [
        "train has 30 times as many pixels of ground as of thing, its rarest class",
        "pictures have 3 sizes (height x width, images): 8x8 (2), 2x2 (1), 2x3 (1)",
    ]


def test_many_names_are_shortened_and_errors_come_first() -> None:
    faults = tuple(Fault("unreadable", "train", f"n{k}", f"f{k}", f"f{k}: broken") for k in range(9))
    source = make_source({"train": make_split([EVERYTHING]), "val": make_split([EVERYTHING])}, ("Beware.",), faults)
    findings = make_findings(audit_source(source), "error")
    assert findings[0] == Finding(
        "error",
        "faulty files",
        "unreadable: 9 files, first f0: broken; also n1, n2, n3, n4, n5, and 3 more; "
        "repair them, or write data.on_bad_image: skip",
    )
    levels = [finding.level for finding in findings]
    assert levels == sorted(levels, key=("error", "warning", "note").index)


def test_examples_show_every_class_and_every_split() -> None:
    train = make_split([[[0, 0]], [[0, 1]], [[1, 1]], [[0, 0]]])
    val = make_split([[[0, 0]], [[2, 0]]], start=9)
    test = make_split([[[0, 9]], [[0, 1]]], start=20)
    audit = audit_source(make_source({"train": train, "val": val, "test": test}))
    chosen = choose_examples(audit)
    assert {("train", 2), ("val", 1), ("test", 1)} <= set(chosen)
    shown = {k for name, place in chosen for k in np.nonzero(audit.splits[name].pixels_NC[place])[0].tolist()}
    assert shown == {0, 1, 2}


def test_proposed_weights_share_the_loss_as_their_rules_say() -> None:
    train = make_split([[[0, 0, 0, 0, 1, 1], [2, 9, 0, 0, 0, 0]]])
    proposals = {p.rule: p for p in propose_weights(audit_source(make_source({"train": train, "val": SIX})))}
    assert list(proposals) == ["none", "inverse_frequency", "median_frequency", "effective_number"]
    assert proposals["none"].weights == (1, 1, 1)
    assert proposals["none"].loss_shares == pytest.approx((8 / 11, 2 / 11, 1 / 11))
    assert proposals["inverse_frequency"].loss_shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert proposals["inverse_frequency"].weights == pytest.approx(
        [3 * w / (1 / 8 + 1 / 2 + 1) for w in (1 / 8, 1 / 2, 1)]
    )
    for proposal in proposals.values():
        assert sum(proposal.loss_shares) == pytest.approx(1)


def desert(**settings: object) -> Callable[..., object]:
    return choose(
        "data", "desert", {"train_images": 4, "val_images": 3, "test_images": 2, "size": [32, 32], **settings}
    )


def test_choices_that_read_the_same_files_are_audited_once() -> None:
    same = [desert(), desert(fraction=0.5), desert(inputs=["rgb", "depth"]), desert()]
    other = [desert(on_bad_image="skip"), desert(val_images=2)]
    assert gather([*same, *other]) == (tuple(same[:3]), (other[0],), (other[1],))


def test_settings_that_cannot_be_opened_are_an_error() -> None:
    found = audit_data((desert(folds=50),))
    assert found.refused
    assert found.findings[0] == Finding("error", "settings", "data.folds: 50 folds of 7 groups; give at most 7")


def test_the_record_is_json() -> None:
    found = audit_data((desert(),))
    answer = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert answer["version"] == 1
    assert answer["data"] == "desert"
    assert answer["refused"] is found.refused is False
    assert answer["splits"]["train"]["class_pixels"] == found.audit.splits["train"].class_pixels
    assert sum(answer["splits"]["train"]["class_pixels"]) == 4 * 32 * 32
    assert [entry["rule"] for entry in answer["class_weights"]] == [p.rule for p in found.proposals]
    assert answer["classes"][0] == {"name": "Trees", "ids": [100], "colour": [0, 96, 60]}


@needs_data
def test_camvids_val_split_is_one_clip() -> None:
    found = audit_data((choose("data", "camvid", {"root": str(SHARED / "camvid-240x180")}),))
    assert not found.refused
    assert [finding.told for finding in found.findings if finding.level == "warning"] == [
        "val is one clip: its 101 images (10 groups) are all of recording 0016E5, which 204 training images show too; "
        "neighbouring labels agree on 95 %; it is one independent unit, and a score on it says little about other "
        "recordings"
    ]
    assert found.audit.faults == ()
    assert found.audit.twins == ()
    assert found.audit.splits["val"].recordings == {"0016E5": 101}
