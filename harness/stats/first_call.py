"""A family of comparisons judged look after look: the first look that calls one gives its verdict, for good.

That is how a group-sequential test is read: the levels of looks are those of a first crossing, and more data of what
was called, which other comparisons may bring, do not undo it. Holm's procedure goes on over what is left (Maurer and
Bretz 2013): with r of m called, the others share 5 % by m - r. What was found equivalent stays among them, unless
its p-value called a difference at that look too: alone it is no such call, and what looks had spent on it stays spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic

from harness.stats.effects import Effect
from harness.stats.looks import Look
from harness.stats.verdicts import FAMILY_ERROR, Key, Verdict, judge


@dataclass(frozen=True)
class Moment(Generic[Key]):
    """A family as it was at one look."""

    effects: Mapping[Key, Effect]
    looks: Mapping[Key, Look]
    """Which look at each this was."""


def judge_in_order(moments: Sequence[Moment[Key]], margin: float, *, fewest_seeds: int = 2) -> dict[Key, Verdict]:
    """Return the verdict of each present comparison by the first look that called it, else by the present one.

    The moments are in the order of time, the present one last. What differs in no run and no group is judged again at
    each look, since nothing was seen of it. The other arguments are those of `judge`.
    """
    closed: dict[Key, Verdict] = {}
    for moment in moments:
        left = {key: effect for key, effect in moment.effects.items() if key not in closed}
        called, settled = _count(closed)
        verdicts = judge(left, margin, fewest_seeds=fewest_seeds, looks=moment.looks, called=called, settled=settled)
        now = {
            key: replace(verdict, effect=left[key])
            for key, verdict in verdicts.items()
            if verdict.outcome != "undecided" and not left[key].is_nothing
        }
        closed |= now
    return {key: verdicts[key] if key in verdicts else closed[key] for key in moments[-1].effects}


def _count(closed: Mapping[Key, Verdict]) -> tuple[int, int]:
    """Return how many comparisons were called, and how many are equivalent and no more; copies count once."""
    found = {
        (abs(verdict.effect.delta), verdict.effect.se, verdict.look): verdict.p_holm <= FAMILY_ERROR
        for verdict in closed.values()
        if verdict.effect is not None
    }
    return sum(found.values()), len(found) - sum(found.values())
