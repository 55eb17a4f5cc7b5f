"""A chosen part: its kind's settings are read by name and with their types, whether or not its plugin is at hand."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness import registry
from harness.settings import DataChoice, Fraction, PathText, Settings, Size

ROOT = Path(__file__).parents[2]
SNIPPET = """\
from harness.records import RunConfig

def read(config: RunConfig) -> tuple[tuple[int, int] | str, str, float, float, float]:
    return config.data.size, config.model.freeze, config.loss[0].weight, config.optimizer.lr, config.schedule.warmup

def misspelt(config: RunConfig) -> object:
    return config.data.sise, config.model.freese, config.loss[0].wait, config.optimizer.lrate, config.schedule.warm
"""


class Box(Settings):
    """A record within a setting."""

    left: int = 0
    sides: tuple[int, int] = (1, 2)


@pytest.fixture
def photos(monkeypatch):
    """A data set of a plugin; it gives back the settings that its function got."""
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))

    @registry.part("data", takes=("size",))
    def photos(*, root: PathText, ids: dict[int, Fraction] = {3: 1}, box: Box = Box(), size: Size = (4, 6)):  # noqa: B006, B008
        """Photos."""
        return root, ids, box, size

    photos.__module__ = "a_lab"


@pytest.mark.slow  # mypy reads all that the records import
def test_mypy_sees_each_misspelt_setting(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {ROOT}\n[mypy-numpy.*,harness.api.*]\nfollow_imports = skip\n"
    )
    command = [sys.executable, "-m", "mypy", "snippet.py"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    for record, name in (
        ("DataChoice", "sise"),
        ("ModelChoice", "freese"),
        ("LossChoice", "wait"),
        ("OptimizerChoice", "lrate"),
        ("ScheduleChoice", "warm"),
    ):
        assert f'"{record}" has no attribute "{name}"' in told
    assert told.count("snippet.py") == 5, "what is spelt rightly has the type that is said"


def test_a_function_gets_its_settings_with_the_types_of_its_signature(photos):
    choice = registry.choose("data", "photos", {"root": "here", "ids": {"7": 0}, "box": {"sides": [3, 4]}})
    assert registry.build("data", choice) == ("here", {7: 0.0}, Box(sides=(3, 4)), (4, 6))
    assert choice.own == {"root": "here", "ids": {"7": 0.0}, "box": {"left": 0, "sides": [3, 4]}}, "plain JSON"
    assert choice.size == (4, 6)


def test_a_choice_goes_to_a_process_that_lacks_the_plugin(photos):
    choice = registry.choose("data", "photos", {"root": "here", "folds": 3})
    program = (
        "import pickle, sys; choice = pickle.load(sys.stdin.buffer)\n"
        "again = choice.model_validate(choice.model_dump())\n"
        "print(choice.size, choice.folds, choice.own['root'], choice == again, 'a_lab' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(choice), capture_output=True, check=True)
    assert out.stdout.decode().split("\n")[0] == "(4, 6) 3 here True False"


def test_a_choice_is_frozen(photos):
    choice = registry.choose("data", "photos", {"root": "here"})
    with pytest.raises(ValidationError):
        choice.size = (8, 8)
    assert choice.with_settings(size=[8, 8], root="there").settings == choice.settings | {
        "size": [8, 8],
        "root": "there",
    }
    assert choice.size == (4, 6)


def test_a_choice_of_another_version_keeps_what_it_was_made_with_and_can_be_built(photos):
    """Settings that have come since have their defaults, and are not written into what was written without them."""
    entry = {"name": "photos", "version": 1, "settings": {"size": [2, 2], "root": "here", "gone": True}}
    choice = DataChoice.model_validate(entry)
    assert choice.model_dump() == entry
    assert (choice.folds, choice.fraction) == (None, 1.0)
    assert registry.build("data", choice) == ("here", {3: 1.0}, Box(), (2, 2))


def test_a_part_takes_a_setting_of_its_kind_with_the_type_that_harness_reads():
    def squares(*, size: int = 96):
        """Squares."""

    with pytest.raises(TypeError, match="the default of 'size' is 96: Input should be a valid"):
        registry.part("data", takes=("size",))(squares)
