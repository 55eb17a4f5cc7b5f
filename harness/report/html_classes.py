"""Differences of class IoU as a table with coloured cells; each tells its interval, p-value, seeds and groups."""

from __future__ import annotations

import html
from collections.abc import Mapping

from harness.report.html_text import Tip
from harness.report.html_tips import class_claims, class_delta_tips, one_line
from harness.report.page.class_sections import changes_by_class, deltas_left_out
from harness.report.page.many_classes import MOST_CLASSES, extremes
from harness.report.page.sentences import is_doubted
from harness.report.page.text import NOTHING, percent, points
from harness.report.study.claims import Claim
from harness.report.study.record import Delta, Estimate, Report

SIGNS = {"improved": " ▲", "regressed": " ▼"}
NOTE = (
    "Colour tells direction and size, in full from 10 points on. ▲ and ▼ mark classes that improved or regressed, the "
    "whole table judged as one family; a cell without a mark is undecided, whatever its colour. "
    "A mark with a question mark was called at an earlier look, and the interval of all seeds no longer says so."
)


def delta_tables(report: Report) -> str:
    """Return a table of the primary split, rows classes, columns variants; nothing where nothing is compared."""
    deltas = {variant.name: variant.delta for variant in report.variants if variant.delta}
    if not deltas or report.primary not in [split.name for split in report.splits]:
        return ""
    note = " ".join(filter(None, [NOTE, deltas_left_out(report, report.primary).replace("`", "")]))
    return f'{_delta_table(report, report.primary, deltas)}<p class="small">{note}</p>'


def _delta_table(report: Report, split: str, deltas: Mapping[str, Delta]) -> str:
    tips, claims = class_delta_tips(report, split), class_claims(report, split)
    title = f"Difference of class IoU to {one_line(report.reference)} on {split} (points)"
    head = "".join(f'<th scope="col" class="number">{html.escape(one_line(name))}</th>' for name in deltas)
    rows, by_name = [], {item.name: item for item in report.classes}
    names = changes_by_class(report, split)
    shown = extremes(names) if len(by_name) > MOST_CLASSES else tuple(by_name)
    for item in map(by_name.__getitem__, shown):
        cells = "".join(
            _cell(
                tips.get((one_line(item.name), one_line(name))),
                claims.get((name, item.name)),
                delta.iou_class.get(split, {}).get(item.name),
            )
            for name, delta in deltas.items()
        )
        share = percent(item.truth[split].share, 2) if split in item.truth else NOTHING
        name = html.escape(one_line(item.name))
        rows.append(f'<tr><th scope="row">{name}</th><td class="number">{share}</td>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="heat"><caption><span>{html.escape(title)}</span></caption><thead><tr>'
        f'<th scope="col">class</th><th scope="col" class="number">share of pixels (%)</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(tip: Tip | None, claim: Claim | None, found: Estimate | None) -> str:
    value = claim.delta if claim else (found.mean if found else None)
    if tip is None or tip.heat is None or value is None:
        return f'<td class="number">{NOTHING}</td>'
    sign = f"{SIGNS.get(claim.outcome, '')}{'?' if is_doubted(claim) else ''}" if claim else ""
    style = f'class="number {tip.look}" style="--heat:{tip.heat:.2f}"'
    return f'<td {style} title="{html.escape(tip.text)}">{points(value)}{sign}</td>'
