"""The table of a run's files in docs/record.md against the files of real runs, and against what `harness gc` knows."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from tiny_study import TINY, harness_here

from harness.tracking.garbage import OWN_FILES

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "record.md"
ONLY_UNDER_WAY = "checkpoints/state*.pt"
OF_PLUGINS = "plugins.zip"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The names of all files of a run from the start, and of one that starts from its last weights."""
    folder = tmp_path_factory.mktemp("listing")
    spec = yaml.safe_load(TINY)
    spec["base"]["train"]["epochs"] = 1
    child = {"from": "baseline@last", "set": {"optimizer.lr": 1.0e-3}}
    spec |= {"variants": {"baseline": {}, "child": child}, "seeds": [0]}
    (folder / "s.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    assert harness_here("run", "s.yaml", cwd=folder).returncode == 0
    return {
        "/".join(path.parts[len(folder.parts) + 3 :]) for path in folder.glob("mlruns/runs/*/**/*") if path.is_file()
    }


def patterns():
    table = PAGE.read_text().split("## How much of the disk")[1].split("| :-- | --: | :-- |")[1].split("\n\n")[0]
    return [name for row in table.strip().splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_every_file_of_a_run_is_in_the_table_and_the_table_names_no_other(names):
    lacking = [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns())]
    assert not lacking
    idle = [pattern for pattern in patterns() if not any(fnmatch(name, pattern) for name in names)]
    assert idle == [ONLY_UNDER_WAY, OF_PLUGINS]


def test_gc_knows_every_file_of_a_run_as_its_own(names):
    assert not [name for name in names if not any(fnmatch(name, own) for own in OWN_FILES)]
