"""Probabilities beside a headline verdict: made from its effect, and told in a sentence."""

from __future__ import annotations

from dataclasses import replace

from harness.report.page.text import escape, percent
from harness.report.study.claims import Claim
from harness.stats.chances import Chances, find_chances
from harness.stats.effects import Effect

SHOWN = 0.01
"""Probabilities below this are not told apart from 0, nor those as far below 1 from 1."""


def give_chances(claim: Claim, effect: Effect, margin: float, expected: float | None) -> Chances | None:
    """Return the probabilities of a headline; None where it is not judged or nothing right can be said."""
    if expected is None or claim.outcome == "not judged" or claim.reason in ("few groups", "seeds left out"):
        return None
    return find_chances(effect, margin, expected)


def turn_chances(chances: Chances | None) -> Chances | None:
    """Return the probabilities with the two variants in the other order."""
    if chances is None:
        return None
    new_seed = None if chances.new_seed is None else 1 - chances.new_seed
    return replace(chances, better=chances.worse, worse=chances.better, new_seed=new_seed)


def tell_chances(claim: Claim) -> str:
    """Return a claim's probabilities in a sentence that begins with a blank; nothing where there are none."""
    chances = claim.chances
    if chances is None:
        return ""
    odds = tell_odds(chances)
    seed = ""
    if chances.new_seed is not None:
        chance = _percent(chances.new_seed)
        seed = f"; a new seed of {escape(claim.variant)} beats one of {escape(claim.against)} in {chance} of cases"
    return f" {odds[0].upper()}{odds[1:]}{seed} ({tell_prior(chances)})."


def tell_odds(chances: Chances) -> str:
    """Return the probabilities of the difference in a clause; what has less than 1 % is left out."""
    size, more = (f"{100 * chances.margin:g} points", " by more") if chances.margin else ("", "")
    told = {f"better{more}": chances.better, "within": chances.within, f"worse{more}": chances.worse}
    first, *others = ((name, chance) for name, chance in told.items() if chance >= SHOWN)
    named = f"within ±{size}" if first[0] == "within" else f"{first[0]} than {size}" if size else first[0]
    return ", ".join(f"{name}: {_percent(chance)}" for name, chance in ((named, first[1]), *others))


def tell_prior(chances: Chances) -> str:
    """Return what was expected before the study, on which the probabilities rest."""
    return f"prior: differences of about {100 * chances.prior:g} point{'' if chances.prior == 0.01 else 's'}"


def _percent(chance: float) -> str:
    if chance < SHOWN:
        return f"< {percent(SHOWN, 0)} %"
    return f"> {percent(1 - SHOWN, 0)} %" if chance > 1 - SHOWN else f"{percent(chance, 0)} %"
