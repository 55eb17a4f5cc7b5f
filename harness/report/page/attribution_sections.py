"""Attribution in `report.md`: tables, and the sentences that say what a design cannot tell."""

from __future__ import annotations

from harness.report.page.text import NOTHING, counted, escape, points, table
from harness.report.study.attribution_records import FamilyAttribution, Part


def summary(item: FamilyAttribution) -> str:
    """Return what is divided, on what it rests."""
    designs = ", ".join(name.replace("_", " ") for name in item.designs)
    told = f"{escape(item.family)} on {escape(item.split)}: {designs}, {counted(item.combinations, 'combination')}."
    if item.total is None:
        return f"{told} The combination with all components or the one with none is not among them: there is no total."
    return f"{told} All components together: {part(item.total)} points of miou_dataset; {held(item.total)}."


def part(found: Part) -> str:
    """Return a difference in points with its interval."""
    if found.low is None or found.high is None:
        return points(found.delta)
    return f"{points(found.delta)} ({points(found.low)} to {points(found.high)})"


def held(found: Part) -> str:
    """Return the seeds and groups behind a part."""
    return f"{counted(found.seeds, 'seed')}, {counted(found.groups, 'image group')}"


def parts_table(item: FamilyAttribution) -> str:
    """Return each component's share of the total and its main effect; nothing where the design gives neither."""
    if not item.main:
        return ""
    shares = {share.name: share for share in item.shapley}
    rows = [
        [
            escape(main.name),
            part(shares[main.name]) if main.name in shares else NOTHING,
            part(main),
            f"{_p(main)}{_call(main)}",
            ", ".join(f"`{alias}`" for alias in item.aliases.get(main.name, ())) or NOTHING,
        ]
        for main in item.main
    ]
    return table(["component", "share of the total", "main effect", "p (Holm)", "not told from"], rows)


def interactions_table(item: FamilyAttribution) -> str:
    """Return by how much switching on one component changes the effect of another; nothing where it is not known."""
    rows = [[escape(found.name), part(found), f"{_p(found)}{_call(found)}"] for found in item.interactions]
    return table(["pair", "interaction", "p (Holm)"], rows) if rows else ""


def brackets_table(item: FamilyAttribution) -> str:
    """Return each component's effect among the fewest and among the most others, and what lies between.

    In bold what is called. Where each component was switched in one surrounding only, that is its effect.
    """
    if not any(found.interaction for found in item.brackets):
        rows = [[escape(found.name), f"{_judged(found.few)}, with {_on(found.few_on)}"] for found in item.brackets]
        return table(["component", "effect, and what else is on"], rows)
    rows = [
        [
            escape(found.name),
            f"{_judged(found.few)}, with {_on(found.few_on)}",
            f"{_judged(found.many)}, with {_on(found.many_on)}" if found.interaction else NOTHING,
            _judged(found.interaction) if found.interaction else NOTHING,
        ]
        for found in item.brackets
    ]
    header = ["component", "effect among the fewest others", "among the most others", "difference of the two"]
    return table(header, rows)


def _judged(found: Part) -> str:
    told = f"**{part(found)}**" if found.outcome in ("improved", "regressed") else part(found)
    return f"{told}{_call(found)}"


def _call(found: Part) -> str:
    """Return with how many seeds an earlier look called a part, and whether all seeds no longer say so."""
    if found.called is None:
        return ""
    doubt = "" if found.called.agrees else f"; the interval of all {counted(found.seeds, 'seed')} does not say so"
    return f" (called with {counted(len(found.called.seeds), 'seed')}{doubt})"


def open_question(item: FamilyAttribution) -> str:
    """Return what the design leaves open."""
    if item.shapley:
        return (
            "Shares are Shapley's: the effect of switching a component on, averaged over all orders; they add up to "
            "the total. Intervals are of each line alone; p-values are adjusted (Holm), main effects together and "
            "interactions together."
        )
    if item.main:
        return (
            "A fraction of all combinations ran: a main effect cannot be told from the interactions named beside it. "
            "Intervals are of each line alone; p-values are adjusted for all main effects (Holm)."
        )
    known = (
        "Each component's effect lies between surroundings: where its two effects differ, they depend on what else is"
        " on, and no single number is its share."
    )
    if not any(found.interaction for found in item.brackets):
        known = "Each component's effect is known in one surrounding: with others on or off it may be another."
    return (
        f"The design does not divide the total among the components. {known} All 2^k combinations (design: factorial)"
        " would divide the total. Intervals are of each line alone; bold is what is called after all of them (Holm)."
    )


def _on(names: tuple[str, ...]) -> str:
    return ", ".join(map(escape, names)) + " on" if names else "no other on"


def _p(found: Part) -> str:
    p = found.p_adjusted
    return NOTHING if p is None else ("< 0.001" if p < 0.001 else f"{p:.3f}")
