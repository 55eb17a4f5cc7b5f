"""The parts that the package ships: tests that run over them all leave out those that other tests define."""

from harness import registry


def shipped_parts(kind: registry.Kind) -> tuple[registry.Part, ...]:
    """The catalog's parts of this kind that live in the package, by name."""
    return tuple(part for part in registry.parts(kind) if part.function.__module__.startswith("harness."))


def shipped_names(kind: registry.Kind) -> list[str]:
    return [part.name for part in shipped_parts(kind)]
