"""What `@part` refuses: settings that would act twice or never, and signatures that no spec can fill."""

import math
from pathlib import Path

import numpy as np
import pytest

from harness import registry
from harness.registry import PART_NAME

TAKEN = [(kind, name) for kind in registry.KINDS for name in (PART_NAME, *registry.COMMON[kind].model_fields)]


@pytest.fixture(autouse=True)
def own_catalog(monkeypatch):
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))


def make(name: str, setting: str, code: str = "float = 1.0"):
    space = {"np": np, "Path": Path, "math": math}
    learning = ", lr: float = 1.0" if setting != "lr" else ""
    exec(f"def {name}(*, {setting}: {code}{learning}):\n    '''A part.'''", space)
    return space[name]


@pytest.mark.parametrize(("kind", "name"), TAKEN)
def test_no_part_takes_a_name_that_harness_reads_itself(kind, name):
    with pytest.raises(TypeError) as caught:
        registry.part(kind)(make("mine", name))
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(f"@part('{kind}') mine in <string>:1: '{name}' cannot be a setting")
    assert (kind, "mine") not in registry._PARTS


@pytest.mark.parametrize("kind", registry.KINDS)
def test_the_names_of_other_kinds_are_free(kind):
    """`size` is common to all data, and a crop has one of its own."""
    for name in {name for _, name in TAKEN} - {name for of, name in TAKEN if of == kind} - {PART_NAME}:
        registry.part(kind)(make(f"with_{name}", name))
        assert registry.choose(kind, f"with_{name}", {name: 3.0}).own[name] == 3.0


@pytest.mark.parametrize("kind", registry.KINDS)
def test_shipped_parts_take_no_common_setting_but_where_they_say_so(kind):
    both = {part.name: set(part.own) & set(registry.COMMON[kind].model_fields) for part in registry.parts(kind)}
    assert {name: names for name, names in both.items() if names} == ({"desert": {"size"}} if kind == "data" else {})


WRONG = {
    "default beyond its type": (("x", "float = 'a'"), "the default of 'x' is 'a': Input should be a valid number"),
    "default null": (("x", "float = None"), "the default of 'x' is None: Input should be a valid number"),
    "default nan": (("x", "float = math.nan"), "the default of 'x' is nan: Input should be a finite number"),
    "default path": (("x", "Path = Path('a')"), "the default of 'x' is PosixPath('a'): YAML cannot write it"),
    "default array": (("x", "list = np.zeros(2)"), "the default of 'x' is array([0., 0.]): YAML cannot write it"),
    "type array": (("x", "np.random.Generator"), "no spec can write settings of these types"),
    "type unknown": (("x", "'Nowhere' = 1"), "the type of a setting cannot be read: name 'Nowhere' is not defined"),
    "underscore": (("_x", "float = 1.0"), "'_x' cannot be a setting"),
    "pydantic's own": (("model_fields", "float = 1.0"), "'model_fields' cannot be a setting"),
}


@pytest.mark.parametrize(("setting", "problem"), WRONG.values(), ids=WRONG)
def test_a_setting_that_no_spec_can_write_is_refused_where_it_is_defined(setting, problem):
    with pytest.raises(TypeError) as caught:
        registry.part("loss")(make("mine", *setting))
    assert f"@part('loss') mine in <string>:1: {problem}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_function_with_types_and_a_docstring_is_refused():
    def untyped(*, gamma=1.0):
        """A part."""

    def blank(*, gamma: float = 1.0):
        """ """

    def rateless(groups, /, *, momentum: float = 0.0):
        """An optimizer."""

    class Focal:
        """A loss."""

    for kind, wrong, problem in (
        ("loss", untyped, "'gamma' has no type"),
        ("loss", blank, "needs a docstring"),
        ("loss", Focal, "a part is a function"),
        ("loss", lambda: 1, "a part is a function"),
        ("optimizer", rateless, "needs the setting 'lr'"),
    ):
        with pytest.raises(TypeError, match=problem):
            registry.part(kind)(wrong)
    with pytest.raises(TypeError, match=r"no such kind of part; did you mean 'loss'"):
        registry.part("losses")


def test_a_part_may_have_settings_named_as_methods_of_pydantic():
    registry.part("loss")(make("mine", "copy"))  # a warning would be an error here
    assert registry.choose("loss", "mine", {"copy": 2.0}).own["copy"] == 2.0


def test_a_module_that_is_imported_again_replaces_its_parts():
    registry.part("loss")(make("mine", "x"))
    registry.part("loss")(make("mine", "y"))
    assert registry.find_part("loss", "mine").own == ("y", "lr")
