"""Families of comparisons: judged at each recorded look with the runs that were complete then, at last with all.

Which looks can be worked out again is decided here: all their runs have to be there, with the counts that they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.judged import digest_counts, primary_split
from harness.records import Plan, RunResult
from harness.spec.lint_power import find_folds
from harness.stats.effects import Effect, Study
from harness.stats.looks import LookHistory, LookSchedule, Taken, TakenLook
from harness.stats.margins import RunKey
from harness.stats.verdicts import FamilyAtLook, Key, Verdict, judge, judge_in_order

START = "@start"
"""Ends the name under which a variant's start is in a study; no variant is called so."""


def known_looks(plan: Plan, results: Mapping[str, RunResult], taken: Taken) -> LookSchedule:
    """Return the looks at a plan. One is not whole where a result of it is gone, or was made anew with other counts."""
    # By a digest of what was counted: a run that was made anew has the same name, and may have other numbers.
    now = {
        (run.variant, run.seed): digest_counts(results[run.id])
        for run in plan.runs
        if taken and run.id in results and results[run.id].counts
    }
    checked = tuple(replace(look, is_whole=look.is_whole and _is_there(look, now)) for look in taken)
    is_val = primary_split(plan, {split for result in results.values() for split in result.counts}) == "val"
    found = find_folds(plan) if is_val else None
    return LookSchedule(plan.looks, checked, folds=None if found is None else found[1])


def _is_there(look: TakenLook, now: Mapping[RunKey, str]) -> bool:
    named = {(name, seed): digest for name, seeds in look.complete.items() for seed, digest in seeds.items()}
    return all(run in now and digest in ("", now[run]) for run, digest in named.items())


def look_at(effect: Effect, looks: LookSchedule, before: int | None = None) -> LookHistory:
    """Return which look at an effect this is, after the first `before` recorded ones."""
    return looks.at(_variants(effect), effect.by_seed, before)


def judge_over_looks(
    studies: Sequence[Study],
    effects: Mapping[Key, Effect],
    compare_then: Callable[[Sequence[Study]], Mapping[Key, Effect]],
    looks: LookSchedule | None,
    judging: tuple[float, int],
) -> dict[Key, Verdict]:
    """Return the verdicts of a family, each by the first look that called it.

    `effects` are those of the studies; `compare_then` gives those of the studies with some of their runs, as far as
    these allow. `judging` is the margin, and the fewest seeds of an effect. Without `looks` there is one, the present.
    """
    margin, fewest_seeds = judging
    if looks is None:
        return judge(effects, margin, fewest_seeds=fewest_seeds)
    present = FamilyAtLook(effects, _looks_at(effects, studies, looks))
    are_seeds_left_out = any(look.missing for look in present.looks.values())
    earlier = _earlier(studies, compare_then, looks, may_be_present=are_seeds_left_out)
    return judge_in_order([*earlier, present], margin, fewest_seeds=fewest_seeds)


def _earlier(
    studies: Sequence[Study],
    compare_then: Callable[[Sequence[Study]], Mapping[Key, Effect]],
    looks: LookSchedule,
    *,
    may_be_present: bool,
) -> Iterator[FamilyAtLook[Key]]:
    """Yield the family as it was at each recorded look that can be worked out again.

    The look at all present runs is the present one, unless seeds of later looks are left out: what was called at it
    then was called before these.
    """
    for place, look in enumerate(looks.taken):
        # Go back to that day: only the runs that were complete then.
        found = [(study, {run for run in study.runs if _was_complete(run, look)}) for study in studies]
        is_present = all(len(runs) == len(study.runs) for study, runs in found)
        then = [study.keep(runs) for study, runs in found if runs]
        # A look with a hole (a run that is gone now) cannot be worked out again and calls nothing.
        if look.is_whole and then and (may_be_present or not is_present):
            effects = compare_then(then)
            found_looks = _looks_at(effects, then, looks, place)
            judged = {
                key: effect
                for key, effect in effects.items()
                if looks.can_call(effect.by_seed) and not found_looks[key].missing
            }
            yield FamilyAtLook(judged, {key: found_looks[key] for key in judged})


def _looks_at(
    effects: Mapping[Key, Effect], studies: Sequence[Study], looks: LookSchedule, before: int | None = None
) -> dict[Key, LookHistory]:
    """Return the look at each effect, with the seeds that earlier looks had seen and the studies lack.

    A seed that is there is not missing where a class has no value with it.
    """
    complete: dict[str, dict[int, str]] = {}
    for variant, seed in (run for study in studies for run in study.runs):
        complete.setdefault(variant.removesuffix(START), {})[seed] = ""
    here = TakenLook(complete)
    found = {}
    for key, effect in effects.items():
        variants = _variants(effect)
        seen = frozenset().union(*looks.seen(variants, before)[-1:])
        found[key] = replace(look_at(effect, looks, before), missing=tuple(sorted(seen - here.common(variants))))
    return found


def _was_complete(run: RunKey, look: TakenLook) -> bool:
    return run[1] in look.complete.get(run[0].removesuffix(START), {})


def _variants(effect: Effect) -> set[str]:
    return {name.removesuffix(START) for name in effect.weights}
