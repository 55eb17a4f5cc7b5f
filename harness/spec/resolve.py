"""Settings as written -> a complete RunConfig, checked against the catalog; errors point at the line that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from harness import registry
from harness.errors import InputError, SettingError
from harness.records import RunConfig
from harness.registry import Checked
from harness.settings import DataChoice, EvaluateSettings, ModelChoice, TrainSettings
from harness.strict_yaml.located import Node

WEIGHTS = ("weights", "backbone_weights")
"""Settings of models that say which weights they begin with; so do all that are places on disk."""


def resolve(tree: Node, plugins: tuple[str, ...]) -> RunConfig:
    """Return the config that settings as written stand for, every default spelled out, with seed 0.

    `data.normalize: auto` becomes `imagenet` for a model with pretrained weights and `centered` for others.

    Raises:
        InputError: the first setting that is wrong, with its place.
    """
    sections = tree.mapping()
    model: ModelChoice = _choose_one("model", sections["model"])
    data: DataChoice = _choose_one("data", sections["data"])
    if data.normalize == "auto":
        data = data.with_settings(normalize=auto_normalize(model.own[name] for name in weights_settings(model)))
    config = RunConfig(
        data=data,
        model=model,
        loss=_choose_several("loss", sections["loss"]),
        augment=_choose_several("augment", sections["augment"]),
        optimizer=_choose_one("optimizer", sections["optimizer"]),
        schedule=_choose_one("schedule", sections["schedule"]),
        train=check_settings(TrainSettings, sections["train"]),
        evaluate=check_settings(EvaluateSettings, sections["evaluate"]),
        seed=0,
        plugins=plugins,
    )
    if not config.loss:
        raise sections["loss"].error("there is no loss; write at least one term, such as cross_entropy: {}")
    _refuse_idle_multipliers(config, sections["optimizer"])
    return config


def weights_settings(model: ModelChoice) -> tuple[str, ...]:
    """Return the names of a model's settings that say which weights it begins with."""
    locations = registry.find_part("model", model.name).locations
    return tuple(name for name in model.own if name in locations or name in WEIGHTS)


def what_weights_need(config: RunConfig) -> Mapping[str, Any]:
    """Return the settings (dotted key -> value) that two runs share if one can begin with the weights of the other."""
    free = {"freeze", *weights_settings(config.model)}
    shape = {f"model.{key}": value for key, value in config.model.settings.items() if key not in free}
    return {
        "model.name": config.model.name,
        **shape,
        "data.name": config.data.name,
        "data.normalize": config.data.normalize,
        "data.inputs": config.data.inputs,
    }


def auto_normalize(weights: Iterable[str]) -> str:
    """Return the normalisation of inputs that `auto` stands for with a model that begins with these weights."""
    return "imagenet" if any(name != "none" for name in weights) else "centered"


def _choose_one(kind: Literal["data", "model", "optimizer", "schedule"], node: Node) -> Any:
    if isinstance(node.value, str):
        raise node.error(f"{node.shown()} was given; a part is written as {kind}: {{name: {node.value}}}")
    entries = node.mapping()
    if "name" not in entries:
        one = next(iter(entries), "setting")
        raise node.error(
            f"'name' is missing: a part is written as {kind}: {{name: ..., {one}: ...}};"
            f" below `set`, {kind}.{one} changes that one setting"
        )
    _find(kind, entries["name"].text(), entries["name"].error)
    settings = {key: value.plain() for key, value in entries.items() if key != "name"}
    return _checked(node, partial(registry.choose, kind, entries["name"].text(), settings))


def _choose_several(kind: Literal["loss", "augment"], node: Node) -> tuple[Any, ...]:
    chosen = []
    for name, settings in node.mapping().items():
        if settings.value is None:
            raise settings.error(f"null was given; write {name}: {{}} for a term with its default settings")
        settings.mapping()
        _find(kind, name, settings.key_error)
        chosen.append(_checked(settings, partial(registry.choose, kind, name, settings.plain())))
    return tuple(chosen)


def _find(kind: registry.Kind, name: str, error_at: Callable[[str], InputError]) -> None:
    try:
        registry.find_part(kind, name)
    except SettingError as error:
        raise error_at(error.problem) from None


def check_settings(schema: type[Checked], node: Node) -> Checked:
    """Return the settings that stand at a node, checked. Raises InputError that points at the first that is wrong."""
    node.mapping()
    return _checked(node, partial(registry.check, schema, node.plain()))


def _checked(node: Node, check: Callable[[], Checked]) -> Checked:
    """Run a check of settings that stand at a node, and give its error the place in the spec."""
    try:
        return check()
    except SettingError as error:
        for step in error.path:
            node = node.items()[step] if isinstance(step, int) else node.mapping()[step]
        is_key = error.problem.startswith(registry.UNKNOWN_SETTING)
        raise (node.key_error if is_key else node.error)(error.problem) from None


def _refuse_idle_multipliers(config: RunConfig, optimizer: Node) -> None:
    # Whatever is frozen, the backbone is; the group head holds more than the classifier, and some of it always moves.
    if config.model.freeze != "none" and "backbone" in config.optimizer.multipliers:
        multiplier = optimizer.mapping()["multipliers"].mapping()["backbone"]
        raise multiplier.key_error(
            f"this multiplier has no effect: model.freeze: {config.model.freeze} keeps the group backbone still;"
            " do not freeze it, or write optimizer.multipliers: {}"
        )
