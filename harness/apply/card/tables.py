"""Tables and sentences of a model card, as ready Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.apply.card.facts import ClassFacts, Interval, describe_classes
from harness.apply.choose import Chosen
from harness.data.taxonomy import IGNORE, Taxonomy
from harness.fingerprint import thaw
from harness.records import Counts
from harness.report.page.text import NOTHING, code, counted, escape, percent, setting, table
from harness.scores import all_scores

WEAK = 5
"""Classes told in sentences."""


def bracket(interval: Interval) -> str:
    """Return ` (95 % interval 41.2 to 48.9)`, or nothing where there is none."""
    if interval.low != interval.low:
        return ""
    return f" (95 % interval {percent(interval.low)} to {percent(interval.high)})"


def score_table(counts: Counts) -> str:
    """Return every score of a split, in percent."""
    return table(("Score", "%"), [(name, percent(value)) for name, value in all_scores(counts).items()])


def weak_sentences(counts: Counts) -> list[str]:
    """Return a sentence for each of the weakest classes, and one that names classes nothing is known of."""
    classes = describe_classes(counts)
    known = [item for item in classes if item.iou is not None]
    lines = [_tell(item) for item in known[:WEAK]]
    absent = [item.name for item in classes if item.iou is None]
    if absent:
        lines.append(f"Not in val, so nothing is known of: {', '.join(map(escape, absent))}.")
    return lines


def _tell(item: ClassFacts) -> str:
    assert item.iou is not None
    held = f"{percent(item.share)} % of the pixels, in {counted(item.images, 'image')}"
    text = f"**{escape(item.name)}**: IoU {percent(item.iou.value)} %{bracket(item.iou)}; {held}"
    taken = " and ".join(f"{escape(name)} ({percent(share)} %)" for name, share in item.taken_for)
    return f"{text}; its pixels are taken for {taken}." if taken else f"{text}."


def class_table(counts: Counts) -> str:
    """Return each class's IoU with its interval, how much of it there is, and what it is taken for."""
    rows = []
    for item in describe_classes(counts):
        interval = item.iou
        known = interval is not None and interval.low == interval.low
        rows.append(
            (
                escape(item.name),
                percent(interval.value if interval else None),
                f"{percent(interval.low)} to {percent(interval.high)}" if interval and known else NOTHING,
                percent(item.share),
                f"{item.images:,}",
                ", ".join(f"{escape(name)} {percent(share)}" for name, share in item.taken_for) or NOTHING,
            )
        )
    return table(("Class", "IoU %", "Interval", "Pixels %", "Images", "Taken for (% of its pixels)"), rows)


def taxonomy_table(taxonomy: Taxonomy) -> str:
    """Return index, name, colour and raw ids of each class."""
    rows = [
        (str(index), escape(name), code("#{:02x}{:02x}{:02x}".format(*colour)), _ids(taxonomy, index))
        for index, (name, colour) in enumerate(zip(taxonomy.classes, taxonomy.colours, strict=True))
    ]
    rows.append((str(IGNORE), "ignored", NOTHING, _ids(taxonomy, IGNORE)))
    return table(("Index", "Class", "Colour", "Raw ids"), rows, numeric_from=9)


def _ids(taxonomy: Taxonomy, index: int) -> str:
    return ", ".join(map(str, taxonomy.raw_ids(index))) or NOTHING


def data_table(chosen: Chosen) -> str:
    """Return the data's settings, and the digests of what was judged and trained on."""
    config, contract = chosen.config, chosen.result.contract
    inputs: Mapping[str, str] = chosen.result.provenance.get("run", {}).get("inputs", {})
    rows = [("data set", code(config.data.name))]
    rows += [(f"{escape(key)}", setting(thaw(value))) for key, value in config.data.settings.items()]
    rows += [(f"digest of {escape(name)}", code(digest)) for name, digest in contract["splits"].items()]
    rows += [(f"digest of all it reads: {escape(name)}", code(digest)) for name, digest in inputs.items()]
    return table(("What", "Value"), rows, numeric_from=9)


def environment_table(provenance: Mapping[str, Any]) -> str:
    """Return what the run was made with."""
    git, device = provenance.get("git") or {}, provenance.get("device", {})
    commit = f"{git['commit']}{', with uncommitted changes' if git['dirty'] else ''}" if git else "no git repository"
    rows = [
        ("commit", commit),
        ("python", provenance.get("python", "")),
        *((name, version) for name, version in provenance.get("packages", {}).items()),
        ("system", provenance.get("system", "")),
        ("cpu", provenance.get("cpu", "")),
        ("device", device.get("name", "")),
        *provenance.get("environment", {}).items(),
    ]
    return table(("What", "Value"), [(escape(name), code(str(value))) for name, value in rows], numeric_from=9)
