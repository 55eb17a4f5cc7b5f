"""Data sets: opening one by its name in a spec, and what every one of them offers (`harness.data.source`)."""

from __future__ import annotations

from harness.catalog import build
from harness.data import camvid, desert, folder
from harness.data.source import Source
from harness.records import Choice

__all__ = ["camvid", "desert", "folder", "open_source"]


def open_source(choice: Choice) -> Source:
    """Open a chosen data set: its files are listed, but no image is decoded.

    Raises:
        InputError: its files are not where the settings say, or do not belong together.
    """
    source: Source = build("data", choice)
    return source
