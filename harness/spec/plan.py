"""Spec -> Plan: every variant with every seed, each with an id that everything that decides its numbers goes into.

Plans are made of plans, too: of some variants, of two that are compared, of several studies as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import registry
from harness.errors import InputError, did_you_mean
from harness.fingerprint import canonical, fingerprint
from harness.records import SEVERAL, SINGLE, Plan, Run, RunConfig, Start
from harness.settings import Choice
from harness.spec.load import Spec, command_of, parents_first
from harness.spec.resolve import weights_settings

NO_NUMBERS = ("checkpoint_every", "epochs_by")
"""Settings of training and evaluation that change what an interruption costs or what is noted, and no number."""
NEUTRAL = {"on_oom": "fail", "optimizer_step": "plain", "augment_as": "steps", "compile": "none"}
"""Settings that were added later, each with the value that changes nothing: a run with that value keeps its id."""
MOST_RUNS = 50_000
"""Runs of a plan: planning so many takes half a minute."""
WARM_VERSION = 2
"""Of training on from a start: in version 1, which ids do not name, the start itself could be a run's best epoch."""


def expand(spec: Spec, read_inputs: Callable[[RunConfig], Mapping[str, str]]) -> Plan:
    """Expand a study into runs. `read_inputs` gives the digest of each thing that a config reads from disk.

    A variant comes after the one it starts from, otherwise in the order of the spec; the seeds of a variant stand
    together. Started in this order as soon as each can, runs fill the cores: neighbours never wait for each other.

    Raises:
        InputError: there are more runs than a plan can have.
    """
    number = len(spec.variants) * len(spec.seeds)
    if number > MOST_RUNS:
        raise InputError(
            f"{spec.path}: {len(spec.variants):,} variants with {len(spec.seeds):,} seeds are {number:,} runs; a plan"
            f" has {MOST_RUNS:,} at most: write fewer seeds (verdicts need three to ten), or a smaller design"
        )
    variants = {variant.name: variant for variant in spec.variants}
    runs: dict[tuple[str, int], Run] = {}
    for variant in parents_first(variants, lambda item: variants[item.start[0]] if item.start else None):
        changed_from = variant.like or (variant.start[0] if variant.start else spec.compare.reference)
        changed = differences(variants[changed_from].config, variant.config)
        for seed in spec.seeds:
            inputs = dict(read_inputs(config := replace(variant.config, seed=seed)))
            start = Start(runs[variant.start[0], seed].id, variant.start[1]) if variant.start else None
            runs[variant.name, seed] = Run(
                id=run_id(config, inputs, start),
                variant=variant.name,
                seed=seed,
                config=config,
                inputs=inputs,
                start=start,
                components=dict(variant.components),
                family=variant.family,
                design=variant.design,
                settings_from="" if changed_from == variant.name else changed_from,
                changed=changed,
            )
    return Plan(
        study=spec.study,
        question=spec.question,
        **vars(spec.compare) | {"split": spec.compare.split and spec.compare.split.value},
        runs=tuple(runs.values()),
        spec_text=spec.text,
        command=command_of(spec, "run"),
        component_keys=dict(spec.component_keys),
        left_out=spec.left_out,
    )


def run_id(config: RunConfig, inputs: Mapping[str, str], start: Start | None) -> str:
    """Return the fingerprint of a run: of its config, of what it reads and of the run it starts from.

    Left out is what decides no number: the names of study and variant, plugins, places on disk whose content has a
    digest among the inputs, and, with a start, which weights the model would have begun with without it.
    """
    # With a start the model's own first weights are overwritten: two runs that differ in them alone are one.
    overwritten = weights_settings(config.model) if start else ()
    counted = {key: digest for key, digest in inputs.items() if key not in {f"model.{name}" for name in overwritten}}
    parts: dict[str, Any] = {kind: _identity(kind, kind, getattr(config, kind), counted) for kind in SINGLE}
    for name in overwritten:
        parts["model"]["settings"].pop(name, None)
    for kind in SEVERAL:
        parts[kind] = [_identity(kind, f"{kind}.{term.name}", term, counted) for term in getattr(config, kind)]
    # A setting that came later stays out while it has the value that changes nothing: old runs keep their ids.
    for name in ("train", "evaluate"):
        settings = getattr(config, name).model_dump(mode="json").items()
        deciding = {key: value for key, value in settings if key not in NO_NUMBERS}
        parts[name] = {key: value for key, value in deciding.items() if key not in NEUTRAL or value != NEUTRAL[key]}
    begun = vars(start) | ({"version": WARM_VERSION} if config.train.epochs else {}) if start else None
    return fingerprint({**parts, "seed": config.seed, "inputs": counted, "start": begun})


