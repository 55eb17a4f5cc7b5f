"""Strict YAML: plain values come through, places are right, and nothing but HarnessError comes out."""

from __future__ import annotations

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toys import MINIMAL

from harness.errors import HarnessError
from harness.spec.load import load_spec
from harness.strict_yaml.located import parse_yaml


def parse(text):
    return parse_yaml(text, lambda line, column: f"{line}:{column}")


def test_plain_values():
    text = "{a: 1, b: -2.5, c: 1.0e-3, d: true, e: null, f: text, g: 'no', h: \"1e-3\", i: [1, {j: ~}], 100: 0}"
    assert parse(text).plain() == {
        "a": 1,
        "b": -2.5,
        "c": 1.0e-3,
        "d": True,
        "e": None,
        "f": "text",
        "g": "no",
        "h": "1e-3",
        "i": [1, {"j": None}],
        "100": 0,
    }


def test_places_of_keys_and_values():
    root = parse("# head\nfirst: 1\nsecond:\n  - x\n  -   {deep:   true}\n").mapping()
    deep = root["second"].items()[1].mapping()["deep"]
    assert (root["first"].key_where, root["first"].where) == ("2:1", "2:8")
    assert (deep.key_where, deep.where, deep.path) == ("5:8", "5:16", "second.1.deep")


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    assert parse("\ufeffstudy: toy").plain() == {"study": "toy"}


words = st.text(st.characters(codec="utf-8", categories=["L", "Nd", "P", "S"]), max_size=8).map("t{}".format)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
)
trees = st.recursive(
    scalars, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(words, inside, max_size=3), max_leaves=8
)


@settings(deadline=None)
@given(st.dictionaries(words, trees, min_size=1, max_size=4))
def test_what_a_yaml_writer_writes_is_read_back(tree):
    assert parse(yaml.safe_dump(tree, allow_unicode=True)).plain() == tree


PIECES = st.sampled_from(
    [
        *"{}[]:,&*!|>'\"#-?%@` \n\t\\",
        "\\UFFFFFFFF",
        "---\n",
        "<<: ",
        "study",
        "base",
        "set",
        "null",
        "1e3",
        "\x00",
        "é",
        "\ud800",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
@example('"\\U00110000"')
@example("%YAML 1." + "9" * 5000 + "\n---\na: 1")
@example("[" * 3000)
@example("{a: " * 3000)
@example("? " * 3000)
@example("- " * 3000)
@example("\ufffe")
@example("a: !<tag:yaml.org,2002:int> x")
@example("&a [*a]")
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_spec(path)
    except HarnessError as error:
        assert "\n" not in str(error)


@settings(deadline=None)
@given(st.data())
def test_any_mutilated_spec_is_read_or_refused(tmp_path_factory, data):
    """Cuts, doubles and swaps pieces of a right spec, so that what is wrong is deeper than its first character."""
    text = MINIMAL
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        piece = data.draw(
            st.sampled_from(["", text[start:end] * 2, "{}", "null", "[1]", "x", ": ", "set", "1.5", "from: plain@best"])
        )
        text = text[:start] + piece + text[end:]
    path = tmp_path_factory.getbasetemp() / "mutilated.yaml"
    path.write_text(text)
    try:
        load_spec(path)
    except HarnessError as error:
        assert str(error).startswith(str(path))
