"""Claims in words. Each sentence says a number with its interval, test, seeds and groups; cautious exactly where the
verdict is undecided. Nothing is said here that `report.json` does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.page.text import capital, counted, escape, percent, points
from harness.report.study.chances import tell_chances
from harness.report.study.claims import Claim, Floor, Ranking
from harness.report.study.record import Report
from harness.stats.looks import FEWEST_FOLDS
from harness.stats.power import POWER, Outlook
from harness.stats.verdicts import CORRECTION

P_SHOWN = 0.001
SAID = {"improved": "improved against", "regressed": "regressed against", "equivalent": "is equivalent to"}
WHY = {
    "few folds": "seeds of fewer than three folds: nothing is known about other data",
    "one group": "all images are of one group: nothing is known about other images",
    "few groups": "the images are of two groups, or of one that holds nearly all: too few groups to call",
    "no look left": "no look left: its 5 % were spent at earlier looks, none of which called it",
    "one seed": "one seed: the interval speaks for these weights only, not for training again",
}
"""Reason -> why nothing is called, for those that need no number."""
MOST_IN_FULL = 5
"""Undecided differences of a split that are told in full; more of them are told in short."""


def conclusions(report: Report) -> list[str]:
    """Return one sentence for each comparison on the primary split, those that were decided first.

    What the reference starts from comes after what is asked about.
    """
    order, before = ("improved", "regressed", "equivalent", "undecided"), starts_of(report, report.reference)
    found = [item.headline for item in report.comparisons if item.split == report.primary]
    found = sorted(found, key=lambda claim: (claim.variant in before, order.index(claim.outcome)))
    is_long = sum(claim.outcome == "undecided" for claim in found) > MOST_IN_FULL
    return [
        conclude_briefly(claim) if is_long and claim.outcome == "undecided" else conclude(claim, report.margin)
        for claim in found
    ]


def starts_of(report: Report, name: str) -> list[str]:
    """Return the variants from whose weights a variant starts, and those from which these do, the first one first."""
    start_of = {item.name: (item.starts_from or "").rpartition("@")[0] for item in report.variants}
    found: list[str] = []
    while (name := start_of.get(name, "")) and name not in found:
        found.insert(0, name)
    return found


def conclude_briefly(claim: Claim) -> str:
    """Return an undecided difference on one line, for lists of many."""
    why = "no look left" if claim.reason == "no look left" else f"p {_p(claim.p_adjusted)}"
    why = left_out(claim) if claim.left_out else why
    outlook = f"; {_outlook(claim, claim.outlook)}" if claim.outlook else ""
    pair = f"{escape(claim.variant)} against {escape(claim.against)}"
    return f"Undecided: {pair} {points(claim.delta)}{bounds(claim)}, {why}{outlook}."


def conclude(claim: Claim, margin: float) -> str:
    """Return what may be said of one headline difference."""
    who, other = escape(claim.variant), escape(claim.against)
    if claim.low == claim.high == 0:
        return f"**{who} scores exactly like** {other} with every seed; {held(claim)}."
    size = f"{points(claim.delta)} points of miou_dataset{interval(claim)}"
    if claim.outcome == "not judged":
        return f"{who} against {other}: {size}; no verdict, as another split is the study's primary one; {held(claim)}."
    if claim.called is not None:
        said, _, to = SAID[claim.outcome].rpartition(" ")
        return f"**{who} {said}** {to} {other}: {size}; {held(claim)}. {earlier_call(claim)}{tell_chances(claim)}"
    if claim.outcome in ("improved", "regressed"):
        told = f"**{who} {claim.outcome}** against {other}: {size}; {_p_value(claim)}{_look(claim)}; {held(claim)}."
        return f"{told}{tell_chances(claim)}{_exaggerated(claim)}"
    if claim.outcome == "equivalent":
        level = f"{_plain(round(claim.margin_level, 3))} %"
        bounds = f"its {level} interval, {points(claim.low_margin)} to {points(claim.high_margin)}"
        return (
            f"**{who} is equivalent** to {other}: {size}; {bounds}, lies within the margin of ±{_plain(margin)} points;"
            f" {held(claim)}{_look(claim)}.{tell_chances(claim)}"
        )
    told = f"**Undecided:** {who} against {other}, {size}; {_why(claim)}; {held(claim)}.{tell_chances(claim)}"
    return f"{told} {next_step}" if (next_step := what_next(claim)) else told


def earlier_call(claim: Claim) -> str:
    """Return at which look, with how many seeds, a claim was called, and whether all present seeds still say so.

    Nothing where the present seeds gave the verdict.
    """
    then = claim.called
    if then is None:
        return ""
    limits = "" if then.low is None else f" ({points(then.low)} to {points(then.high)})"
    size = f"{points(then.delta)}{limits}{'' if claim.outcome == 'equivalent' else f', {_p_value(claim)}'}"
    told = f"It was called at look {claim.look}{_of_looks(claim)}, with {counted(len(then.seeds), 'seed')}: {size}."
    told += _exaggerated(claim)
    return told if then.agrees else f"{told} But **{doubt(claim)}**: read the verdict with care."


def outcome_word(claim: Claim) -> str:
    """Return a verdict for a table: the word, and with how many seeds it was called where an earlier look did."""
    return f"{claim.outcome} (with {counted(len(claim.called.seeds), 'seed')})" if claim.called else claim.outcome


def caveat(claim: Claim) -> str:
    """Return in few words that an earlier look called what all present seeds do not say; nothing where they do."""
    if claim.called is None or not is_doubted(claim):
        return ""
    return f" (called {claim.outcome} with {counted(len(claim.called.seeds), 'seed')}; {doubt(claim)})"


def is_doubted(claim: Claim) -> bool:
    """Tell whether an earlier look called what all present seeds do not say."""
    return claim.called is not None and not claim.called.agrees


def doubt(claim: Claim) -> str:
    """Return that all present seeds do not say what was called, and how."""
    if claim.outcome == "equivalent":
        found = "is no longer within the margin"
    elif claim.low is None or claim.high is None or claim.low <= 0 <= claim.high:
        found = "no longer excludes 0"
    else:
        found = "lies on the other side of 0"
    return f"the interval of all {counted(len(claim.seeds), 'seed')} {found}"


def interval(claim: Claim) -> str:
    """Return the 95 % interval in brackets, or nothing where there is none."""
    return bounds(claim).replace("(", "(95 % interval ")


def bounds(claim: Claim) -> str:
    """Return the 95 % interval in brackets, without its name, or nothing where there is none."""
    return "" if claim.low is None or claim.high is None else f" ({points(claim.low)} to {points(claim.high)})"


def held(claim: Claim) -> str:
    """Return what stands behind a claim: seeds, folds where there are any, groups, images."""
    of_all = "" if claim.folds == claim.all_folds else f" of {claim.all_folds}"
    folds = "" if claim.folds is None else f" over {claim.folds}{of_all} folds"
    images = f"{counted(claim.groups, 'image group')} ({counted(claim.images, 'image')})"
    return f"{counted(len(claim.seeds), 'seed')}{folds}, {images}"


def _p_value(claim: Claim) -> str:
    corrected = "" if claim.family == 1 else f" after {CORRECTION.title} over {claim.family} comparisons"
    return f"p {_p(claim.p_adjusted)}{corrected}"


def _look(claim: Claim) -> str:
    """Return which look it is, with its level, or nothing at the first look of a study that declares none."""
    if claim.looks is None and claim.look == 1:
        return ""
    return f", look {claim.look}{_of_looks(claim)} at level {claim.look_level:.4f}"


def _of_looks(claim: Claim) -> str:
    return f" of {claim.looks}" if claim.looks is not None else ""


def _exaggerated(claim: Claim) -> str:
    """Return that the measured difference is likely too large, where one of its size is often missed."""
    if claim.power is None or claim.power >= POWER:
        return ""
    return (
        f" A true difference of this size is called in {percent(claim.power, 0)} % of such studies: those that call it"
        " measure more than is true, on average."
    )


def _p(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"< {P_SHOWN}" if value < P_SHOWN else f"= {value:.3f}"


def _why(claim: Claim) -> str:
    if claim.reason == "one seed" and claim.low is None:
        return "one seed and images of one group: nothing is known about training again or about other images"
    if claim.reason in WHY:
        return WHY[claim.reason]
    if claim.left_out:
        return f"{left_out(claim)}, and whoever chooses among seeds after a look calls nothing new"
    if claim.reason == "only before correction":
        chance = f": chance alone gives {0.05 * claim.family:.2g} such among so many"
        is_told = claim.family > 1 and claim.look == 1
        return f"alone it would count, but {_p_value(claim)}{_look(claim)}{chance if is_told else ''}"
    return f"noise may explain it, {_p_value(claim)}{_look(claim)}"


def left_out(claim: Claim) -> str:
    """Return which seeds were looked at and are left out, in few words."""
    return f"{_left_out(claim)} {'was' if len(claim.left_out) == 1 else 'were'} looked at and left out"


def _left_out(claim: Claim) -> str:
    return f"seed{'' if len(claim.left_out) == 1 else 's'} {', '.join(map(str, claim.left_out))}"


def what_next(claim: Claim) -> str:
    """Return what would decide an undecided difference, in a sentence; nothing where nobody knows."""
    if claim.reason == "one seed":
        return "More seeds are needed before anything is said."
    if claim.reason in ("one group", "few groups"):
        return "Images of other recordings are needed before anything is said."
    if claim.reason == "few folds":
        if claim.all_folds is not None and claim.all_folds < FEWEST_FOLDS:
            needed = "three at least are needed, whose runs are all new"
            return f"{claim.all_folds} folds say nothing of other data: {needed}."
        return "Seeds on three folds at least are needed before anything is said."
    if claim.left_out:
        back = f"Bring {_left_out(claim)} back, among the study's seeds and by harness run"
        return f"{back}: nothing new is said before."
    if claim.outlook is None and claim.folds is not None and claim.folds == claim.all_folds:
        return "Every fold has its seed, and what more seeds on the same folds would add is not forecast."
    if claim.outlook is None:
        return "No look at this comparison is left." if claim.seeds and claim.reason != "no look left" else ""
    return f"{capital(_outlook(claim, claim.outlook))}."


def _outlook(claim: Claim, outlook: Outlook) -> str:
    """Return what more seeds and images would do."""
    seeds = counted(outlook.seeds, "seed")
    if outlook.chance >= POWER or claim.folds is not None:  # other images are not forecast over folds
        return f"{seeds} would decide it with a probability of about {_chance(outlook.chance)}"
    alone = f"the last look, at {seeds}, would decide it with a probability of about {_chance(outlook.chance)}"
    if outlook.groups is not None and outlook.groups > claim.groups:
        return f"{alone}, with {counted(outlook.groups, 'image group')} of {_chance(POWER)}"
    return f"{alone}, with 100 times as many images of {_chance(outlook.chance_most)}"


def _chance(probability: float) -> str:
    return f"{percent(probability, 0)} %"


def _plain(fraction: float) -> str:
    return f"{100 * fraction:g}"


def floor_sentence(floor: Floor) -> str:
    """Return how loud the noise is: what the seed alone does, and the smallest difference that would be seen."""
    name = escape(floor.variant)
    if floor.sd is None:
        return f"Noise floor on {floor.split}: unknown, {name} has one seed only."
    low, high = (_plain(round(value or 0.0, 4)) for value in (floor.sd_low, floor.sd_high))
    bounds = "training and other data together" if floor.folds else f"95 % interval {low} to {high}"
    told = (
        f"Noise floor on {floor.split}: {name}'s seeds differ by a standard deviation of {_plain(round(floor.sd, 4))} "
        f"points ({bounds}; {counted(floor.seeds, 'seed')}{f' over {floor.folds} folds' if floor.folds else ''})."
    )
    if floor.detectable is None:
        return told
    smallest = _plain(round(floor.detectable, 4))
    return f"{told} The smallest true difference that this study would call with 80 % probability: {smallest} points."


def decided(claims: Sequence[Claim], outcome: str) -> list[Claim]:
    """Return the claims of one outcome, the largest difference first."""
    return sorted((claim for claim in claims if claim.outcome == outcome), key=lambda claim: -abs(claim.delta))


def ranking_sentence(ranking: Ranking) -> str:
    """Return the order of the variants, with those that the first is not shown to be ahead of as tied with it."""
    first, *others = ranking.ranks
    shown = {rank.variant: f"{escape(rank.variant)} {percent(rank.mean)}" for rank in ranking.ranks}
    tied = [shown[rank.variant] for rank in others if not rank.behind]
    behind = [shown[rank.variant] for rank in others if rank.behind]
    family = f" (all {ranking.family} pairs one family)" if ranking.family > 1 else ""
    told = f"Ranking on {escape(ranking.split)} by mean miou_dataset{family}: {shown[first.variant]} is first"
    told += f"; not told apart from it: {', '.join(tied)}" if tied else ""
    return f"{told}; shown to be behind it: {', '.join(behind) if behind else 'none'}."
