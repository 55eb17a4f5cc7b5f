import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.taxonomy import Taxonomy, distinct_colours, map_ids, unknown_ids
from harness.errors import InputError

ODD = Taxonomy("odd", ("a", "b"), ((0, 0, 0), (1, 1, 1)), {0: 0, 1: 0, 2: 0, 7100: 1, 9: 255})


def test_ids_become_classes() -> None:
    raw = np.array([[0, 2], [7100, 9]], np.uint16)
    mapped = map_ids(raw, ODD, where="x")
    assert mapped.dtype == np.uint8
    assert mapped.tolist() == [[0, 0], [1, 255]]


def test_unknown_ids_message_word_for_word() -> None:
    raw = np.full((40, 50), 3, np.uint16)
    raw[0, :5] = 40000
    raw[1] = 0
    with pytest.raises(InputError) as caught:
        map_ids(raw, ODD, where="masks/ä b.png")
    assert str(caught.value) == (
        "masks/ä b.png: label ids without a class: 3 (1,945 px), 40000 (5 px); known ids: 0-2, 9, 7100; "
        "give them a class, or declare them ignored"
    )


@given(st.lists(st.sampled_from([0, 1, 2, 3, 9, 255, 7100, 65535]), min_size=1, max_size=30))
def test_mapping_agrees_with_a_plain_lookup(raw: list[int]) -> None:
    ids = np.array([raw], np.uint16)
    strange = {value: raw.count(value) for value in raw if value not in ODD.class_of}
    assert unknown_ids(ids, ODD) == strange
    if not strange:
        assert map_ids(ids, ODD, where="x").tolist() == [[ODD.class_of[value] for value in raw]]


@pytest.mark.parametrize("number", [1, 8, 34, 60])
def test_colours_differ(number: int) -> None:
    colours = distinct_colours(number)
    assert len(set(colours)) == len(colours) == number
    assert all(0 <= value <= 255 for colour in colours for value in colour)
