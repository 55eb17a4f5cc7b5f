"""The MLflow model: it answers where harness and torch are not, in Python and over HTTP, and leads back to its run."""

import base64
import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from faulty_mlflow import Faults, make_faulty
from finished_study import WINNER, finished
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from harness.apply.export import served
from harness.apply.export.export import Options, export_run
from harness.apply.export.mlflow import log_export
from harness.apply.model import load_model
from harness.data import open_source
from harness.data.images import resize_image
from harness.errors import InputError
from harness.tracking.mlflow_models import log_model, register
from harness.tracking.protocol import StoreError
from harness.train.chunked_argmax import label_pixels

SIDES = st.integers(1, 40)


@given(given=st.tuples(SIDES, SIDES), wanted=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_labels_at_another_size_are_those_that_runs_are_judged_with(given, wanted, seed):
    logits = np.random.default_rng(seed).normal(size=(4, *given)).astype(np.float32)
    found = served.label(logits, *wanted)
    assert found.shape == wanted
    assert (found != label_pixels(torch.from_numpy(logits), wanted).numpy()).mean() <= 0.01


def encoded(image, form="PNG"):
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, format=form)
    return file.getvalue()


def test_a_cell_is_base64_text_or_bytes_or_values():
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    png = encoded(image)
    for cell in (base64.b64encode(png).decode(), png, image, image.tolist()):
        np.testing.assert_array_equal(served.read_cell(cell), image)
    grey = served.read_cell(encoded(image[..., 0]))
    np.testing.assert_array_equal(grey, np.repeat(image[..., :1], 3, axis=2))
    assert served.read_cell(encoded(image, "JPEG")).shape == (7, 9, 3)


def test_a_picture_is_turned_upright_as_its_camera_says():
    lying, exif = PIL.Image.new("RGB", (9, 7)), PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    file = io.BytesIO()
    lying.save(file, format="JPEG", exif=exif)
    assert served.read_cell(file.getvalue()).shape == (9, 7, 3)


@pytest.mark.parametrize(
    "cell", ["no base64!", base64.b64encode(b"no picture").decode(), np.zeros((3, 4)), [[[300, 0, 0]]]]
)
def test_other_cells_are_refused(cell):
    with pytest.raises(ValueError, match="not a picture"):
        served.read_cell(cell)


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """Return the study and its winner's model, logged and registered as models:/scenes@champion."""
    study = finished()
    chosen = study.choose()
    made = export_run(chosen, Options("mlflow"), tmp_path_factory.mktemp("served") / "model.onnx", lambda text: None)
    return study, chosen, log_export(chosen, made, study.store, name="scenes", alias="champion")


def picture_and_labels(chosen):
    """Return a val picture and what the run itself says of it."""
    image = open_source(chosen.config.data).splits["val"].read_image(2)
    model = load_model(chosen, device="cpu")
    logits = model([resize_image(image, model.size)])[0]
    return image, label_pixels(logits, image.shape[:2]).numpy()


