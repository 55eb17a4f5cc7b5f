"""Wrong specs: each gives one message, of exit code 2, that points at the very character and says what would work."""

from __future__ import annotations

import re

import pytest
from wrong_specs import HERE, WRONG

from harness.errors import InputError
from harness.spec.load import load_spec


@pytest.mark.parametrize("name", WRONG)
def test_error_points_at_the_place(name, write_spec):
    marked, fragments = WRONG[name]
    assert marked.count(HERE) == 1
    before = marked[: marked.index(HERE)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    path = write_spec(marked.replace(HERE, ""))
    with pytest.raises(InputError) as caught:
        load_spec(path)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert re.match(rf"{re.escape(str(path))}:(\d+:\d+): ", message), message
    assert message.startswith(f"{path}:{line}:{column}: "), message
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message, message
