"""`tune:` of a spec -> a Tuning, checked against the catalog and against what samplers and pruners can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from harness.errors import InputError, did_you_mean
from harness.settings import ScoreName
from harness.spec.outline import Variant
from harness.spec.overrides import overlap
from harness.spec.resolve import check_settings
from harness.spec.space import KINDS, Kind, SearchParameter, check_space
from harness.spec.tuning import IOU, SECONDS, SIDES, SPEED, Bound, KnobSettings, TuneSettings, Tuning
from harness.strict_yaml.located import Node

SCORES: tuple[str, ...] = get_args(ScoreName)


def read_tuning(node: Node, variants: Sequence[Variant]) -> Tuning:
    """Check `tune:`; `variants` are those of the study.

    Raises:
        InputError: the first thing that is wrong, with its place.
    """
    settings = check_settings(TuneSettings, node)
    entries = node.mapping()
    params = tuple(
        _read_parameter(key, settings.space[key], entry, variants) for key, entry in entries["space"].mapping().items()
    )
    if not params:
        raise entries["space"].error("the space is empty; write at least one key, such as optimizer.lr")
    _refuse_undone(params)
    objectives = settings.objective if isinstance(settings.objective, list) else [settings.objective]
    bounds = tuple(
        Bound(name, side, limit)
        for name, written in settings.constraints.items()
        for side in SIDES
        if (limit := getattr(written, side)) is not None
    )
    tuning = Tuning(params, tuple(objectives), bounds, settings)
    _check_measures(entries, tuning)
    _check_together(entries, tuning, variants)
    check_space([(variant, tuning.knobs_of(variant.name, variant.family)) for variant in variants])
    return tuning


def _read_parameter(key: str, settings: KnobSettings, node: Node, variants: Sequence[Variant]) -> SearchParameter:
    if key.partition(".")[0] == "evaluate":
        raise node.key_error("what judges trials cannot be searched; write it in base")
    entries = node.mapping()
    kind = _read_kind(node)
    values = entries[kind]
    low, high = settings.log_uniform or settings.uniform or settings.whole or (0, 1)
    if not low < high:
        raise values.error(f"{values.shown()} was given; write the lowest value first, then a higher one")
    param = SearchParameter(
        key=key,
        kind=kind,
        node=replace(values, key_where=node.key_where),
        low=low,
        high=high - (high - low) % settings.step if kind == "int" else high,
        step=settings.step,
        choices=tuple(replace(item, key_where=node.key_where) for item in values.items()) if kind == "choice" else (),
        when={key: tuple(value if isinstance(value, list) else [value]) for key, value in settings.when.items()},
        variants=None if settings.variants is None else tuple(settings.variants),
    )
    if len(set(param.labels)) < len(param.labels):
        raise values.error("a choice is written twice")
    known = dict.fromkeys(name for variant in variants for name in (variant.name, variant.family))
    for name in param.variants or ():
        if name not in known:
            raise entries["variants"].error(f"there is no variant '{name}'; {did_you_mean(name, known)}")
    return param


def _read_kind(node: Node) -> Kind:
    entries = node.mapping()
    kinds = [kind for kind in KINDS if kind in entries]
    if len(kinds) != 1:
        raise node.error(f"{len(kinds)} ways of drawing values were given; write one of {', '.join(KINDS)}")
    if entries[kinds[0]].value is None:
        raise entries[kinds[0]].error(f"null was given; write values, or leave {kinds[0]} out")
    if "step" in entries and kinds[0] != "int":
        raise entries["step"].key_error("only int has steps")
    return kinds[0]


def _refuse_undone(params: Sequence[SearchParameter]) -> None:
    for place, param in enumerate(params):
        for earlier in params[:place]:
            if overlap(param.key, earlier.key) and not param.key.startswith(f"{earlier.key}."):
                raise param.node.key_error(f"this undoes {earlier.key}, written before it; write the whole part first")


def _check_measures(entries: Mapping[str, Node], tuning: Tuning) -> None:
    if "objective" in entries:
        node = entries["objective"]
        nodes = node.items() if isinstance(node.value, tuple) else (node,)
        if len({item.text() for item in nodes}) < len(nodes) or not nodes:
            raise node.error(f"{node.shown()} was given; name one measure, or several different ones")
        for item in nodes:
            _check_measure(item.text(), (*SCORES, SPEED), item.error)
    if "constraints" in entries:
        for name, item in entries["constraints"].mapping().items():
            _check_measure(name, (*SCORES, SPEED, SECONDS), item.key_error)
            if not any(bound.measure == name for bound in tuning.bounds):
                raise item.error("a bound is missing; write {at_least: ...} or {at_most: ...}")


def _check_measure(name: str, known: Sequence[str], error_at: Callable[[str], InputError]) -> None:
    if name not in known and not (name.startswith(IOU) and len(name) > len(IOU)):
        raise error_at(f"there is no measure '{name}'; {did_you_mean(name, (*known, f'{IOU}<class>'))}")


def _check_together(entries: Mapping[str, Node], tuning: Tuning, variants: Sequence[Variant]) -> None:
    """Refuse what the sampler or the pruner cannot do, and settings that would be judged on what trials saw."""
    for variant in variants:
        if tuning.settings.judge_on == "held_out" and variant.config.data.folds is not None:
            raise entries.get("judge_on", entries["space"]).error(
                f"with data.folds ({variant.name}) trials train on what other seeds are judged on; write judge_on: val"
            )
    several = len(tuning.objectives) > 1
    if several and tuning.settings.pruner != "none":
        node = entries.get("pruner", entries["objective"])
        raise node.error(
            "several objectives cannot be pruned: at an early epoch there is no order among them; write pruner: none"
        )
    if tuning.settings.sampler == "cmaes":
        problem = "" if not several else "has one objective"
        problem = problem or ("searches numbers alone" if any(param.kind == "choice" for param in tuning.knobs) else "")
        problem = problem or ("takes no conditions" if any(param.when for param in tuning.knobs) else "")
        if problem:
            raise entries["sampler"].error(f"cmaes {problem}; write sampler: tpe")
    for variant in variants if tuning.settings.pruner == "wilcoxon" else ():
        chosen = variant.config.evaluate.select_on
        if tuning.objectives[0] != chosen:
            raise entries["pruner"].error(
                f"wilcoxon compares the groups' {chosen} (evaluate.select_on of {variant.name}), but the objective is "
                f"{tuning.objectives[0]}; write the same score in both"
            )
