"""`harness predict` as its user runs it, on the winner of a study whose data are gone."""

import hashlib
import json
import os
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.metrics import jaccard_score
from tiny_study import harness_command
from torch.nn import functional

from harness import api
from harness.apply.model import load_model
from harness.apply.predict.legend import class_entries, count_labels
from harness.apply.predict.overlay import blend
from harness.apply.predict.run import PredictOptions
from harness.counts import load_counts, make_counts
from harness.data.images import read_ids, resize_image
from harness.data.label_sets import shipped_taxonomy
from harness.data.taxonomy import map_ids
from harness.train.regions import count_confusion

RUN = "rough/small@best"


@pytest.fixture(scope="module")
def store(trained):
    return api.open_store(trained.place / "mlruns")


def content(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def ids_of(path):
    return np.array(Image.open(path))


@pytest.mark.parametrize("variant", ["small", "native"])
@pytest.mark.parametrize("ids", ["train", "raw"])
def test_labels_of_the_val_images_give_the_counts_of_the_evaluation(call, store, trained, tmp_path, variant, ids):
    """Not nearly: every count, from the PNGs alone, counted here anew."""
    chosen = api.choose_run(f"rough/{variant}@best", store=store)
    code, _, err = call("predict", f"rough/{variant}@best", trained.images, "--out", tmp_path, "--ids", ids)
    assert code == 0, err
    confusions, names = [], []
    for path in sorted((tmp_path / "labels").iterdir()):
        predicted = ids_of(path)
        assert predicted.dtype == (np.uint16 if ids == "raw" else np.uint8)
        if ids == "raw":
            predicted = map_ids(predicted, chosen.taxonomy, path.name)
        truth = map_ids(read_ids(trained.truth / path.name), chosen.taxonomy, path.name)
        confusions.append(count_confusion(predicted, truth, len(chosen.classes)))
        names.append(path.stem)
    found, stored = make_counts(confusions, names, names, chosen.classes), chosen.result.counts["val"]
    assert names == list(stored.images)
    for name in ("image_K", "true_K", "predicted_K", "pixels_K"):
        assert np.array_equal(getattr(found, name), getattr(stored, name)), name


def test_the_same_command_gives_the_same_bytes(call, trained, tmp_path):
    options = ("--grid", "--maps", "--truth", trained.truth, "--flip", "--scales", "0.5,1")
    for name in ("a", "b"):
        code, _, err = call("predict", RUN, trained.images, "--out", tmp_path / name, *options)
        assert code == 0, err
    first = content(tmp_path / "a")
    assert first == content(tmp_path / "b")
    assert {name.split("/")[0] for name in first} == {
        "labels", "masks", "overlays", "confidence", "entropy", "grid.png", "counts.npz", "predictions.json"
    }  # fmt: skip


def test_truth_is_scored_as_others_score_it(call, trained, store, tmp_path):
    code, out, err = call("predict", RUN, trained.images, "--out", tmp_path, "--truth", trained.truth, "--json")
    assert code == 0, err
    answer = json.loads(out)
    chosen = api.choose_run(RUN, store=store)
    for entry in answer["images"]:
        truth = map_ids(read_ids(trained.truth / f"{entry['name']}.png"), chosen.taxonomy, "").ravel()
        predicted = ids_of(tmp_path / entry["files"]["labels"]).ravel()
        expected = jaccard_score(
            truth, predicted, average="macro", labels=np.union1d(truth, predicted), zero_division=0
        )
        assert entry["miou_image"] == pytest.approx(expected, abs=1e-12)
        assert entry["pixels"] == np.bincount(predicted, minlength=10).tolist()
    assert answer["scores"]["images"] == 5
    assert answer["scores"]["miou_image"] == pytest.approx(np.mean([e["miou_image"] for e in answer["images"]]))
    assert answer["images_per_s"] > 0
    best = chosen.result.history[chosen.result.best_epoch - 1].metrics
    assert answer["scores"]["miou_dataset"] == pytest.approx(best["val/miou_dataset"], abs=1e-12)
    assert load_counts(tmp_path / "counts.npz").pixels_K.sum() == 5 * 60 * 84
    assert json.loads((tmp_path / "predictions.json").read_text())["images"] == answer["images"]


def test_views_are_averaged_as_probabilities_at_the_pictures_size(trained, store, tmp_path):
    from harness.apply.predict.infer import Views

    wanted = PredictOptions(views=Views((0.5, 1.0), flip=True), maps=True, device="cpu")
    api.predict(RUN, [str(trained.images / "val_0001.png")], tmp_path, wanted=wanted, store=store)
    image = np.array(Image.open(trained.images / "val_0001.png"))
    model = load_model(api.choose_run(RUN, store=store), device="cpu")
    mean = 0
    for size in ((16, 24), (32, 48)):
        seen = resize_image(image, size)
        for mirrored in (False, True):
            logits = model([seen[:, ::-1] if mirrored else seen])
            logits = torch.flip(logits, dims=[3]) if mirrored else logits
            mean = mean + functional.interpolate(logits, size=(60, 84), mode="bilinear").softmax(1)[0] / 4
    top, label = mean.max(0)
    entropy = -(mean * mean.log()).sum(0) / np.log(10)
    clear = (mean.topk(2, dim=0).values.diff(dim=0)[0].abs() > 1e-6).numpy()
    assert (ids_of(tmp_path / "labels/val_0001.png") == label.numpy())[clear].all()
    for kind, expected in (("confidence", top), ("entropy", entropy)):
        found = ids_of(tmp_path / f"{kind}/val_0001.png")
        assert found.dtype == np.uint16
        np.testing.assert_allclose(found / 65535, expected.numpy(), atol=2e-5)


def test_all_kinds_of_pictures_are_read_or_named(call, trained, tmp_path):
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    (pictures / "deep").mkdir(parents=True)
    scene = Image.open(trained.images / "val_0000.png")
    scene.save(pictures / "plain.png")
    scene.save(pictures / "plain.bmp")
    scene.convert("L").save(pictures / "deep" / "grey.png")
    scene.convert("RGBA").save(pictures / "alpha.png")
    scene.quantize(64).save(pictures / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: viewers turn the picture by a quarter to the right
    scene.transpose(Image.Transpose.ROTATE_90).save(pictures / "turned.png", exif=exif)
    Image.fromarray(np.arange(100, dtype=np.uint16).reshape(10, 10)).save(pictures / "deep" / "deep16.png")
    (pictures / "torn.png").write_bytes((trained.images / "val_0000.png").read_bytes()[:900])
    (pictures / ".hidden.png").write_bytes(b"")
    (pictures / "notes.txt").write_text("no picture")
    before = content(pictures)
    code, out_text, err = call("predict", RUN, pictures, "--out", out, "--json", "--palette")
    answer = json.loads(out_text)
    assert code == 1
    assert "Traceback" not in err
    assert {entry["image"] for entry in answer["failed"]} == {
        str(pictures / "torn.png"), str(pictures / "deep" / "deep16.png")
    }  # fmt: skip
    assert "torn.png: cannot be read" in err
    assert "more than 8 bits" in err
    assert content(pictures) == before
    names = {entry["name"] for entry in answer["images"]}
    assert names == {"alpha", "deep/grey", "palette", "plain_bmp", "plain_png", "turned"}
    plain = Image.open(out / "labels" / "plain_png.png")
    assert plain.mode == "P"
    assert np.array_equal(np.array(plain.convert("RGB")), ids_of(out / "masks" / "plain_png.png"))
    for same in ("plain_bmp", "alpha", "turned"):
        assert np.array_equal(ids_of(out / "labels" / f"{same}.png"), np.array(plain)), same
    turned = next(entry for entry in answer["images"] if entry["name"] == "turned")
    assert (turned["turned"], turned["size"]) == (True, [60, 84])


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_as_viewers_turn_it(tmp_path, orientation, ending):
    from harness.data.images import read_picture

    stored = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)).resize((70, 50), 0)
    exif, path = Image.Exif(), tmp_path / f"a.{ending}"
    exif[0x0112] = orientation
    stored.save(path, exif=exif)
    with Image.open(path) as picture:
        upright = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    image, turned = read_picture(path)
    assert np.array_equal(image, upright)
    assert turned == (orientation > 1)


