"""What a plugin imports: one module whose names stay, and the names of the version before, which lead to today's."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness.apply.predict
import harness.plugin
from harness.moved import read_moved

ROOT = Path(__file__).parents[2]
OF_BEFORE = """
from harness.catalog import part
from harness.data.source import IGNORE
from harness.nets.network import Network
from harness.apply.predict import Wanted
from harness.parts.moves import Geometric, Mirror
import harness.apply.predict.run, harness.models.network, harness.parts.geometric_transforms, harness.plugin
import harness.registry

assert part is harness.registry.part is harness.plugin.part
assert Network is harness.models.network.Network is harness.plugin.Network
assert Mirror is harness.parts.geometric_transforms.HorizontalFlip
assert Wanted is harness.apply.predict.run.PredictOptions
assert harness.models.network.__spec__.name == "harness.models.network"
"""


def test_the_page_for_authors_needs_one_module():
    page = (ROOT / "docs/adding-parts.md").read_text()
    assert set(re.findall(r"(?:from|import) (harness[\w.]*)", page)) == {"harness.plugin"}


def test_every_name_of_the_door_is_there():
    assert all(getattr(harness.plugin, name) is not None for name in harness.plugin.__all__)
    with pytest.raises(AttributeError, match=r"harness\.plugin has no 'Bench'"):
        harness.plugin.Bench  # noqa: B018


def test_a_plugin_of_the_version_before_still_loads_and_is_told_the_new_names():
    done = subprocess.run([sys.executable, "-c", OF_BEFORE], capture_output=True, text=True, check=True)
    assert "harness.catalog is harness.registry now; what a plugin needs is in harness.plugin" in done.stderr
    assert "harness.nets.network is harness.models.network now" in done.stderr
    assert "Mirror of harness.parts.geometric_transforms is harness.parts.geometric_transforms.Horizon" in done.stderr
    assert "Wanted of harness.apply.predict is harness.apply.predict.run.PredictOptions now" in done.stderr


def test_a_former_name_leads_to_a_module_and_hides_none():
    for before, now in read_moved()[0].items():
        assert importlib.util.find_spec(now) is not None, f"{now} in harness/moved.json is gone: name its successor"
        path = ROOT / before.replace(".", "/")
        assert not path.is_dir() and not path.with_suffix(".py").is_file(), f"{before} in harness/moved.json is back"


def test_a_former_name_of_what_a_module_holds_leads_to_what_is_there():
    for module, names in read_moved()[1].items():
        for name, now in names.items():
            place, _, attribute = now.rpartition(".")
            assert hasattr(importlib.import_module(place), attribute), f"{now} in harness/moved.json is gone"
            assert name not in vars(importlib.import_module(module)), f"{name} in harness/moved.json is back"
    with pytest.raises(AttributeError, match=r"'harness\.apply\.predict' has no attribute 'Unheard'"):
        harness.apply.predict.Unheard  # noqa: B018
