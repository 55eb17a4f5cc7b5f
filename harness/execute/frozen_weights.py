"""Which weights a plugin's model keeps still itself. What moves decides numbers, so it is part of a run's id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from harness import registry
from harness.data.digests import remember
from harness.environment import read_version
from harness.fingerprint import canonical, digest_bytes, fingerprint
from harness.records import OWN_FREEZE, RunConfig
from harness.spec.plugins import digest_sources, read_sources

LIBRARIES = ("ablation-harness", "torch", "torchvision", "timm", "segmentation-models-pytorch", "peft", "transformers")


@dataclass(frozen=True)
class FrozenWeights:
    """What was found by building a model once."""

    names: tuple[str, ...]
    """Parameters that the model keeps still and `model.freeze` would have let move."""
    total: int
    """Parameters in all."""


def find_frozen_weights(config: RunConfig, num_classes: int, inputs: Mapping[str, str]) -> FrozenWeights:
    """Build a plugin's model and see; remembered by its source, its settings and the libraries that it may build on.

    A model that harness ships keeps nothing still, and is not built; of one that cannot be built nothing is found.
    `inputs` are the digests of the files that it reads.
    """
    part = registry.find_part("model", config.model.name)
    if part.plugin is None:
        return FrozenWeights((), 0)
    sources = read_sources([part.plugin, *config.plugins])
    told = {
        "model": [config.model.name, config.model.version, config.model.settings],
        "shape": [num_classes, config.data.inputs],
        "files": dict(inputs),
        "source": digest_sources(sources),
        "libraries": [read_version(name) for name in LIBRARIES],
    }
    try:
        if not sources:  # defined where no file says how, as in a notebook
            return _build(config, num_classes)
        key = digest_bytes([canonical(told).encode()])
        found = json.loads(remember("still", key, lambda: canonical(asdict(_build(config, num_classes)))))
    except Exception:  # noqa: BLE001 - a model that cannot be built: its run says why, and the others go on
        return FrozenWeights((), 0)
    return FrozenWeights(tuple(found["names"]), found["total"])


def _build(config: RunConfig, num_classes: int) -> FrozenWeights:
    from harness.models.network import kept_against
    from harness.train.batches import Preprocessing
    from harness.train.setup import build_network

    channels = Preprocessing(config.data.inputs, (), ()).channels
    network, _ = build_network(config, num_classes, channels, None)
    names = sorted(kept_against(network, config.model.freeze))
    return FrozenWeights(tuple(names), len(list(network.module.parameters())))


def describe_frozen_weights(model: str, still: FrozenWeights) -> str:
    """Return what a reader must know of it."""
    return (
        f"model '{model}': {len(still.names)} of {still.total} tensors stay as they are, because the model itself was "
        "built with them frozen"
    )


def mark(still: FrozenWeights) -> dict[str, str]:
    """Return what a run's inputs say of it: nothing where the model keeps no weight still against `model.freeze`."""
    return {OWN_FREEZE: fingerprint(list(still.names))} if still.names else {}
