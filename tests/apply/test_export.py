"""Exported files: another program gets the run's own numbers from them, and what cannot be trusted is not written."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import PIL.Image
import pytest
import torch
from finished_study import finished
from torch.nn import functional

from harness.apply.card.write import Licences, default_path
from harness.apply.export import export as export_module
from harness.apply.export import parity, quantize
from harness.apply.export.export import Options, export_run
from harness.counts import make_counts
from harness.data import open_source
from harness.errors import HarnessError, InputError
from harness.scores import miou_dataset
from harness.train.regions import count_confusion


def quiet(text):
    pass


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return the study, the chosen run, and its ONNX export with int8."""
    study = finished()
    chosen = study.choose()
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    made = export_run(chosen, Options(int8=True, margin=0.01, licences=Licences("public domain")), path, quiet)
    return study, chosen, made


def outside_counts(path, chosen):
    """Count the val split with onnxruntime, Pillow and what the file says of itself, as an outsider would."""
    session = onnxruntime.InferenceSession(path)
    said = session.get_modelmeta().custom_metadata_map
    height, width = json.loads(said["harness.input"])["resize_to"]
    split = open_source(chosen.config.data).splits["val"]
    confusions = []
    for index in range(len(split.names)):
        picture, label = PIL.Image.fromarray(split.read_image(index)), split.read_label(index)
        image = np.array(picture.resize((width, height), PIL.Image.Resampling.BILINEAR))
        logits = torch.from_numpy(session.run(["logits"], {"image": image[None]})[0])
        logits = functional.interpolate(logits, size=label.shape, mode="bilinear", align_corners=False)
        labels = logits[0].argmax(0).numpy().astype(np.uint8)
        confusions.append(count_confusion(labels, label, len(json.loads(said["harness.classes"]))))
    return make_counts(confusions, split.names, split.groups, chosen.classes)


def test_an_outsider_counts_with_the_onnx_file_what_is_stored_for_the_run(exported):
    _, chosen, made = exported
    counts, stored = outside_counts(made.path, chosen).confusion_NCC(), chosen.result.counts["val"].confusion_NCC()
    assert np.abs(counts - stored).sum() <= 2e-4 * stored.sum()  # equal scores of two classes may fall either way
    assert np.trace(stored.sum(axis=0)) > 0


def test_the_onnx_file_takes_any_number_of_pictures_of_any_size(exported):
    _, _, made = exported
    session = onnxruntime.InferenceSession(made.path)
    assert [axis for axis in session.get_inputs()[0].shape] == ["batch", "height", "width", 3]
    for shape in ((1, 48, 64), (3, 50, 71), (5, 33, 18)):
        images = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        together = session.run(None, {"image": images})[0]
        assert together.shape == (shape[0], 10, *shape[1:])
        alone = session.run(None, {"image": images[-1:]})[0]
        np.testing.assert_allclose(together[-1], alone[0], rtol=1e-4, atol=1e-4)


def test_the_file_says_what_it_is(exported):
    _, chosen, made = exported
    said = onnxruntime.InferenceSession(made.path).get_modelmeta().custom_metadata_map
    assert said == dict(made.metadata)
    assert said["harness.id"] == chosen.run_id
    assert said["harness.variant"] == "second"
    assert tuple(json.loads(said["harness.classes"])) == chosen.classes
    assert [tuple(colour) for colour in json.loads(said["harness.colours"])] == list(chosen.colours)
    assert json.loads(said["harness.preprocessing"])["mean"] == [0.5, 0.5, 0.5]
    assert json.loads(said["harness.licence"]) == {"data": "public domain", "weights": "not stated"}
    parity = json.loads(said["harness.parity"])
    assert parity["passed"] is True
    assert parity["images"] == 8
    assert [1, 48, 64] in parity["shapes"]
    assert any(batch == 3 and [height, width] != [48, 64] for batch, height, width in parity["shapes"])


def test_int8_is_judged_by_what_an_outsider_counts_with_it(exported):
    _, chosen, made = exported
    counts, stored = outside_counts(made.int8_path, chosen), chosen.result.counts["val"]
    delta = miou_dataset(counts.confusion_CC()) - miou_dataset(stored.confusion_CC())
    assert made.quantized.delta == pytest.approx(delta, abs=1e-9)
    assert made.quantized.delta != 0
    said = onnxruntime.InferenceSession(made.int8_path).get_modelmeta().custom_metadata_map
    about = json.loads(said["harness.quantization"])
    assert about["delta"] == pytest.approx(delta, abs=1e-9)
    assert about["outcome"] == made.quantized.outcome
    assert about["scope"] == "these weights"
    assert about["nodes"] == {"Conv": "19 of 19", "ConvTranspose": "0 of 4"}
    assert about["bytes_before"] == made.path.stat().st_size
    assert about["bytes_after"] < 0.6 * about["bytes_before"]


