"""What must hold between the variants of a study, beyond each being right by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.fingerprint import canonical, thaw
from harness.records import RunConfig
from harness.spec.outline import Outline, VariantOutline
from harness.spec.overrides import overlap
from harness.spec.resolve import weights_settings
from harness.strict_yaml.located import Node


def check_components(outline: Outline) -> None:
    """Check that a component means one thing in the study, and that no two that run together set the same.

    A component may change what one that it needs sets as a whole, if it is written after that one.

    Raises:
        InputError: the first one that does not.
    """
    meaning: dict[str, Node] = {}
    for variant in outline.variants.values():
        for name, component in variant.components.items():
            first = meaning.setdefault(name, component)
            if canonical(component.plain()) != canonical(first.plain()):
                raise component.error(f"the component '{name}' is another one at {first.where}; give it its own name")
        _refuse_overlap(variant)


def _refuse_overlap(variant: VariantOutline) -> None:
    setters: dict[str, str] = {}
    for name, component in variant.components.items():
        for key, node in component.mapping().items():
            for other, setter in setters.items():
                refines = setter in variant.needs.get(name, ()) and key.startswith(f"{other}.")
                if overlap(key, other) and not refines:
                    raise node.key_error(f"the component '{setter}' sets {other} too; one of the two must not")
        setters |= dict.fromkeys(component.mapping(), name)


def check_start(variant: VariantOutline, config: RunConfig, parent: RunConfig) -> None:
    """Check that a run can begin with the weights of the run it starts from, and that they mean the same there.

    Raises:
        InputError: model, data or normalisation differ; the message says how.
    """
    here, there = what_weights_need(config), what_weights_need(parent)
    for key in dict.fromkeys([*here, *there]):
        if here.get(key) != there.get(key):
            assert variant.start is not None
            raise variant.node.mapping()["from"].error(
                f"'{variant.name}' cannot start from the weights of '{variant.start[0]}': {key} is"
                f" {canonical(here.get(key))} here and {canonical(there.get(key))} there; make them equal, or write"
                " `like` in place of `from` to take over settings without weights"
            )


def what_weights_need(config: RunConfig) -> Mapping[str, Any]:
    """Return the settings (dotted key -> value) that two runs share if one can begin with the weights of the other."""
    free = {"freeze", *weights_settings(config.model)}
    shape = {f"model.{key}": thaw(value) for key, value in config.model.settings.items() if key not in free}
    return {
        "model.name": config.model.name,
        **shape,
        "data.name": config.data.name,
        "data.normalize": config.data["normalize"],
        "data.inputs": thaw(config.data["inputs"]),
    }
