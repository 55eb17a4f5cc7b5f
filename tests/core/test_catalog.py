"""The catalog: a signature is a schema, strictly, and every message says what would work."""

import subprocess
import sys
from typing import Literal

import pytest

from harness import registry
from harness.errors import InputError, SettingError, did_you_mean
from harness.settings import PathText, Positive, Size


@registry.part("loss", version=3)
def toy_loss(
    num_classes: "torch.Tensor",  # noqa: F821 - annotations before the slash are never evaluated
    /,
    *,
    gamma: Positive = 2.0,
    rule: Literal["none", "inverse"] | list[Positive] = "none",
    size: Size = (2, 3),
    file: Literal["none"] | PathText = "none",
):
    """A loss that only tests know."""
    return num_classes, gamma, rule, size, file


def test_defaults_are_spelled_out_and_the_version_kept():
    choice = registry.choose("loss", "toy_loss", {"gamma": 1})
    assert dict(choice.settings) == {"weight": 1.0, "gamma": 1.0, "rule": "none", "size": [2, 3], "file": "none"}
    assert choice.version == 3
    assert registry.find_part("loss", "toy_loss").locations == ("file",)


def test_build_supplies_by_name():
    choice = registry.choose("loss", "toy_loss", {})
    assert registry.build("loss", choice, other=1, num_classes=7)[0] == 7
    with pytest.raises(InputError, match="asks for 'num_classes'"):
        registry.build("loss", choice, num_clases=7)


@pytest.mark.parametrize(
    ("settings", "path", "fragments"),
    [
        ({"gama": 1}, ("gama",), ["no such setting", "did you mean 'gamma'"]),
        ({"gamma": "1e-3"}, ("gamma",), ['"1e-3" was given', "valid number", "write 0.001"]),
        ({"gamma": -1}, ("gamma",), ["-1 was given", "greater than 0"]),
        ({"gamma": True}, ("gamma",), ["true was given", "valid number"]),
        ({"gamma": float("nan")}, ("gamma",), ["finite number"]),
        ({"gamma": None}, ("gamma",), ["null was given"]),
        ({"rule": "invers"}, ("rule",), ["'none' or 'inverse'"]),
        ({"rule": [1, "x"]}, ("rule", 1), ['"x" was given', "valid number"]),
        ({"size": [4]}, ("size",), []),
        ({"size": [4, 0]}, ("size", 1), ["0 was given"]),
        ({"size": [4, 2.5]}, ("size", 1), ["2.5 was given", "valid integer"]),
    ],
)
def test_wrong_settings(settings, path, fragments):
    with pytest.raises(SettingError) as caught:
        registry.choose("loss", "toy_loss", settings)
    assert caught.value.path[: len(path)] == path
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_unknown_part_lists_the_known_ones():
    with pytest.raises(SettingError, match=r"no loss is named 'toy_los'; did you mean 'toy_loss'"):
        registry.choose("loss", "toy_los", {})


def test_a_part_must_say_what_it_does_and_what_is_supplied():
    def undocumented(*, gamma: float = 1.0):
        return gamma

    def loose(gamma: float = 1.0):
        """Takes a setting that is neither supplied nor named."""

    with pytest.raises(TypeError, match="needs a docstring"):
        registry.part("loss")(undocumented)
    with pytest.raises(TypeError, match="must stand before '/' or after"):
        registry.part("loss")(loose)


def test_two_parts_of_one_name_are_an_error():
    def toy_loss(*, gamma: float = 1.0):
        """Another one."""

    toy_loss.__module__ = "somewhere.else"
    with pytest.raises(ValueError, match="already defined"):
        registry.part("loss")(toy_loss)


def test_did_you_mean_says_when_there_is_nothing():
    assert did_you_mean("x", []) == "known: none"


def test_the_first_look_up_finds_what_harness_ships():
    code = (
        "from harness import registry; print(registry.find_part('data', 'camvid').name, len(registry.parts('model')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, models = done.stdout.split()
    assert (name, int(models) > 3) == ("camvid", True)