@pytest.mark.slow
def test_the_model_and_its_version_lead_back_to_the_run(registered):
    study, chosen, logged = registered
    client = MlflowClient(study.uri)
    model = client.get_logged_model(logged.model_id)
    version = client.get_model_version_by_alias("scenes", "champion")
    for tags in (model.tags, version.tags):
        assert tags["harness.id"] == chosen.run_id
        assert tags["harness.variant"] == "second"
    assert str(model.status) == "READY"
    assert version.run_id == model.source_run_id == logged.mlflow_run
    run = client.get_run(logged.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.tags["harness.id"] == chosen.run_id
    assert [item.model_id for item in run.outputs.model_outputs] == [logged.model_id]
    for name in ("models:/scenes@champion", f"models:/scenes/{version.version}", logged.uri):
        assert study.choose(name).run_id == chosen.run_id


@pytest.mark.slow
def test_a_second_registration_is_the_next_version_and_takes_the_alias(registered, tmp_path):
    study, _, logged = registered
    other = study.choose("small/baseline/seed1@best")
    made = export_run(other, Options("mlflow"), tmp_path / "other.onnx", lambda text: None)
    again = log_export(other, made, study.store, name="others", alias="champion")
    again = log_export(other, made, study.store, name="others", alias="champion")
    assert again.version == "2"
    assert study.choose("models:/others@champion").run_id == other.run_id
    assert study.choose("models:/scenes@champion").run_id == study.choose(WINNER).run_id
    assert again.model_id != logged.model_id


LONELY = """
    import sys

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("harness", "torch", "torchvision", "onnx"):
                raise ImportError(f"{name} is not installed here")

    sys.meta_path.insert(0, Blocked())
    import json
    import mlflow
    import numpy as np

    mlflow.set_tracking_uri(sys.argv[1])
    model = mlflow.pyfunc.load_model("models:/scenes@champion")
    image = np.load(sys.argv[2])
    labels = [answer["labels"].tolist() for answer in model.predict({"image": [image, image[:20, :30]]})]
    example = model.input_example
    print(json.dumps({
        "labels": labels,
        "loaded": sorted({name.split(".")[0] for name in sys.modules} & {"harness", "torch", "onnxruntime"}),
        "signature": model.metadata.signature.to_dict(),
        "example": len(model.predict(example)),
    }))
"""


@pytest.mark.slow
def test_it_loads_and_answers_where_harness_and_torch_are_not(registered, tmp_path):
    study, chosen, _ = registered
    image, labels = picture_and_labels(chosen)
    np.save(tmp_path / "image.npy", image)
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(LONELY), study.uri, str(tmp_path / "image.npy")],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["loaded"] == ["onnxruntime"]
    assert (np.array(answer["labels"][0]) == labels).mean() >= 0.999
    assert np.array(answer["labels"][1]).shape == (20, 30)
    assert "image" in answer["signature"]["inputs"]
    assert answer["example"] == 1


@pytest.mark.slow
def test_a_run_that_the_store_does_not_hold_is_named(registered):
    study, _, _ = registered
    with pytest.raises(InputError, match="does not hold run 123"):
        log_model(study.store, "123", "", None, {})


@pytest.mark.slow
def test_a_store_that_fails_takes_no_model_and_says_so_in_one_line(registered, monkeypatch):
    study, chosen, known = registered
    faults = Faults("*", ImportError("No module named 'psycopg'"))
    make_faulty(monkeypatch, faults)
    for name, store_model in {
        "the model is not logged": lambda: log_model(study.store, chosen.run_id, "small", None, {}),
        f"the model is logged as {known.uri}, but not registered": lambda: register(study.store, known, "x", None),
    }.items():
        with pytest.raises(StoreError) as told:
            store_model()
        assert str(told.value) == (
            f"{name}: the tracking store fails: it needs the package psycopg: pip install 'ablation-harness[postgres]'"
        )


@pytest.fixture
def server(registered):
    """Yield the URL of `mlflow models serve` with the champion, and end it."""
    study, _, _ = registered
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/scenes@champion"]
    process = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": study.uri,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/ping", process)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def wait_for(url, process):
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            assert process.poll() is None
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the server did not come up")


def post(url, content):
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=120))["predictions"]


@pytest.mark.slow
def test_mlflow_serves_it_to_whoever_posts_a_picture(registered, server):
    _, chosen, _ = registered
    image, labels = picture_and_labels(chosen)
    text = base64.b64encode(encoded(image)).decode()
    split = {"dataframe_split": {"columns": ["image"], "data": [[text], [text]]}}
    first, second = post(server, split)
    assert (np.array(first["labels"]) == labels).mean() >= 0.999
    assert first == second
    assert set(first["classes"].values()) <= set(chosen.classes)
    [png] = post(server, {"dataframe_records": [{"image": text}], "params": {"encoding": "png"}})
    shown = np.array(PIL.Image.open(io.BytesIO(base64.b64decode(png["labels"]))))
    np.testing.assert_array_equal(shown, np.array(first["labels"]))
    [values] = post(server, {"dataframe_records": [{"image": image.tolist()}]})
    assert values == first
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(server, {"dataframe_records": [{"image": "no picture"}]})
    assert "not a picture" in refused.value.read().decode()
