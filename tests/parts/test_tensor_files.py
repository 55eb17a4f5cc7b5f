"""Files that are no weights: each is named for what it is, and nobody is told to load a file with its code."""

import argparse
import ast
import io
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import InputError, describe, without_unsafe_advice
from harness.models.tensor_files import load_tensors
from harness.models.weights import fetch_state, read_state

HARNESS = Path(__file__).parents[2] / "harness"
ADVICE = ("weights_only", "trust", "safe_globals", "\n", "\x1b")


class Program:
    def __reduce__(self):
        return os.system, ("touch executed",)


def saved(content: object, **how: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def archive(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, text in members.items():
            opened.writestr(name, text)
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), file)
    return file.getvalue()


def tape() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("pickle"))
    return file.getvalue()


WHOLE = saved(nn.Linear(2, 2))
FILES = {
    "whole model": (WHOLE, "it holds Python objects (torch.nn.modules.linear.Linear)"),
    "whole model, old": (
        saved(nn.Linear(2, 2), _use_new_zipfile_serialization=False),
        "it holds Python objects (torch.nn.modules.linear.Linear)",
    ),
    "arguments beside": (
        saved({"model": nn.Linear(2, 2).state_dict(), "args": argparse.Namespace(lr=1)}),
        "it holds Python objects (argparse.Namespace)",
    ),
    "arrays": (saved({"w": np.zeros(2)}), "it holds Python objects (numpy"),
    "program": (saved({"w": Program()}), "it holds Python objects (posix.system)"),
    "cut": (WHOLE[: len(WHOLE) // 2], "it is damaged or cut short"),
    "empty": (b"", "it is empty"),
    "web page": (b"\n <!DOCTYPE html><html>404</html>", "it is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "it is a pointer of Git LFS"),
    "pickle": (pickle.dumps({"w": [1.0]}, protocol=4), "it is a pickle that torch.save did not write"),
    "zip": (archive(readme="x"), "it is a zip archive without weights"),
    "tar": (tape(), "it is no file of PyTorch"),
    "text": (b"neither", "it is no file of PyTorch"),
}


@pytest.mark.parametrize(("content", "kind"), FILES.values(), ids=FILES)
@pytest.mark.filterwarnings("error")
def test_what_is_no_state_dict_is_said_with_what_would_work(content, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_state(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: cannot be read as weights: {kind}")
    assert "torch.save(model.state_dict(), path)" in told
    assert not [word for word in ADVICE if word in told]
    assert not (tmp_path / "executed").exists()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning")
def test_a_torchscript_archive_is_named(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(scripted())
    with pytest.raises(InputError, match="it is a TorchScript archive"):
        read_state(path)


def test_a_file_that_was_fetched_is_treated_alike(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints" / "net-0000.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(WHOLE)
    with pytest.raises(InputError, match=r"holds more than tensors \(torch\.nn\.modules\.linear\.Linear\)") as caught:
        fetch_state("https://nowhere.invalid/net-0000.pth", "model.weights")
    assert not [word for word in ADVICE if word in str(caught.value)]


def test_an_error_of_a_plugins_own_loading_is_told_without_the_advice(tmp_path):
    (tmp_path / "weights.pt").write_bytes(WHOLE)
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(tmp_path / "weights.pt")
    assert "will likely succeed" in str(caught.value)
    assert describe(caught.value) == (
        "UnpicklingError: a file for torch.load holds more than tensors (torch.nn.modules.linear.Linear); where it was "
        "made, save model.state_dict() alone"
    )
    code = f"import torch; torch.load({str(tmp_path / 'weights.pt')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    kept = without_unsafe_advice(done.stderr)
    assert "Traceback" in kept
    assert not [word for word in ADVICE[:3] if word in kept]


def test_tensors_and_plain_values_are_read(tmp_path):
    torch.save({"w": torch.ones(2), "note": "x"}, tmp_path / "state.pt")
    assert load_tensors(tmp_path / "state.pt")["note"] == "x"


def test_torch_load_has_one_door():
    """Everything else that unpickles would run code, or hand on torch's advice."""
    calls = {
        path.relative_to(HARNESS).as_posix(): node.lineno
        for path in HARNESS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "pickle.load", "pickle.loads")
    }
    assert list(calls) == ["models/tensor_files.py"]
