"""What is read runs no code; what is named stays in its folder and breaks no page; what is secret stays out."""

import ast
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import textwrap
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name
from PIL import Image
from tiny_study import TINY

from harness.api import load_spec
from harness.counts import load_counts, make_counts, save_counts
from harness.errors import HarnessError, InputError
from harness.files import load_arrays
from harness.models.weights import read_state
from harness.predictions import load_predictions
from harness.records import Machine
from harness.report.study.file_names import make_slugs
from harness.runs.credentials import mask_credentials
from harness.runs.provenance import read_provenance
from harness.spec.plan_json import plan_from_json, plan_to_json
from harness.tracking.payload import metric_names
from harness.tracking.server import make_server_command
from harness.train.checkpoint import load_newest

SOURCES = sorted((Path(__file__).parents[2] / "harness").rglob("*.py"))


# --- nothing that is read is executed -------------------------------------------------------------------------------


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def evil(tmp_path):
    """Return an object whose unpickling makes a file, and prove that it does."""
    proof = tmp_path / "proof"
    pickle.loads(pickle.dumps(Evil(proof)))
    assert proof.exists()
    made = Evil(tmp_path / "marker")
    yield made
    assert not made.marker.exists(), "the file was executed"


@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_run_no_code(tmp_path, evil, legacy):
    path = tmp_path / "state.pt"
    torch.save({"model": evil, "weight": torch.ones(2)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_state(path)
    if legacy:  # no zip file: damaged, to a run that wants to go on
        assert load_newest([path], object()).notes
    else:
        with pytest.raises(HarnessError, match="cannot continue from it"):
            load_newest([path], object())


def test_counts_and_predictions_run_no_code(tmp_path, evil):
    path = tmp_path / "val.npz"
    save_counts(path, make_counts([np.array([[1]])], ["a"], ["g"], ["x"]))
    with np.load(path) as file:
        arrays = dict(file)
    for name in ("images", "names", "version"):
        np.savez(path, **{**arrays, "names": np.array(["a"]), name: np.array([evil], dtype=object)})
        with pytest.raises(InputError):
            load_arrays(path, [name], "x")
        if name in arrays:
            with pytest.raises(InputError, match="not a counts file"):
                load_counts(path)
    with pytest.raises(InputError):
        np.savez(path, names=np.array([evil], dtype=object))
        load_predictions(path)
    path.write_bytes(pickle.dumps(evil))
    for load in (load_counts, load_predictions):
        with pytest.raises(InputError):
            load(path)
    with path.open("wb") as file:
        np.save(file, np.array([evil], dtype=object))
    with pytest.raises(InputError):
        load_counts(path)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['marker']]",
        "!!python/object/new:os.system ['touch marker']",
        "!!python/name:os.system",
        "!!python/module:evil_module",
        '{name: !!python/object/apply:os.system ["touch marker"]}',
        "!!timestamp 2001-01-01",
    ],
)
def test_yaml_makes_no_objects(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_module.py").write_text("from pathlib import Path\nPath('marker').touch()\n")
    for place in ("model: {name: unet, base_channels: 4}", "question: Does Dice help a tiny network on tiny scenes?"):
        key = place.split(":")[0]
        (tmp_path / "s.yaml").write_text(textwrap.dedent(TINY).replace(place, f"{key}: {value}"))
        with pytest.raises(InputError, match="tags"):
            load_spec(tmp_path / "s.yaml")
    with pytest.raises(InputError, match="tags"):
        (tmp_path / "s.yaml").write_text(textwrap.dedent(TINY))
        load_spec(tmp_path / "s.yaml", overrides=[f"model={value}"])
    assert not (tmp_path / "marker").exists()


def calls_in(path: Path):
    """Yield each call of a file with the name that is called, and its keyword arguments as source."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {item.arg: ast.unparse(item.value) for item in node.keywords}


RUNS_CODE = re.compile(r"eval|exec|os\.system|yaml\.(unsafe_|full_)?load|(pickle|marshal|shelve|dill|joblib)\..*")
ASKED_FOR = {
    "np.load": ("allow_pickle", "False"),
    "torch.load": ("weights_only", "True"),
    "torch.hub.load_state_dict_from_url": ("weights_only", "True"),
}


def test_no_reader_that_could_run_code():
    found = []
    for path in SOURCES:
        for name, options in calls_in(path):
            option, value = ASKED_FOR.get(name, ("", None))
            if RUNS_CODE.fullmatch(name) or "shell" in options or options.get(option) != value:
                found.append(f"{path}: {name}({options})")
    assert found == [], "what is read from disk or the web must not be able to run code"


# --- names ----------------------------------------------------------------------------------------------------------

BAD_NAMES = [
    "../up",
    "..",
    ".",
    ".hidden",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:\\x",
    "a b",
    "-rf",
    "a\nb",
    "a\tb",
    "a%2fb",
    "<script>",
    "con",
    "NUL.txt",
    "Lpt1",
    "x" * 101,
    "x" * 5000,
    "baselіne",  # a Cyrillic letter
    "ｐhase",  # a wide one
    "a\u202eb",  # turns the direction of writing
    "a\u200bb",  # no width
    "é",
    "",
    "${HOME}",
    "~",
    "a;b",
    "a'b",
    "sqlite:///x",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:30])
@pytest.mark.parametrize(
    "place", ["study: tiny", "  baseline: {}", "      dice:"], ids=["study", "variant", "component"]
)
def test_names_that_could_lead_elsewhere_are_refused(tmp_path, name, place):
    quoted = json.dumps(name)
    changed = re.sub(r"tiny|baseline|dice", lambda found: quoted, place, count=1)
    (tmp_path / "s.yaml").write_text(TINY.replace(f"\n{place}", f"\n{changed}", 1))
    with pytest.raises(InputError) as caught:
        load_spec(tmp_path / "s.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "_x", "console", "com", "x" * 100, "a..b"])
def test_ordinary_names_are_taken(tmp_path, name):
    (tmp_path / "s.yaml").write_text(TINY.replace("study: tiny", f"study: {name}"))
    assert load_spec(tmp_path / "s.yaml").study == name


def test_nul_is_refused(tmp_path):
    (tmp_path / "s.yaml").write_text(TINY.replace("study: tiny", 'study: "a\\0b"'))
    with pytest.raises(InputError, match=r"U\+0000"):
        load_spec(tmp_path / "s.yaml")


@pytest.mark.parametrize("field", ["study", "id"])
def test_a_plan_from_a_shared_store_leads_nowhere_else(tmp_path, field):
    from harness.api import make_plan

    (tmp_path / "s.yaml").write_text(TINY)
    entry = plan_to_json(make_plan(load_spec(tmp_path / "s.yaml")))
    assert plan_from_json(entry).study == "tiny"
    (entry if field == "study" else entry["runs"][0])[field] = "../../.ssh"
    with pytest.raises(InputError, match=r"the plan holds the name '\.\./\.\./\.ssh'"):
        plan_from_json(entry)


ODD_CLASSES = [
    "<script>alert(1)</script>",
    "../../outside",
    "/etc/passwd",
    "a/b",
    '" onload="alert(1)',
    "con",
    "x" * 400,
    "$(touch marker)",
    "{{ 7 * 7 }}",
    "Ampel & Straße",
    "日本",
]
ODD_IMAGES = [
    "<img src=x onerror=alert(1)>.png",
    "..&quot;..png",
    "a'b\"c.png",
    "-rf.png",
    "y" * 200 + ".png",
    "é 日.png",
]


class Tags(HTMLParser):
    """The tags of a page, and whether any does something of its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts, self.active = 0, []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.active += [(tag, key) for key, value in attrs if key.startswith("on") or "javascript:" in (value or "")]
        self.active += [(tag, value) for key, value in attrs if key == "src" and not value.startswith("data:image/png")]


def make_odd_data(place: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (place / kind).mkdir(parents=True)
    for name in [*ODD_IMAGES, *(f"plain{index}.png" for index in range(9))]:
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(place / "images" / name)
        mask = rng.integers(0, len(ODD_CLASSES), (24, 24)).astype(np.uint8)
        Image.fromarray(mask).save(place / "masks" / name)


@pytest.mark.slow
def test_a_study_on_odd_classes_and_files_stays_in_its_folders(workplace, harness_cli, monkeypatch):
    make_odd_data(workplace / "data")
    classes = json.dumps(ODD_CLASSES, ensure_ascii=False)
    data = f"  data: {{name: folder, root: data, size: [16, 16], val_fraction: 0.5, classes: {classes}}}"
    lines = [data if line.startswith("  data:") else line for line in TINY.splitlines()]
    text = "\n".join(lines).replace("Does Dice help a tiny", "Does <script>alert(2)</script> help a tiny")
    (workplace / "tiny.yaml").write_text(text)
    before = {path for path in workplace.parent.rglob("*") if path.is_file()}
    monkeypatch.setenv("HARNESS_CACHE", str(workplace / "cache"))
    done = harness_cli("run", "tiny.yaml", "--only", "baseline", "--seeds", "0")
    assert done.returncode == 0, done.stderr
    assert "not up to date" not in done.stderr, "MLflow takes all these names"
    new = {path for path in workplace.parent.rglob("*") if path.is_file()} - before
    assert all({"mlruns", "reports", "cache"} & set(path.relative_to(workplace).parts[:1]) for path in new)
    page = Tags((workplace / "reports/tiny/report.html").read_text())
    assert page.scripts == 1, "the page's own"
    assert page.active == []
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workplace}/mlruns/mlflow.db")
    (run,) = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id], "tags.`harness.kind` = 'run'", max_results=9
    )
    logged = [name for name in run.data.metrics if name.startswith("val/iou/")]
    assert len(logged) == len(ODD_CLASSES)
    for name in run.data.metrics:
        _validate_metric_name(name)
    for name in run.data.params:
        _validate_param_name(name)
    for name in run.data.tags:
        _validate_tag_name(name)


