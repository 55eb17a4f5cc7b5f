"""Studies made of a study that is tuned: one trial with what it starts from, and the winners against the defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import InputError, did_you_mean
from harness.fingerprint import fingerprint
from harness.records import Plan, Run, RunConfig
from harness.spec.load import Spec, command_of, parents_first
from harness.spec.outline import Variant
from harness.spec.plan import expand
from harness.spec.resolve import resolve
from harness.spec.space import SearchParameter, Values, with_values
from harness.spec.tuning import Trial, Tuning, winner
from harness.strict_yaml.located import Node

TUNED = "-tuned"
"""Ends the name of a variant with the winner's settings, and that of the study in which it is judged."""
TRIALS = "-trials"
"""Ends the name of the study that the trials of a study are."""

ReadInputs = Callable[[RunConfig], Mapping[str, str]]


@dataclass(frozen=True)
class SearchOutcome:
    """What a search of one variant has found so far."""

    variant: Variant
    knobs: tuple[SearchParameter, ...]
    written: Values | None
    trials: tuple[Trial, ...]
    name: str
    """Of the search in its database."""

    @property
    def winner(self) -> Trial | None:
        """Return the trial whose settings won; None where no trial is finished and keeps the bounds."""
        return winner(self.trials)


def asked_tuning(spec: Spec) -> Tuning:
    """Return what a study says of its tuning.

    Raises:
        InputError: it says nothing: the key `tune` is missing.
    """
    if spec.tune is None:
        raise InputError(
            f"{spec.path}: the key 'tune' is missing: it says which settings are searched (docs/tuning.md)"
        )
    return spec.tune


def choose_variants(spec: Spec, names: Sequence[str]) -> tuple[Variant, ...]:
    """Return the variants of these names, or all; the name of a family stands for its combinations.

    Raises:
        InputError: there is no such variant, or nothing is searched in one.
    """
    known = dict.fromkeys(name for variant in spec.variants for name in (variant.name, variant.family))
    for name in names:
        if name not in known:
            raise InputError(f"--variant {name}: the study has no such variant; {did_you_mean(name, known)}")
    chosen = [v for v in spec.variants if not names or {v.name, v.family} & set(names)]
    for variant in chosen:
        if not asked_tuning(spec).knobs_of(variant.name, variant.family):
            raise InputError(
                f"{spec.path}: tune.space: nothing is searched in '{variant.name}'; name others by --variant"
            )
    return tuple(chosen)


def trial_seed(spec: Spec) -> int:
    """Return the seed that trials train with: none of the study's, so that no final run is one that was chosen."""
    return max(spec.seeds) + 1


def plan_trial(
    spec: Spec, variant: Variant, read_inputs: ReadInputs, *, number: int, tree: Node
) -> tuple[Plan, tuple[Run, ...]]:
    """Return a trial's plan, and the runs that it needs in order: those that it starts from, and last the trial itself.

    `tree` holds the settings of the variant with the trial's values. The variant as written is in the plan too.
    """
    chain = _chain(spec, variant)
    trial = _changed(spec, variant, f".trial{number:03}", tree)
    plan = _plan(spec, TRIALS, (*chain, variant, trial), (trial_seed(spec),), read_inputs)
    needed = {item.name for item in (*chain, trial)}
    told = replace(plan, kind="tuning", reference=variant.name, command=command_of(spec, "tune"))
    return told, tuple(run for run in plan.runs if run.variant in needed)


def plan_finals(spec: Spec, searches: Sequence[SearchOutcome], read_inputs: ReadInputs) -> Plan:
    """Return the study in which each variant with its winner's values meets itself as written.

    Raises:
        InputError: no search has a winner.
    """
    chosen = [(item.variant, item.knobs, item.winner.values) for item in searches if item.winner is not None]
    if not chosen:
        raise InputError("no trial is finished and keeps the constraints, so there is nothing to compare")
    tuned = [
        _changed(spec, variant, TUNED, with_values(variant.tree, knobs, values)) for variant, knobs, values in chosen
    ]
    # The study as written stays in it: each tuned variant is compared with the one it was made of, and with what that
    # starts from.
    written = {item.name: item for variant, _, _ in chosen for item in (*_chain(spec, variant), variant)}
    plan = _plan(spec, TUNED, (*written.values(), *tuned), spec.seeds, read_inputs)
    names, whole = [variant.name for variant, _, _ in chosen], spec.compare.reference
    reference = f"{whole}{TUNED}" if whole in names else tuned[0].name
    words = [word for name in names for word in ("--variant", name)] if len(names) < len(spec.variants) else []
    return replace(plan, reference=reference, command=command_of(spec, "tune", *words))


def _changed(spec: Spec, variant: Variant, ending: str, tree: Node) -> Variant:
    """Return a variant of its own with other settings than one of the study's, written as a change of that."""
    name = f"{variant.name}{ending}"
    config = resolve(tree, spec.plugins)
    return replace(variant, name=name, family=name, design=(), config=config, like=variant.name)


def search_name(spec: Spec, variant: Variant, knobs: Sequence[SearchParameter], written: Run) -> str:
    """Return the name of a variant's search: another one where anything differs that decides which trials are made.

    `written` is the run of the variant as written, with the trials' seed: its id covers settings, data and start.
    """
    tuning, how = asked_tuning(spec), asked_tuning(spec).settings
    space = [[knob.key, knob.kind, knob.low, knob.high, knob.step, knob.labels, knob.when] for knob in knobs]
    bounds = [str(bound) for bound in tuning.bounds]
    rest = [tuning.objectives, bounds, how.sampler, how.pruner, how.startup, how.seed, how.judge_on]
    return f"{spec.study}/{variant.name}/{fingerprint([written.id, space, rest])}"


def _plan(
    spec: Spec, ending: str, variants: Sequence[Variant], seeds: tuple[int, ...], read_inputs: ReadInputs
) -> Plan:
    names, settings = {variant.name for variant in variants}, asked_tuning(spec).settings
    changes: dict[str, str] = {}
    if settings.judge_on == "held_out":
        changes["select_split"] = "held_out"
    if settings.pruner == "wilcoxon" and ending == TRIALS:
        changes["epochs_by"] = "group"
    judged = []
    for variant in variants:
        config = replace(variant.config, evaluate=variant.config.evaluate.model_copy(update=changes))
        judged.append(replace(variant, config=config, like=variant.like if variant.like in names else None))
    compared = replace(spec.compare, reference=judged[0].name)
    whole = replace(spec, study=f"{spec.study}{ending}", seeds=seeds, variants=tuple(judged), compare=compared)
    return expand(whole, read_inputs)


def _chain(spec: Spec, variant: Variant) -> list[Variant]:
    """Return the variants that one starts from, the first to be trained first."""
    by_name = {item.name: item for item in spec.variants}
    return parents_first({variant.name: variant}, lambda item: by_name[item.start[0]] if item.start else None)[:-1]
