"""Cityscapes: every layout it comes in, and the same scores as cityscapesScripts' evaluator on its own files."""

import numpy as np
import pytest
from layout_trees import CITIES, make_cityscapes, make_kaggle, make_offroad
from PIL import Image

from harness.counts import make_counts
from harness.data import open_source
from harness.data.label_sets import shipped_taxonomy
from harness.data.taxonomy import IGNORE, map_ids
from harness.errors import InputError
from harness.registry import choose
from harness.report.study.common_labels import LabelSet, map_classes, merge_counts
from harness.scores import iou_class


def open_as(name, root, **settings):
    return open_source(choose("data", name, {"root": str(root), **settings}))


@pytest.mark.parametrize("options", [{}, {"outer": True}, {"disparity": True, "outer": True}], ids=str)
def test_every_layout_is_found(tmp_path, options):
    source = open_as("cityscapes", make_cityscapes(tmp_path, **options))
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 5, "val": 2}
    train = source.splits["train"]
    assert train.groups == train.recordings == ("aachen",) * 3 + ("zurich",) * 2
    assert train.names[0] == "aachen_000000_000019"
    assert (train.read_depth is not None) == ("disparity" in options)
    assert source.check() == ()


def test_a_folder_around_all_of_it(tmp_path):
    make_cityscapes(tmp_path / "archive" / "cityscapes")
    assert len(open_as("cityscapes", tmp_path).splits["val"].names) == 2


def test_coarse_labels_are_for_training_only(tmp_path):
    root = make_cityscapes(tmp_path, coarse=True)
    coarse, fine = open_as("cityscapes", root, labels="gtCoarse"), open_as("cityscapes", root)
    assert coarse.splits["train"].digest != fine.splits["train"].digest
    assert coarse.splits["val"].digest == fine.splits["val"].digest


def test_one_set_of_labels_in_every_taxonomy(tmp_path):
    root = make_cityscapes(tmp_path)
    sources = {name: open_as("cityscapes", root, taxonomy=name) for name in ("cityscapes34", "cityscapes19")}
    ids = sources["cityscapes34"].splits["val"].read_ids(0)
    for name, source in sources.items():
        expected = map_ids(ids, shipped_taxonomy(name), "")
        np.testing.assert_array_equal(source.splits["val"].read_label(0), expected)
    digests = {source.splits["val"].digest for source in sources.values()}
    assert len(digests) == 1, "the images and labels are the same: results may be merged"


def test_what_is_not_there_is_said(tmp_path):
    (tmp_path / "leftImg8bit" / "train").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        open_as("cityscapes", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: there is no gtFine/train; cityscapes' root holds leftImg8bit/{{train,val}}/CITY/*.png and "
        "gtFine/{train,val}/CITY/*_labelIds.png"
    )


def test_disparity_is_read_as_published(tmp_path):
    root = make_cityscapes(tmp_path, disparity=True)
    depth = open_as("cityscapes", root).splits["train"].read_depth(0)
    stored = np.array(Image.open(next((root / "disparity/train/aachen").glob("*000000*.png")))).astype(np.float64)
    assert np.isnan(depth[:, :2]).all()
    np.testing.assert_allclose(depth[:, 2:], (stored[:, 2:] - 1) / 256, rtol=1e-6)


def as_set(name):
    taxonomy = shipped_taxonomy(name)
    return LabelSet(taxonomy.name, taxonomy.classes, taxonomy.class_of)


def counts_in_34(truths, predictions):
    confusions = []
    for truth, predicted in zip(truths, predictions, strict=True):
        confusion = np.zeros((34, 34), np.int64)
        np.add.at(confusion, (truth, predicted), 1)
        confusions.append(confusion)
    names = [str(k) for k in range(len(truths))]
    return make_counts(confusions, names, names, shipped_taxonomy("cityscapes34").classes)


