"""`harness parts` with a study or a module: the parts of plugins, with their docs and settings, marked as theirs."""

import json
import subprocess

import pytest
from tiny_study import TINY, harness_command

PLUGIN = '''
print("hello from the plugin")
from harness.registry import part


@part("loss")
def mine(*, sharpness: float = 2.0):
    """Our own loss.

    It has a second paragraph.
    """


@part("augment")
def ours(*, p: float = 0.5):
    """Our own augmentation."""
'''


@pytest.fixture
def parts(tmp_path):
    (tmp_path / "lab_parts.py").write_text(PLUGIN)
    (tmp_path / "empty_parts.py").write_text("")
    (tmp_path / "taken_parts.py").write_text(PLUGIN.replace("mine", "dice"))
    (tmp_path / "lab.yaml").write_text(TINY + "plugins: [lab_parts]\n")
    (tmp_path / "unfinished.yaml").write_text("plugins: [lab_parts]\n")

    def parts(*arguments):
        command = harness_command("parts", *arguments)
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return parts


@pytest.mark.parametrize("given", [("--plugin", "lab_parts"), ("--spec", "lab.yaml"), ("--spec", "unfinished.yaml")])
def test_a_plugins_parts_are_listed_in_full_and_marked(parts, given):
    done = parts(*given)
    assert done.returncode == 0, done.stderr
    assert "loss mine (plugin lab_parts, " in done.stdout
    assert "augment ours (plugin lab_parts, " in done.stdout
    for word in ("It has a second paragraph.", "sharpness", "2.0", "weight", "Factor of this term in the sum."):
        assert word in done.stdout
    assert "cross_entropy" not in done.stdout
    assert "hello" not in done.stdout  # what a plugin prints is no result


def test_kind_name_and_json_go_with_a_plugin(parts):
    assert "ours" not in parts("loss", "--plugin", "lab_parts").stdout
    one = parts("loss", "mine", "--plugin", "lab_parts")
    assert one.stdout.startswith("loss mine (plugin lab_parts")
    shipped = parts("loss", "dice", "--plugin", "lab_parts")
    assert shipped.stdout.splitlines()[0] == "loss dice"
    listed = json.loads(parts("--plugin", "lab_parts", "--json").stdout)
    assert [(item["kind"], item["name"], item["plugin"]) for item in listed] == [
        ("loss", "mine", "lab_parts"),
        ("augment", "ours", "lab_parts"),
    ]
    assert {item["plugin"] for item in json.loads(parts("--json").stdout)} == {None}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--plugin", "nowhere"), "the plugin 'nowhere' cannot be imported: ModuleNotFoundError"),
        (("--plugin", "taken_parts"), "is already defined in harness.parts.losses"),
        (("--plugin", "empty_parts"), "empty_parts: no part is defined there"),
        (("model", "--plugin", "lab_parts"), "lab_parts: no model is defined there"),
        (("--spec", "absent.yaml"), "absent.yaml"),
        (("--plugin", "../lab_parts"), "the plugin '../lab_parts' cannot be imported"),
    ],
)
def test_what_cannot_be_listed_is_one_message(parts, arguments, told):
    done = parts(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
