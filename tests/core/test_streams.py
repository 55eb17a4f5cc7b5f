"""Where a command prints to is closed, full, read no more, or knows few letters: it does its work, and no traceback."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import TINY, harness_command

from harness.cli.app import app

STUDY = TINY.replace("a tiny network", "a tiny network of ≥ 4 − ε channels")
COMMANDS = {
    "init": "init data --out made.yaml",
    "plan": "plan übung.yaml",
    "run": "run missing.yaml",
    "report": "report tiny",
    "gate": "gate übung.yaml",
    "predict": "predict tiny/baseline/seed0 missing.png",
    "export": "export tiny/baseline/seed0",
    "card": "card tiny/baseline/seed0",
    "reproduce": "reproduce tiny/baseline/seed0",
    "tune": "tune übung.yaml",
    "sync": "sync tiny",
    "ui": "ui --root missing",
    "parts": "parts",
    "schema": "schema",
    "ls": "ls",
    "gc": "gc --dry-run",
    "data": "data show übung.yaml --split missing",
}
FEW = {name: COMMANDS[name] for name in ("plan", "run", "parts", "schema")}
TRIED = {"out closed": COMMANDS, "nobody reads": COMMANDS, "err closed": FEW, "disk full": FEW, "few letters": FEW}
"""Where nothing can be written, every command; else one that tells of a study, one that fails, two that tell much."""
EACH = """
import importlib, io, json, os, pkgutil, sys, traceback
import harness.cli.app

for module in pkgutil.walk_packages(harness.__path__, "harness."):  # once for all commands
    if module.name not in ("harness.execute.fork_server_exit", "harness.execute.remote.ray"):
        importlib.import_module(module.name)

def run(words, condition, end):
    sys.argv = ["harness", *words.split()]
    nowhere, broken = os.pipe()
    os.close(nowhere)
    os.dup2({"nobody reads": broken, "disk full": os.open("/dev/full", os.O_WRONLY)}.get(condition, end), 1)
    os.dup2({"nobody reads": broken}.get(condition, end), 2)
    match condition:
        case "out closed":
            os.close(1)
            sys.stdout = sys.__stdout__ = None
        case "err closed":
            os.close(2)
            sys.stderr = sys.__stderr__ = None
        case "few letters":
            sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="ascii")
    try:
        harness.cli.app.main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    sys.stdout.flush()
    return code

for condition, commands in json.loads(sys.argv[1]).items():
    for name, words in commands.items():
        end = os.open(f"{condition}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        child = os.fork()
        if child == 0:
            try:
                os._exit(run(words, condition, end))
            except BaseException:
                os.write(end, traceback.format_exc().encode())
                os._exit(99)
        os.close(end)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Return condition -> command -> its exit code and what it told."""
    place = tmp_path_factory.mktemp("streams")
    (place / "übung.yaml").write_text(STUDY)
    program = [sys.executable, "-c", EACH, json.dumps(TRIED)]
    done = subprocess.run(program, cwd=place, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    codes = iter(map(int, done.stdout.split()))
    return {
        condition: {name: (next(codes), (place / f"{condition}.{name}").read_text()) for name in commands}
        for condition, commands in TRIED.items()
    }


def test_every_command_is_tried():
    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    untried = (named | {group.name for group in app.registered_groups}) ^ COMMANDS.keys()
    assert not untried, (
        f"COMMANDS of tests/core/test_streams.py: write a line there that runs "
        f"{', '.join(sorted(untried))}, or take out what is no command any more"
    )


@pytest.mark.slow
@pytest.mark.parametrize("condition", TRIED)
def test_no_command_ends_in_a_traceback_whatever_becomes_of_what_it_prints(outcomes, condition):
    codes = {name: code for name, (code, _) in outcomes[condition].items()}
    told = {name: text for name, (_, text) in outcomes[condition].items()}
    assert [text for text in told.values() if "Traceback" in text or "Exception ignored" in text] == []
    assert set(codes.values()) <= {0, 1, 2, 3}, codes
    if condition == "disk full":
        assert told["plan"].endswith("error: standard output cannot be written: No space left on device\n")
        assert codes["plan"] == codes["schema"] == 1
    else:
        assert codes["plan"] == codes["schema"] == codes["parts"] == 0
        assert codes["run"] == 2, "an error is one, whether or not it can be told"
    if condition == "few letters":
        assert "of >= 4 - \\u03b5 channels" in told["plan"]


@pytest.mark.parametrize(
    "shell",
    [
        *("{} <&- >&- 2>&-", "{} | head -1"),
        *(pytest.param(shell, marks=pytest.mark.slow) for shell in ("{} >&-", "{} 2>&-", "{} 2>&1 | head -1")),
    ],
)
def test_a_shell_closes_what_it_likes(workplace, shell):
    command = " ".join(f"'{word}'" for word in harness_command("plan", "tiny.yaml"))
    line = f"set -o pipefail; {shell.format(command)}"
    done = subprocess.run(["bash", "-c", line], cwd=workplace, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_files_are_read_and_written_in_one_encoding_wherever_the_program_runs():
    """Else a study with an umlaut is read in one locale and not in the next."""
    found = []
    for path in Path(sys.modules["harness"].__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_text_without_encoding(node):
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


def _is_text_without_encoding(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if any(word.arg == "encoding" for word in call.keywords) or not isinstance(call.func, (ast.Attribute, ast.Name)):
        return False
    if name == "read_text":
        return len(call.args) == 0
    modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return name in ("open", "fdopen") and any(mode in ("r", "w", "a", "x", "rt", "wt") for mode in modes)