def _identity(kind: Any, path: str, choice: Choice, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return a choice without the places whose content has a digest: the whole data set's, or that of the setting."""
    places = registry.find_part(kind, choice.name).locations
    settings = {
        name: value
        for name, value in choice.settings.items()
        if not (name in places and (path in inputs or f"{path}.{name}" in inputs))
    }
    return {"name": choice.name, "version": choice.version, "settings": settings}


def differences(a: RunConfig, b: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return dotted key -> (value in a, value in b) for each setting that differs; None where there is none.

    A term, or a group of settings, that only one of the two has is one entry. Terms of `loss` or `augment` that both
    have in another order are the entry `loss` or `augment`, with the names in order. Plugins are no setting.
    """
    return tree_differences(settings_tree(a), settings_tree(b))


@dataclass(frozen=True)
class SettingsTree:
    """A config ready to be compared with many others."""

    sections: Mapping[str, Any]
    texts: Mapping[str, str]
    """Section -> its canonical form: equal ones need no closer look."""


def settings_tree(config: RunConfig) -> SettingsTree:
    """Return a config's settings by section."""
    sections = {**config.to_dict(), "plugins": None}
    return SettingsTree(sections, {name: canonical(section) for name, section in sections.items()})


def tree_differences(a: SettingsTree, b: SettingsTree) -> dict[str, tuple[Any, Any]]:
    """Return what `differences` does, of configs whose trees are made already."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*a.sections, *b.sections]):
        if a.texts[name] != b.texts[name]:
            _collect(found, name, a.sections[name], b.sections[name])
    for kind in SEVERAL:
        names_a, names_b = list(a.sections[kind]), list(b.sections[kind])
        if [name for name in names_a if name in names_b] != [name for name in names_b if name in names_a]:
            found[kind] = (names_a, names_b)
    return found


def _collect(found: dict[str, tuple[Any, Any]], path: str, a: Any, b: Any) -> None:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            _collect(found, f"{path}.{key}" if path else key, a.get(key), b.get(key))
    elif canonical(a) != canonical(b):
        found[path] = (a, b)


def select(plan: Plan, variants: Sequence[str]) -> Plan:
    """Return the plan with the runs of some variants, and those that they start from, only.

    The name of a variant as written in the spec stands for all its combinations.

    Raises:
        InputError: the plan has no such variant.
    """
    known = dict.fromkeys([*plan.variants, *(run.family for run in plan.runs)])
    for name in variants:
        if name not in known:
            raise InputError(f"--only {name}: the study has no such variant; {did_you_mean(name, known)}")
    return keep_runs(plan, [run for run in plan.runs if run.variant in variants or run.family in variants])


def keep_runs(plan: Plan, wanted: Iterable[Run]) -> Plan:
    """Return the plan with some of its runs, and those that they start from, only."""
    first_with = {run.id: run for run in reversed(plan.runs)}
    labels: set[str] = set()
    for run in wanted:
        chain: Run | None = run
        while chain is not None:
            labels.add(chain.label)
            chain = first_with[chain.start.run_id] if chain.start else None
    return replace(plan, runs=tuple(run for run in plan.runs if run.label in labels))


def unite(plans: Sequence[Plan]) -> Plan:
    """Return the runs of several studies as one plan; variants are named `<study>/<variant>`.

    The reference, the epoch that is compared and the split are the first study's; margin and expected
    differences are the smallest of theirs.
    """
    if len(plans) == 1:
        return plans[0]
    first = plans[0]
    return Plan(
        study="+".join(plan.study for plan in plans),
        question=" | ".join(dict.fromkeys(plan.question for plan in plans)),
        reference=f"{first.study}/{first.reference}",
        margin=min(plan.margin for plan in plans),
        expected=min(plan.expected for plan in plans),
        epoch=first.epoch,
        split=first.split,
        runs=tuple(_renamed(run, plan.study) for plan in plans for run in plan.runs),
        spec_text="\n".join(plan.spec_text for plan in plans),
        command=" && ".join(plan.command for plan in plans if plan.command),
    )


def _renamed(run: Run, study: str) -> Run:
    settings_from = run.settings_from and f"{study}/{run.settings_from}"
    return replace(run, variant=f"{study}/{run.variant}", settings_from=settings_from, family="", design=())


def narrow(plan: Plan, variant: str, reference: str) -> Plan:
    """Return the plan of two variants, the second of which is the reference.

    Settings that were written as a change of a third variant's are told as a change of the reference's.

    Raises:
        InputError: the plan has no such variant.
    """
    for name in (variant, reference):
        if name not in plan.variants:
            raise InputError(f"--compare: there is no variant '{name}'; {did_you_mean(name, plan.variants)}")
    compared = {name: [run for run in plan.runs if run.variant == name] for name in (variant, reference)}
    runs = [
        run if run.settings_from in compared else _described_by(run, reference, compared[reference][0])
        for run in plan.runs
        if run.variant in compared
    ]
    return replace(plan, reference=reference, runs=tuple(runs), concerns=None)


def _described_by(run: Run, reference: str, other: Run) -> Run:
    """Return a run whose changed settings are those that differ from the reference's, one of whose runs is `other`."""
    if run.variant == reference:
        return replace(run, settings_from="", changed={})
    return replace(run, settings_from=reference, changed=differences(replace(other.config, seed=run.seed), run.config))


def start_of(plan: Plan, run: Run) -> str | None:
    """Return the variant whose weights a run starts from; its id's beginning where the plan does not hold that run."""
    if run.start is None:
        return None
    owners = [other.variant for other in plan.runs if other.id == run.start.run_id]
    if run.settings_from in owners:
        return run.settings_from
    return owners[0] if owners else run.start.run_id


def name_start(plan: Plan, run: Run) -> str | None:
    """Return variant and epoch that a run starts from, such as `baseline@best`; None for a fresh start."""
    return f"{start_of(plan, run)}@{run.start.which}" if run.start else None
