"""What tests share: a private cache, tiny studies, and the program as a user runs it."""

import os
import signal
import subprocess
import textwrap
from collections import Counter

import pytest
from tiny_study import TINY, harness_command

from harness.registry import load_shipped


def pytest_collection_modifyitems(items):
    """Put files with many slow tests first: a worker takes file by file, and none is to be left with a long one."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True, scope="session")
def private_surroundings(tmp_path_factory):
    """Keep the tests away from the user's caches and from a tracking server the user has set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        # a shell has what it runs in the background ignore Ctrl-C, and programs started from there would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        load_shipped()  # before any test replaces the registry
        yield


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Return an empty folder that the test works in, with the tiny study in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(textwrap.dedent(TINY))
    return tmp_path


@pytest.fixture
def harness_cli(workplace):
    """Return a function that runs the program in the workplace to its end."""

    def call(*arguments: str, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            harness_command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=workplace,
            env={**os.environ, **environment},
            check=False,
        )

    return call
