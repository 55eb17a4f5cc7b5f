"""Specs in files, and a catalog that holds the toys alone while these tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toys import TOYS

from harness import registry


@pytest.fixture(autouse=True, scope="module")
def toy_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_PARTS", {})
        for kind, functions in TOYS.items():
            for function in functions:
                registry.part(kind)(function)
        yield


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a spec and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