def test_the_legend_lists_the_classes_that_occur_and_no_others():
    taxonomy = shipped_taxonomy("camvid-11")
    label = np.array([[1, 1, 1], [1, 8, 255]], np.uint8)
    entries = class_entries(taxonomy, count_labels([label]), shares=True)
    assert [entry.text for entry in entries] == ["Building  80.0 %", "Car  20.0 %", "ignored"]
    assert entries[0].colour == taxonomy.colours[1]


def test_overlays_mix_as_asked_and_leave_ignored_pixels_alone():
    taxonomy = shipped_taxonomy("camvid-11")
    image, label = np.full((2, 2, 3), 100, np.uint8), np.array([[0, 1], [2, 255]], np.uint8)
    for opacity in (0.0, 0.25, 1.0):
        mixed = blend(image, label, taxonomy, opacity)
        assert mixed[1, 1].tolist() == [100, 100, 100]
        expected = np.rint((1 - opacity) * 100 + opacity * np.array(taxonomy.colours[1]))
        assert mixed[0, 1].tolist() == expected.tolist()


def test_a_label_that_does_not_fit_or_is_missing_leaves_the_others_scored(call, trained, tmp_path):
    truth, out = tmp_path / "truth", tmp_path / "out"
    truth.mkdir()
    names = sorted(path.name for path in trained.truth.iterdir())
    for name in names[1:]:
        (truth / name).write_bytes((trained.truth / name).read_bytes())
    Image.fromarray(np.full((10, 20), 100, np.uint16)).save(truth / names[1])
    Image.fromarray(np.full((60, 84), 123, np.uint16)).save(truth / names[2])
    code, text, err = call("predict", RUN, trained.images, "--out", out, "--truth", truth, "--json")
    answer = json.loads(text)
    assert code == 1
    assert len(answer["images"]) == 5
    assert answer["scores"]["images"] == 2
    assert "the label is 10x20, its picture 60x84" in err
    assert "label ids without a class: 123" in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["nowhere"], "there is no such file or folder"),
        (["IMAGES", "--ids", "rwa"], "did you mean 'raw'"),
        (["IMAGES", "--ids", "raw", "--palette"], "these raw ids reach 10000"),
        (["IMAGES", "--scales", "1,x"], "--scales"),
        (["IMAGES", "--tile", "64", "64"], "sees every picture at 32x48"),
        (["IMAGES", "--overlap", "32"], "needs --tile"),
        (["IMAGES", "--out", "IMAGES"], "among what is read"),
        (["IMAGES", "--out", "IMAGES/deeper"], "among what is read"),
        (["IMAGES/val_0000.png", "--out", "IMAGES"], "it holds what is read"),
        (["IMAGES", "--truth", "TRUTH", "--out", "TRUTH"], "among what is read"),
        (["IMAGES", "--truth", "IMAGES/.."], "no label of any"),
    ],
)
def test_wrong_input_is_one_message_and_nothing_is_written(call, trained, tmp_path, monkeypatch, options, told):
    words = [word.replace("IMAGES", str(trained.images)).replace("TRUTH", str(trained.truth)) for word in options]
    before = content(trained.place / "val")
    code, out, err = call("predict", RUN, *words, *([] if "--out" in options else ["--out", tmp_path / "out"]))
    assert code == 2, err
    assert told in err
    assert out == ""
    assert not (tmp_path / "out").exists()
    assert content(trained.place / "val") == before


def test_patterns_and_several_folders_keep_their_subfolders_apart(trained, tmp_path):
    from harness.apply.predict.input_images import find_pictures

    scene = (trained.images / "val_0000.png").read_bytes()
    for place in ("one/a.png", "one/sub/b.png", "two/a.png", "two/A.jpg", "one/.cache/c.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(scene)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert [picture.name for picture in find_pictures([one])] == ["a", "sub/b"]
    assert [picture.name for picture in find_pictures([f"{tmp_path}/one/**/*.png", one])] == ["a", "sub/b"]
    names = [picture.name for picture in find_pictures([one, two])]
    assert names == ["one/a_png", "sub/b", "A_jpg", "two/a_png"]
    assert len({name.casefold() for name in names}) == 4


@pytest.mark.slow
def test_the_program_itself_predicts_and_says_how_fast(trained, tmp_path):
    command = harness_command("predict", RUN, str(trained.images / "val_000[01].png"), "--out", str(tmp_path))
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        command, cwd=trained.place, capture_output=True, text=True, timeout=550, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 pictures predicted, ")
    assert "images/s" in done.stdout
    assert "2 of 2 pictures" in done.stderr
    assert "seed" in done.stderr
