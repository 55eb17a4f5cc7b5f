"""What a store holds, and what it can do without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.studies import open_store
from harness.errors import InputError, describe_missing
from harness.files import DEFAULT_ROOT

if TYPE_CHECKING:
    from harness.tracking.garbage import Garbage
    from harness.tracking.inventory import Inventory
    from harness.tracking.protocol import Store


def take_inventory(root: str | Path = DEFAULT_ROOT, tracking_uri: str | None = None) -> Inventory:
    """Return the studies below a store's root, with their runs and sizes.

    Raises:
        InputError: there is no such folder, or the plan of a study is damaged.
        StoreError: the tracking store fails: what its studies need is not known.
    """
    from harness.tracking.garbage import find_garbage, plans_on_record
    from harness.tracking.inventory import take_inventory as take

    place, store = _open(root, tracking_uri)
    plans = plans_on_record(place, store)
    return take(place, plans, find_garbage(place, plans))


def collect_garbage(
    root: str | Path = DEFAULT_ROOT, tracking_uri: str | None = None, *, dry_run: bool = False
) -> tuple[Garbage, ...]:
    """Remove what no study on record needs, and return it; with `dry_run`, return it only.

    Raises:
        InputError: there is no such folder, the plan of a study is damaged, or a file cannot be removed.
        StoreError: the tracking store fails: what its studies need is not known.
    """
    from harness.tracking.garbage import find_garbage, plans_on_record, remove_garbage

    place, store = _open(root, tracking_uri)
    return find_garbage(place, plans_on_record(place, store)) if dry_run else remove_garbage(place, store)


def _open(root: str | Path, tracking_uri: str | None) -> tuple[Path, Store | None]:
    """Return the root, and the tracking store where there is one: none is made for having been looked at."""
    from harness.tracking.server import DATABASE, default_uri, find_uri

    place = Path(root)
    if not place.is_dir():
        raise InputError(f"{describe_missing(place)}; name the one that harness run kept its runs in")
    is_default = find_uri(place, tracking_uri) == default_uri(place)
    there = not is_default or (place / DATABASE).exists()
    return place, open_store(place, tracking_uri) if there else None