def two_class_counts(hits):
    """Return counts of images with 100 pixels of each class, of which `hits` each are right."""
    confusions = [np.array([[hit, 100 - hit], [0, 100]]) for hit in hits]
    names = [f"image{index}" for index in range(len(hits))]
    return make_counts(confusions, names, names, ("a", "b"))


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ([90, 91, 89, 90, 92, 88], [90, 91, 89, 90, 92, 88], "equivalent"),
        ([90, 91, 89, 90, 92, 88], [70, 72, 69, 69, 71, 70], "regressed"),
        ([70, 72, 69, 69, 71, 70], [90, 91, 89, 90, 92, 88], "improved"),
        ([90, 50, 89, 30, 92, 88], [50, 90, 80, 60, 60, 99], "undecided"),
        ([90], [10], "undecided"),
    ],
    ids=["same", "worse", "better", "noisy", "one group"],
)
def test_a_change_of_weights_is_judged_for_those_weights(before, after, outcome):
    effect, found = quantize.judge_counts(two_class_counts(before), two_class_counts(after), 0.01)
    assert found == outcome
    assert "these weights" in effect.scope


def test_torch_export_gives_the_same_logits_and_says_what_it_is(exported, tmp_path):
    _, chosen, onnx = exported
    made = export_run(chosen, Options("torch-export"), tmp_path / "model.pt2", quiet)
    files = {"harness.json": ""}
    program = torch.export.load(made.path, extra_files=files)
    said = json.loads(files["harness.json"])
    assert said["harness.id"] == chosen.run_id
    assert json.loads(said["harness.input"])["size"] == "multiples of 16"  # torch.export guards what it saw
    assert made.note.startswith("it takes pictures whose sides are multiples of 16: made for any size, ")
    images = np.random.default_rng(1).integers(0, 256, (5, 80, 112, 3), dtype=np.uint8)
    got = program.module()(torch.from_numpy(images)).detach().numpy()
    want = onnxruntime.InferenceSession(onnx.path).run(None, {"image": images})[0]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def test_an_export_that_gives_other_numbers_is_not_written(monkeypatch, tmp_path):
    real = export_module.make_artifact

    def wrong(program, fmt, threads):
        artifact = real(program, fmt, threads)
        return replace(artifact, run=lambda images: artifact.run(images) * 1.01)

    monkeypatch.setattr(export_module, "make_artifact", wrong)
    with pytest.raises(HarnessError, match="not kept: largest difference of logits") as raised:
        export_run(finished().choose(), Options("torch-export"), tmp_path / "model.pt2", quiet)
    assert raised.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_without_its_data_the_pictures_kept_with_the_run_are_used(monkeypatch):
    def gone(choice, seed):
        raise InputError("no such folder")

    monkeypatch.setattr(parity, "open_source", gone)
    chosen = finished().choose()
    pictures = parity.find_pictures(chosen, None)
    assert pictures.names == chosen.result.predictions.names
    assert "kept with the run" in pictures.source
    assert pictures.read(3).shape == (48, 64, 3)
    lacking = replace(chosen, result=replace(chosen.result, predictions=None))
    with pytest.raises(InputError, match="give some with --images FOLDER"):
        parity.find_pictures(lacking, None)


def test_a_folder_of_pictures_is_used_when_given(tmp_path):
    chosen = finished().choose()
    with pytest.raises(InputError, match="no pictures there"):
        parity.find_pictures(chosen, tmp_path)
    for index in range(60):
        PIL.Image.new("RGB", (20, 10), (index, 0, 0)).save(tmp_path / f"{index:02}.png")
    pictures = parity.find_pictures(chosen, tmp_path)
    assert len(pictures.names) == 50
    assert pictures.names[0] == "00.png"
    assert pictures.names[-1] == "59.png"
    assert pictures.read(49)[0, 0].tolist() == [59, 0, 0]


def test_data_that_changed_since_the_run_do_not_judge_it():
    chosen = finished().choose()
    contract = {**chosen.result.contract, "splits": {"val": "another"}}
    with pytest.raises(InputError, match="not the one that the run was judged on"):
        parity.open_judged(replace(chosen, result=replace(chosen.result, contract=contract)))


def test_int8_of_other_weights_than_the_stored_counts_is_refused(tmp_path):
    last = finished().choose_last()
    older = replace(last, result=replace(last.result, best_epoch=1, last_counts={}))
    with pytest.raises(InputError, match="stored counts, and this run has none of @last"):
        export_run(older, Options(int8=True), tmp_path / "model.onnx", quiet)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "onxx"], "did you mean 'onnx'"),
        (["--register", "scenes"], "use them with --format mlflow"),
        (["--format", "mlflow", "--alias", "champion"], "needs --register NAME"),
        (["--format", "torch-export", "--int8"], "use it with --format onnx"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said, capsys, monkeypatch, tmp_path):
    from harness.cli import app

    monkeypatch.chdir(tmp_path)
    study = finished()
    arguments = ["harness", "export", study.choose().run_id, *options, "--root", str(study.place / "mlruns")]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_writes_model_and_card_and_says_what_it_found(capsys, monkeypatch, tmp_path):
    from harness.cli.app import app

    monkeypatch.chdir(tmp_path)
    study = finished()
    arguments = ["export", "small/second@best", "--format", "torch-export", "--root", str(study.place / "mlruns")]
    app([*arguments, "--tracking-uri", study.uri, "--weights-licence", "MIT"], standalone_mode=False)
    said = capsys.readouterr()
    path = default_path(study.choose("small/second@best"), ".pt2")
    assert path.exists()
    assert path.suffix == ".pt2"
    assert said.out.splitlines()[:2] == [str(path), str(path.with_suffix(".md"))]
    assert "labels agree on 100.0000 % of pixels" in said.out
    card = path.with_suffix(".md").read_text()
    assert "labels agree on 100.0000 % of pixels" in card
    assert "| weights | MIT |" in card
