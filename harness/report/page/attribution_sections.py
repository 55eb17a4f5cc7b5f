"""Which component did it: tables, and the sentences that say what a design cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.page.cells import exact, part_tip, seeds_and_groups, signed
from harness.report.page.model import Block, Cell, Figure, Heading, Row, Table, Text, make_table
from harness.report.page.text import NOTHING, counted, escape, points
from harness.report.study.claims import FamilyAttribution, Part
from harness.report.study.record import Report
from harness.stats.verdicts import CORRECTION


def attribution_section(report: Report, charts: Sequence[Figure]) -> Iterator[Block]:
    """Yield what each family of components says about them; nothing where no variant has any."""
    if not report.attributions:
        return
    yield Heading("Which component did it")
    yield from charts
    for item in report.attributions:
        yield Text(summary(item))
        if item.main:
            yield parts_table(item)
        if item.interactions:
            rows: list[Row] = [[escape(found.name), _part(found), _p(found)] for found in item.interactions]
            yield make_table(["pair", "interaction", f"p ({CORRECTION.title})"], rows)
        if item.brackets and not item.shapley:
            yield brackets_table(item)
        yield Text(open_question(item))


def summary(item: FamilyAttribution) -> str:
    """Return what is divided, on what it rests."""
    designs = ", ".join(name.replace("_", " ") for name in item.designs)
    told = f"{escape(item.family)} on {escape(item.split)}: {designs}, {counted(item.combinations, 'combination')}."
    if item.total is None:
        return f"{told} The combination with all components or the one with none is not among them: there is no total."
    total = f"{_part(item.total).text} points of miou_dataset; {seeds_and_groups(item.total)}"
    return f"{told} All components together: {total}."


def _part(found: Part) -> Cell:
    """Return a difference in points with its interval."""
    has_interval = found.low is not None and found.high is not None
    interval = f" ({points(found.low)} to {points(found.high)})" if has_interval else ""
    return Cell(points(found.delta) + interval, "\n".join(part_tip(found, signed)))


def parts_table(item: FamilyAttribution) -> Table:
    """Return each component's share of the total, where the design gives it, and its main effect."""
    shares = {share.name: share for share in item.shapley}
    rows: list[Row] = []
    for main in item.main:
        share = _part(shares[main.name]) if main.name in shares else NOTHING
        aliases = ", ".join(f"`{alias}`" for alias in item.aliases.get(main.name, ())) or NOTHING
        rows.append([escape(main.name), share, _part(main), _p(main), aliases])
    header = ["component", "share of the total", "main effect", f"p ({CORRECTION.title})", "not told from"]
    return make_table(header, rows)


def brackets_table(item: FamilyAttribution) -> Table:
    """Return each component's effect among the fewest and among the most others, and what lies between.

    In bold what is called. Where each component was switched in one surrounding only, that is its effect.
    """
    header = ["component", "effect among the fewest others", "among the most others", "difference of the two"]
    rows: list[Row] = []
    for found in item.brackets:
        few = _judged(found.few, _with(found.few_on))
        many = _judged(found.many if found.interaction else None, _with(found.many_on))
        rows.append([escape(found.name), few, many, _judged(found.interaction)])
    if not any(found.interaction for found in item.brackets):
        header, rows = ["component", "effect, and what else is on"], [row[:2] for row in rows]
    return make_table(header, rows)


def _judged(found: Part | None, surroundings: str = "") -> Cell:
    if found is None:
        return Cell(NOTHING)
    cell = _part(found)
    told = f"**{cell.text}**" if found.outcome in ("improved", "regressed") else cell.text
    return Cell(f"{told}{_call(found)}{surroundings}", cell.exact)


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
            f"the total. Intervals are of each line alone; p-values are adjusted ({CORRECTION.title}), main effects "
            "together and interactions together."
        )
    if item.main:
        return (
            "A fraction of all combinations ran: a main effect cannot be told from the interactions named beside it. "
            f"Intervals are of each line alone; p-values are adjusted for all main effects ({CORRECTION.title})."
        )
    known = (
        "Each component's effect lies between surroundings: where its two effects differ, they depend on what else is"
        " on, and no single number is its share."
    )
    if not any(found.interaction for found in item.brackets):
        known = "Each component's effect is known in one surrounding: with others on or off it may be another."
    return (
        f"The design does not divide the total among the components. {known} All 2^k combinations (design: factorial)"
        " would divide the total. Intervals are of each line alone; bold is what is called after all of them "
        f"({CORRECTION.title})."
    )


def _with(names: tuple[str, ...]) -> str:
    return f", with {', '.join(map(escape, names))} on" if names else ", with no other on"


def _p(found: Part) -> Cell:
    """Return the adjusted p-value, and at which look it was called."""
    if found.p_adjusted is None:
        return Cell(f"{NOTHING}{_call(found)}")
    text = "< 0.001" if found.p_adjusted < 0.001 else f"{found.p_adjusted:.3f}"
    return Cell(f"{text}{_call(found)}", f"p = {exact(found.p_adjusted)}")