def test_classes_and_categories_score_as_in_cityscapes_scripts(tmp_path):
    """Labels and predictions in all 34 ids, void ones included, on both sides."""
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as evaluator

    rng = np.random.default_rng(5)
    cities = {**CITIES, "val": {"lindau": 3, "munster": 2}}
    source = open_as("cityscapes", make_cityscapes(tmp_path, cities=cities, ids=range(34)), taxonomy="cityscapes34")
    val, predictions = source.splits["val"], []
    args = evaluator.args
    args.evalInstLevelScore, args.evalPixelAccuracy, args.quiet, args.JSONOutput = False, False, True, False
    matrix = evaluator.generateMatrix(args)
    for index in range(len(val.names)):
        truth = val.read_ids(index)
        predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 34, truth.shape)).astype(np.uint8)
        predictions.append(predicted)
        path = tmp_path / f"{index}.png"
        Image.fromarray(predicted).save(path)
        label = next((tmp_path / "gtFine/val").rglob(f"{val.names[index]}_gtFine_labelIds.png"))
        evaluator.evaluatePair(str(path), str(label), matrix, {}, {}, args)
    counts = counts_in_34([val.read_label(index) for index in range(len(val.names))], predictions)
    for name, theirs in (
        ("cityscapes19", lambda ids, class_name: evaluator.getIouScoreForLabel(ids[0], matrix, args)),
        ("cityscapes7", lambda ids, class_name: evaluator.getIouScoreForCategory(class_name, matrix, args)),
    ):
        taxonomy = shipped_taxonomy(name)
        merged = merge_counts(counts, map_classes(as_set("cityscapes34"), as_set(name)), taxonomy.classes)
        ours = iou_class(merged.confusion_CC())[: len(taxonomy.classes)]
        expected = [theirs(taxonomy.raw_ids(k), class_name) for k, class_name in enumerate(taxonomy.classes)]
        assert not np.isnan(ours).any()
        assert ours == pytest.approx(expected, abs=1e-12)


def test_kaggle_arrays(tmp_path):
    root = make_kaggle(tmp_path)
    source = open_as("kaggle_cityscapes", root)
    train = source.splits["train"]
    assert train.names == tuple(str(k) for k in range(11)), "in the order of numbers, not of texts"
    stored = np.load(root / "data/train/image/10.npy")
    assert stored.max() <= 1
    np.testing.assert_array_equal(train.read_image(10), np.rint(stored * 255).astype(np.uint8))
    labels = np.load(root / "data/train/label/10.npy").reshape(train.read_label(10).shape)
    np.testing.assert_array_equal(train.read_label(10), np.where(labels < 0, IGNORE, labels))
    depth = np.load(root / "data/train/depth/10.npy").reshape(labels.shape)
    np.testing.assert_array_equal(np.isnan(train.read_depth(10)), depth == 0)
    assert open_as("kaggle_cityscapes", root, taxonomy="cityscapes10").taxonomy.classes[0] == "road"


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("image", lambda a: a * 255, r"image/0\.npy: values from \S+ to \S+; pictures of this set lie in 0 to 1"),
        ("image", lambda a: a[..., 0], r"image/0\.npy: an array \(32, 64\); pictures are \(height, width, 3\)"),
        ("label", lambda a: a + 10, r"whole numbers from -1 to 18"),
        ("label", lambda a: a + 0.5, r"whole numbers from -1 to 18"),
    ],
)
def test_wrong_arrays_are_told(tmp_path, part, change, told):
    root = make_kaggle(tmp_path)
    path = root / f"data/train/{part}/0.npy"
    np.save(path, change(np.load(path).astype(np.float64)))
    source = open_as("kaggle_cityscapes", root)
    assert [fault.kind for fault in source.check()] == ["unreadable"]
    split = source.splits["train"]
    with pytest.raises(InputError, match=told):
        split.read_image(0) if part == "image" else split.read_label(0)


@pytest.mark.parametrize("outer", [False, True])
def test_offroad(tmp_path, outer):
    root = make_offroad(tmp_path, outer=outer, test_images=2)
    source = open_as("offroad", root)
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 3, "val": 2, "test": 2}
    assert source.splits["train"].read_ids(0).dtype == np.uint16
    assert set(np.unique(source.splits["val"].read_label(0))) == set(range(10))
    assert source.notes == ()
    other = open_as("offroad", root, taxonomy="offroad-background")
    assert other.taxonomy.classes[0] == "Background"
    flowers = source.splits["val"].read_ids(0) == 600
    assert flowers.any()
    assert (other.splits["val"].read_label(0)[flowers] == 0).all()
    assert "cannot be compared" in other.notes[0]
