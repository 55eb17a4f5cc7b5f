"""Several plans as one, so that variants of different studies can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.errors import InputError, did_you_mean
from harness.records import Plan, Run
from harness.spec.plan import differences


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
    kept = {name: [run for run in plan.runs if run.variant == name] for name in (variant, reference)}
    runs = [
        run if run.settings_from in kept else _described_by(run, reference, kept[reference][0])
        for run in plan.runs
        if run.variant in kept
    ]
    return replace(plan, reference=reference, runs=tuple(runs))


def _described_by(run: Run, reference: str, other: Run) -> Run:
    """Return a run whose changed settings are those that differ from the reference's, one of whose runs is `other`."""
    if run.variant == reference:
        return replace(run, settings_from="", changed={})
    return replace(run, settings_from=reference, changed=differences(replace(other.config, seed=run.seed), run.config))
