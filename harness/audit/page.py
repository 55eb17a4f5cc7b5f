"""An audit as tables, for the terminal and for Markdown, and as the page `audit.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.audit.findings import Finding
from harness.audit.measure import Audit, Proposal
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Block, Figure, Heading, Page, Text, make_list, make_table
from harness.report.page.text import NOTHING, counted, escape, percent


@dataclass(frozen=True)
class Table:
    """A table of plain texts; columns from the second on hold numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def make_tables(audit: Audit, proposals: Sequence[Proposal]) -> tuple[Table, ...]:
    """Return the tables of an audit: its splits, its classes, and the class weights that each rule proposes."""
    return (_splits(audit), _classes(audit), _weights(audit, proposals))


def _splits(audit: Audit) -> Table:
    header = ("split", "images", "measured", "groups", "recordings", "neighbours agree", "far apart agree", "imbalance")
    rows = [
        (
            name,
            f"{split.images:,}",
            f"{len(split.names):,}",
            f"{len(split.groups):,}",
            f"{len(split.recordings):,}" if split.recordings else NOTHING,
            f"{percent(split.alike.neighbours)} %" if split.alike else NOTHING,
            f"{percent(split.alike.apart)} %" if split.alike else NOTHING,
            f"{split.imbalance:,.0f}" if split.imbalance else NOTHING,
        )
        for name, split in audit.splits.items()
    ]
    return Table("Splits", header, tuple(rows))


def _classes(audit: Audit) -> Table:
    splits = audit.splits.items()
    header = ("class", *(text for name, _ in splits for text in (f"{name}: pixels %", f"{name}: images")))
    rows = []
    for index, name in enumerate(audit.taxonomy.classes):
        cells = [name]
        for _, split in splits:
            pixels = split.class_pixels
            cells += [
                percent(pixels[index] / sum(pixels), 2) if any(pixels) else NOTHING,
                f"{split.class_images[index]:,}",
            ]
        rows.append(tuple(cells))
    return Table("Classes", header, tuple(rows))


def _weights(audit: Audit, proposals: Sequence[Proposal]) -> Table:
    header = ("class", *(text for item in proposals for text in (item.rule, "% of loss")))
    rows = [
        (name, *(text for p in proposals for text in (f"{p.weights[k]:.4g}", percent(p.loss_shares[k]))))
        for k, name in enumerate(audit.taxonomy.classes)
    ]
    return Table("Class weights, and the share of the loss that each class then gets", header, tuple(rows))


def describe_colours(audit: Audit) -> str:
    """Return mean and standard deviation of the training pixels, in one line."""
    if not audit.mean_rgb:
        return "no training image could be measured"
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (audit.mean_rgb, audit.std_rgb))
    return f"training pixels (red, green, blue from 0 to 1): mean {mean}; standard deviation {std}"


def render_page(name: str, audit: Audit, findings: Sequence[Finding], proposals: Sequence[Proposal]) -> str:
    """Return `audit.md`: what was found, most serious first, then the numbers. The same audit gives the same text."""
    blocks: list[Block] = [*_findings(findings)]
    for item in make_tables(audit, proposals):
        blocks += [Heading(item.title), make_table(item.header, [[*map(escape, row)] for row in item.rows])]
    blocks += _lists(audit)
    blocks += [
        Text(f"The classes are those of the taxonomy {escape(audit.taxonomy.name)}; {describe_colours(audit)}."),
        Text(
            "Agreement: share of points that have the same class in two images, of those that follow one another and "
            "of those half the split apart. Imbalance: pixels of the most frequent class for each pixel of the rarest. "
            "Share of the loss: weight x pixels, which takes every pixel to be equally hard."
        ),
        Heading("Figures"),
        Figure("class_pixels.png", "Pixels of each class"),
        Figure("labels.png", "Masks over images, with the legend of all classes"),
    ]
    return render_markdown(Page(f"Audit of {escape(name)}", tuple(blocks)))


def _findings(findings: Sequence[Finding]) -> Iterator[Block]:
    if not findings:
        yield Text("Nothing was found that a reader must know.")
    yield from make_list("", (f"**{found.level}** ({found.kind}): {escape(found.told)}" for found in findings))


def _lists(audit: Audit) -> Iterator[Block]:
    """Yield every faulty file and every pair of images that show the same."""
    if audit.faults:
        yield Heading("Faulty files")
        lines = (f"{escape(f'{fault.split} {fault.kind}'.strip())}: {escape(fault.told)}" for fault in audit.faults)
        yield from make_list("", lines)
    if audit.twins:
        rows = [
            [
                *(escape(f"{split}/{name}") for split, name in zip(twin.splits, twin.names, strict=True)),
                twin.kind,
                str(twin.bits),
            ]
            for twin in audit.twins
        ]
        yield Heading("Images that show the same")
        yield make_table(["image", "its copy", "kind", "bits of 64 that differ"], rows, 3)


def summarise(findings: Sequence[Finding]) -> str:
    """Return how many errors and warnings there are."""
    numbers = [sum(finding.level == level for finding in findings) for level in ("error", "warning")]
    return f"{counted(numbers[0], 'error')}, {counted(numbers[1], 'warning')}"
