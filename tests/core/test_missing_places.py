"""A file or folder that is not there: the message names the folder that was looked in, wherever it is made."""

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import registry
from harness.apply.choose import choose
from harness.apply.export.parity import _of_folder
from harness.apply.predict.input_images import Picture, find_pictures, find_truth
from harness.cli.app import main
from harness.data import open_whole
from harness.errors import InputError, describe_missing
from harness.execute.inputs import _digest_files
from harness.tracking.load import find_study

ROOT = Path(__file__).parents[2] / "harness"
WHERE_IT_IS_WORDED = ("errors.py", "strict_yaml/located.py")
REQUIRED = {"folder": {"classes": ["a", "b"]}}
DATA = [part.name for part in registry.parts("data") if part.locations]
PRETRAINED = next(part.name for part in registry.parts("model") if "weights" in part.locations)
COMMANDS = [
    "init {}",
    "data audit {}",
    "data audit {}.yaml",
    "data prepare {}",
    "plan {}/study.yaml",
    "run {}.yaml",
    "gate {}/study.yaml",
    "sync --root {}",
    "ui --root {}",
]


def ask_data(name):
    return lambda place: open_whole(registry.choose("data", name, {"root": place, **REQUIRED.get(name, {})}))


FUNCTIONS = {
    **{f"data {name}": ask_data(name) for name in DATA},
    "weights": lambda place: _digest_files(registry.choose("model", PRETRAINED, {"weights": place})),
    "pictures": lambda place: find_pictures([place]),
    "truth": lambda place: find_truth(Path(place), [Picture(Path("a.png"), Path("a.png"), "a")]),
    "pictures to check an export on": lambda place: _of_folder(Path(place), str),
}


def message_of(function, place):
    with pytest.raises(InputError) as caught:
        function(place)
    return str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_place_in_a_setting_or_option(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert f"{tmp_path}/data holds no 'lost'" in message_of(FUNCTIONS[name], "data/lost/deep")
    assert f"{tmp_path} holds no 'dada'; did you mean 'data'?" in message_of(FUNCTIONS[name], "dada")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("sign", ["n", "t"])
def test_a_path_whose_backslashes_were_read_as_escapes(tmp_path, monkeypatch, name, sign):
    monkeypatch.chdir(tmp_path)
    told = message_of(FUNCTIONS[name], f"C:\\{sign}ame".encode().decode("unicode_escape"))
    assert f"in double quotes YAML reads \\{sign} as a " in told
    assert f"single quotes, 'C:\\{sign}ame'" in told
    assert told.isprintable()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["harness", *command.format("nowhere").split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert str(tmp_path) in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "ask", [lambda store: choose("lost/plain", store), lambda store: find_study(store, "lost", print)]
)
def test_a_study_that_is_not_in_the_store(tmp_path, monkeypatch, ask):
    monkeypatch.chdir(tmp_path)
    store = SimpleNamespace(root=Path("mlruns"), load_plan=lambda study: None, studies=lambda: ())
    assert f"the store of {tmp_path}/mlruns has no study 'lost'" in message_of(ask, store)


def test_there_is_one_wording():
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).as_posix() not in WHERE_IT_IS_WORDED:
            for node in ast.walk(ast.parse(path.read_text())):
                parts = node.values if isinstance(node, ast.JoinedStr) else []
                text = "".join(part.value for part in parts if isinstance(part, ast.Constant))
                assert "no such file" not in text and "no such folder" not in text, f"{path}:{node.lineno}"


def test_what_is_missing_of_a_path_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    assert describe_missing(tmp_path / "a/b/c").endswith(f": {tmp_path}/a holds no 'b'")
    (tmp_path / "a/file").touch()
    assert describe_missing(tmp_path / "a/file/c").endswith(f": {tmp_path}/a/file is a file, not a folder")
