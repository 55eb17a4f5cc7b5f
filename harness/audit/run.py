"""The audit of a data set as a user gets it: findings, proposed class weights, tables, the page, figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from harness.audit.findings import LEVELS, Finding, make_findings
from harness.audit.measure import Audit, Listener, Proposal, audit_source, choose_examples
from harness.data import open_source, open_whole
from harness.data.images import resize_pair
from harness.data.source import Source
from harness.errors import InputError
from harness.files import write_text
from harness.fingerprint import canonical
from harness.parts.class_weights import Rule, weigh_classes
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Block, Figure, Heading, Page, Table, Text, make_list, make_table
from harness.report.page.text import NOTHING, counted, escape, percent
from harness.settings import DataChoice

BETA = 0.999999
"""The default of the losses that read it."""
ALIKE = 1.1
"""Weights that differ by a smaller factor are as good as none."""
VERSION = 1
"""Of `audit.json`."""
LONGEST_SIDE = 480
"""Pixels of the longer side of pictures on the sheet of labels: enough that borders hide no small region."""


@dataclass(frozen=True)
class DataAudit:
    """The audit of one data set."""

    name: str
    """The data set's name in a spec."""
    audit: Audit
    findings: tuple[Finding, ...]
    """Most serious first."""
    proposals: tuple[Proposal, ...]

    @property
    def refused(self) -> bool:
        """Return whether training would refuse this data, or learn wrongly."""
        return any(finding.level == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists and scalars: the content of `audit.json`."""
        return {
            "version": VERSION,
            "data": self.name,
            "refused": self.refused,
            "findings": [asdict(finding) for finding in self.findings],
            "class_weights": [asdict(proposal) for proposal in self.proposals],
            **self.audit.to_dict(),
        }


def audit_data(choices: tuple[DataChoice, ...], listen: Listener = lambda done, total: None) -> DataAudit:
    """Audit a data set that a study uses with one or several settings of its inputs, as `gather` returns them.

    `listen` is told after each image how many are read, and of how many.

    Raises:
        InputError: its files are not where the settings say, so that there is nothing to look at.
    """
    first = choices[0]
    audit = audit_source(open_whole(first), listen)
    findings = make_findings(audit, first.on_bad_image)
    if not any(finding.level == "error" for finding in findings):
        told = dict.fromkeys(text for choice in choices if (text := _refusal(choice)))
        findings = (*(Finding("error", "settings", text) for text in told), *findings)
    proposals = propose_weights(audit)
    return DataAudit(first.name, audit, (*findings, *_on_weights(proposals)), proposals)


def _on_weights(proposals: Iterable[Proposal]) -> tuple[Finding, ...]:
    """Tell where effective_number weighs nothing, as it does with its default and very many pixels."""
    weights = [w for p in proposals if p.rule == "effective_number" for w in p.weights if w > 0]
    if len(weights) < 2 or max(weights) > ALIKE * min(weights):
        return ()
    told = (
        f"effective_number with its default beta {BETA} weighs all classes alike here: beyond {1 / (1 - BETA):,.0f} "
        f"pixels a class counts as no larger; a beta nearer to 1 weighs them"
    )
    return (Finding("note", "class weights", told),)


def _refusal(choice: DataChoice) -> str:
    try:
        open_source(choice)
    except InputError as error:
        return str(error)
    return ""


def gather(choices: Iterable[DataChoice]) -> tuple[tuple[DataChoice, ...], ...]:
    """Return choices that read the same files in the same way together: they differ in settings that all data have."""
    together: dict[str, dict[str, DataChoice]] = {}
    for choice in choices:
        content = canonical([choice.name, choice.own, choice.on_bad_image])
        together.setdefault(content, {}).setdefault(canonical(choice.settings), choice)
    return tuple(tuple(members.values()) for members in together.values())


def propose_weights(audit: Audit) -> tuple[Proposal, ...]:
    """Return the class weights that each rule makes of the training pixels; first those without a rule, which are 1."""
    pixels_NC = audit.splits["train"].pixels_NC
    pixels_C = pixels_NC.sum(axis=0)
    proposals = []
    for rule in get_args(Rule):
        weights_C = weigh_classes(rule, pixels_NC, BETA)
        weights_C = np.ones(len(pixels_C)) if weights_C is None else weights_C
        loss_C = weights_C * pixels_C
        shares_C = loss_C / loss_C.sum() if loss_C.any() else loss_C
        proposals.append(Proposal(rule, tuple(weights_C.tolist()), tuple(shares_C.tolist())))
    return tuple(proposals)


def make_tables(audit: Audit, proposals: Sequence[Proposal]) -> tuple[Table, ...]:
    """Return the tables of an audit: its splits, its classes, and the class weights that each rule proposes.

    Their cells are plain texts.
    """
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
    return make_table(header, rows, caption="Splits")


def _classes(audit: Audit) -> Table:
    splits = audit.splits.items()
    header = ("class", *(text for name, _ in splits for text in (f"{name}: pixels %", f"{name}: images")))
    rows = []
    for index, name in enumerate(audit.taxonomy.classes):
        cells = [name]
        for _, split in splits:
            pixels = split.class_pixels
            cells.append(percent(pixels[index] / sum(pixels), 2) if any(pixels) else NOTHING)
            cells.append(f"{split.class_images[index]:,}")
        rows.append(cells)
    return make_table(header, rows, caption="Classes")


def _weights(audit: Audit, proposals: Sequence[Proposal]) -> Table:
    header = ("class", *(text for item in proposals for text in (item.rule, "% of loss")))
    rows = [
        (name, *(text for p in proposals for text in (f"{p.weights[k]:.4g}", percent(p.loss_shares[k]))))
        for k, name in enumerate(audit.taxonomy.classes)
    ]
    return make_table(header, rows, caption="Class weights, and the share of the loss that each class then gets")


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
        rows = [[escape(cell.text) for cell in row] for row in item.rows]
        blocks += [Heading(item.caption), make_table(item.header, rows)]
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
        rows = []
        for twin in audit.twins:
            names = (escape(f"{split}/{name}") for split, name in zip(twin.splits, twin.names, strict=True))
            rows.append([*names, twin.kind, str(twin.bits)])
        yield Heading("Images that show the same")
        yield make_table(["image", "its copy", "kind", "bits of 64 that differ"], rows, 3)


def summarise(findings: Sequence[Finding]) -> str:
    """Return how many errors and warnings there are."""
    levels = [finding.level for finding in findings]
    return ", ".join(counted(levels.count(level), level) for level in LEVELS[:2])


def write_audit(found: DataAudit, choice: DataChoice, folder: Path) -> None:
    """Write `audit.json`, `audit.md`, `class_pixels.png` and `labels.png` to a folder.

    Raises:
        OSError: the folder cannot be written.
    """
    from harness.audit.figures import Example, draw_class_pixels, draw_labels

    audit = found.audit
    write_text(folder / "audit.json", json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "audit.md", render_page(found.name, audit, found.findings, found.proposals))
    pixels = {name: split.class_pixels for name, split in audit.splits.items()}
    draw_class_pixels(pixels, audit.taxonomy.classes, folder / "class_pixels.png")
    source = open_whole(choice)
    examples = [Example(*_read_example(source, split, place)) for split, place in choose_examples(audit)]
    if examples:
        draw_labels(examples, audit.taxonomy, folder / "labels.png")


def _read_example(source: Source, name: str, place: int) -> tuple[str, Any, Any]:
    """Return title, picture and label, resized; pixels of unknown ids count as ignored here."""
    split = source.splits[name]
    image, ids = split.read_image(place), split.read_ids(place)
    label = np.minimum(source.taxonomy.class_map.take(ids), 255).astype(np.uint8)
    factor = LONGEST_SIDE / max(image.shape)
    size = (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor)))
    return f"{name}: {split.names[place]}", *resize_pair(image, label, size)
