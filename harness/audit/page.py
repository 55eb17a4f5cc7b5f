"""An audit as tables, for the terminal and for Markdown, and as the page `audit.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.audit.findings import Finding
from harness.audit.measure import Audit, Proposal
from harness.report.page.text import NOTHING, counted, escape, percent, table


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
    parts = [f"# Audit of {escape(name)}", _findings(findings)]
    for item in make_tables(audit, proposals):
        parts += [f"## {item.title}", table([*item.header], [[escape(cell) for cell in row] for row in item.rows])]
    parts += _lists(audit)
    parts += [
        f"The classes are those of the taxonomy {escape(audit.taxonomy.name)}; {describe_colours(audit)}.",
        "Agreement: share of points that have the same class in two images, of those that follow one another and of "
        "those half the split apart. Imbalance: pixels of the most frequent class for each pixel of the rarest. Share "
        "of the loss: weight x pixels, which takes every pixel to be equally hard.",
        "## Figures",
        "![Pixels of each class](class_pixels.png)",
        "![Masks over images, with the legend of all classes](labels.png)",
    ]
    return "\n\n".join(parts) + "\n"


def _lists(audit: Audit) -> list[str]:
    """Return every faulty file and every pair of images that show the same."""
    parts = []
    if audit.faults:
        lines = [
            f"- {escape(' '.join((fault.split, fault.kind)).strip())}: {escape(fault.told)}" for fault in audit.faults
        ]
        parts += ["## Faulty files", "\n".join(lines)]
    if audit.twins:
        pairs = [
            (twin, [f"{split}/{name}" for split, name in zip(twin.splits, twin.names, strict=True)])
            for twin in audit.twins
        ]
        rows = [[escape(first), escape(second), twin.kind, str(twin.bits)] for twin, (first, second) in pairs]
        parts += [
            "## Images that show the same",
            table(["image", "its copy", "kind", "bits of 64 that differ"], rows, 3),
        ]
    return parts


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing was found that a reader must know."
    return "\n".join(f"- **{finding.level}** ({finding.kind}): {escape(finding.told)}" for finding in findings)


def summarise(findings: Sequence[Finding]) -> str:
    """Return how many errors and warnings there are."""
    numbers = [sum(finding.level == level for finding in findings) for level in ("error", "warning")]
    return f"{counted(numbers[0], 'error')}, {counted(numbers[1], 'warning')}"