def test_names_of_metrics_are_taken_by_mlflow():
    for name in metric_names([f"val/iou/{name}" for name in [*ODD_CLASSES, *BAD_NAMES]]).values():
        _validate_metric_name(f"best/{name}")


def test_names_of_a_reports_files_stay_in_its_folder():
    slugs = make_slugs([*BAD_NAMES, *ODD_CLASSES])
    assert len({slug.lower() for slug in slugs.values()}) == len(slugs)
    for slug in slugs.values():
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", slug) and len(slug) < 80


# --- plugins, network, secrets ----------------------------------------------------------------------------------------


def python(code: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with none of the variables that switch telemetry off."""
    quiet = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
    kept = {key: value for key, value in os.environ.items() if key not in quiet}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plugins_are_imported_only_when_named_and_said_so(tmp_path):
    for name in ("my_plugin", "not_named", "numpy_extras"):
        (tmp_path / f"{name}.py").write_text(f"from pathlib import Path\nPath('imported-{name}').touch()\n")
    (tmp_path / "plain.yaml").write_text(TINY)
    (tmp_path / "named.yaml").write_text(TINY + "plugins: [my_plugin]\n")
    code = "import sys; from harness.api import load_spec; load_spec(sys.argv[1] if len(sys.argv) > 1 else '{}')"
    silent = python(code.format("plain.yaml"), tmp_path)
    assert (silent.returncode, silent.stderr) == (0, "")
    assert not list(tmp_path.glob("imported-*"))
    told = python(code.format("named.yaml"), tmp_path)
    assert told.stderr == f"plugin my_plugin: imported, because the spec names it, from {tmp_path}/my_plugin.py\n"
    assert [path.name for path in tmp_path.glob("imported-*")] == ["imported-my_plugin"]


TELEMETRY = """
import os
from harness.tracking.mlflow_store import MlflowStore
from pathlib import Path
MlflowStore(Path("mlruns")).studies()
from mlflow.telemetry.client import get_telemetry_client
print(os.environ.get("MLFLOW_DISABLE_TELEMETRY"), get_telemetry_client())
"""


@pytest.mark.slow
def test_mlflow_reports_to_nobody_unless_asked_to(tmp_path):
    assert python(TELEMETRY, tmp_path).stdout == "true None\n"
    code = "import os, harness.tracking; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    assert python(code, tmp_path, MLFLOW_DISABLE_TELEMETRY="false").stdout == "false\n"
    child = "import sys, harness.execute.run; print([n for n in ('mlflow', 'optuna', 'ray') if n in sys.modules])"
    assert python(child, tmp_path).stdout == "[]\n"


def test_the_ui_is_for_this_machine_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HOST", "0.0.0.0")
    (tmp_path / "mlflow.db").touch()
    command, environment = make_server_command(tmp_path, None, 5001)
    host = command[command.index("--host") + 1]
    assert socket.gethostbyname(host) == "127.0.0.1"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


SECRET = "hunter2-and-more"
MASKED = [
    f"postgresql://me:{SECRET}@db/x",
    f"postgresql+psycopg://me:{SECRET}/with/slashes@db:5432/x",
    f"https://me:{SECRET}@at@host/x?y=1",
    f"https://host/x?token={SECRET}&y=1",
    f"https://host/x?X-Amz-Signature={SECRET}",
    f"--set data.token={SECRET}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f'+    "api_key": "{SECRET}",',
    f"+PASSWORD = '{SECRET}'",
]


@pytest.mark.parametrize("text", MASKED)
def test_secrets_are_masked(text):
    assert SECRET not in mask_credentials(text)
    assert "***" in mask_credentials(text)


@pytest.mark.parametrize(
    "text",
    ["--set train.epochs=3", "https://host/x?y=1", "tokens: list[str]", "key = values[0]", "me@host", "a/b@best"],
)
def test_what_is_no_secret_stays(text):
    assert mask_credentials(text) == text


def test_the_working_folder_is_no_password(monkeypatch):
    for name in ("PWD", "OLDPWD"):
        monkeypatch.setenv(name, "/data/my-lab")
    monkeypatch.setenv("DB_PWD", SECRET)
    assert mask_credentials(f"sqlite:////data/my-lab/mlruns/mlflow.db {SECRET}") == (
        "sqlite:////data/my-lab/mlruns/mlflow.db ***"
    )


def test_provenance_of_a_repository_holds_no_secret(tmp_path, monkeypatch):
    """A remote with a password, a diff with a key, an environment with a token, a command line with an address."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=b", *arguments], cwd=tmp_path, check=True)

    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    git("remote", "add", "origin", f"https://me:{SECRET}@host/x.git")
    (tmp_path / "settings.py").write_text("A = 1\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "start")
    (tmp_path / "settings.py").write_text(f"A = 2\nAPI_KEY = '{SECRET}'\nprint('{SECRET}-of-env')\n")
    monkeypatch.setenv("MY_LAB_TOKEN", f"{SECRET}-of-env")
    monkeypatch.setenv("PLAIN", "visible-nowhere")
    monkeypatch.setattr(sys, "argv", ["harness", "run", f"--tracking-uri=https://me:{SECRET}@host"])
    facts = read_provenance(Machine())
    text = json.dumps(facts)
    assert SECRET not in text and "visible-nowhere" not in text
    assert "+A = 2" in facts["git"]["diff"]


def test_secrets_are_looked_for_once_in_a_long_word():
    """A word of a minified file, in the diff of a repository, once took a time that grew with its length squared."""
    began = time.process_time()
    assert mask_credentials("a" * 200_000 + " https://me:pw@host") == "a" * 200_000 + " https://***@host"
    assert time.process_time() - began < 2
