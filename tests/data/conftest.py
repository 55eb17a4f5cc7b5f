from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    return cache


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., Path]:
    """Write `names` as images/NAME.png and masks/NAME.png (ids 0 and 1 unless `ids` says other) and return the root."""

    def make(names: list[str], root: Path = tmp_path / "data", ids: tuple[int, ...] = (0, 1)) -> Path:
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            image = np.full((4, 6, 3), number % 256, np.uint8)
            label = np.resize(np.array(ids, np.uint8), (4, 6))
            PIL.Image.fromarray(image).save(root / "images" / f"{name}.png")
            PIL.Image.fromarray(label).save(root / "masks" / f"{name}.png")
        return root

    return make
