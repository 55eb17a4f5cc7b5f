"""What is kept of a run's plugins: their own modules alone, the same bytes each time, and no secret sent away."""

import importlib
import json
import sys
import zipfile

import pytest

from harness.runs.folder import RunFolder, files_to_keep
from harness.runs.provenance import keep_plugins, read_copy
from harness.spec import plugins


@pytest.fixture
def keep(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = RunFolder(tmp_path / "run")
    (tmp_path / "kept_helper.py").write_text("import json\nVALUE = 1\n")

    def keep(text):
        (tmp_path / "kept_plugin.py").write_text(f"import numpy, kept_helper\n{text}\n")
        importlib.invalidate_caches()
        importlib.import_module("kept_plugin")
        return folder, keep_plugins(folder.plugins, ("kept_plugin",))

    yield keep
    for name in ("kept_plugin", "kept_helper"):
        sys.modules.pop(name, None)


def test_the_copy_holds_ones_own_modules_and_is_the_same_each_time(keep):
    folder, facts = keep("")
    first = folder.plugins.read_bytes()
    assert zipfile.ZipFile(folder.plugins).namelist() == ["kept_helper.py", "kept_plugin.py"]
    assert keep("") == (folder, facts)
    assert folder.plugins.read_bytes() == first
    assert read_copy(folder.plugins, json.loads(json.dumps(facts)))["kept_helper.py"] == b"import json\nVALUE = 1\n"
    assert keep_plugins(folder.plugins, ()) == {}


@pytest.mark.parametrize(
    ("text", "is_sent"),
    [
        ("num_tokens = max(tokens=3)", True),
        ("key = 'val/loss'", True),
        ("api_key = 'abcd'", False),
        ("url = 'https://me:pass@host/x'", False),
        ("# of-the-environment", False),
    ],
)
def test_a_copy_with_a_credential_stays_on_this_disk(keep, monkeypatch, text, is_sent):
    monkeypatch.setenv("OUR_TOKEN", "of-the-environment")
    folder, _ = keep(text.replace("max(tokens=3)", "3 + dict(tokens=3)['tokens']"))
    assert folder.plugins.is_file()
    assert (folder.plugins in files_to_keep(folder)) == is_sent


def test_more_than_a_study_has_is_not_kept(keep, monkeypatch):
    monkeypatch.setattr("harness.runs.provenance.LARGEST_BYTES", 10)
    folder, facts = keep("")
    assert not folder.plugins.exists()
    assert set(facts) == {"modules", "sha256"}
    assert plugins.LARGEST_BYTES == 2 * 2**20
