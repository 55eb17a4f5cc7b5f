"""The parts that the package ships: tests that run over them all leave out those that other tests define."""

import harness.data
import harness.parts  # noqa: F401 - enter the parts into the catalog
from harness import catalog


def shipped_parts(kind: catalog.Kind) -> tuple[catalog.Part, ...]:
    """The catalog's parts of this kind that live in the package, by name."""
    return tuple(part for part in catalog.parts(kind) if part.function.__module__.startswith("harness."))


def shipped_names(kind: catalog.Kind) -> list[str]:
    return [part.name for part in shipped_parts(kind)]
