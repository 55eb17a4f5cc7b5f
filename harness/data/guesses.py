"""What was guessed where a folder was recognised as a data set, in words for the terminal."""

from __future__ import annotations

from harness.data.recognised import Layout
from harness.data.source import Source
from harness.data.taxonomy import IGNORE, join_runs


def tell_guesses(layout: Layout, source: Source) -> dict[str, str]:
    """Return topic -> what was taken for granted, and why; `source` is the data set opened as it is.

    Topics: division, classes, ignored, groups, and what of the files is left out or was not looked at.
    """
    taxonomy = source.taxonomy
    void = taxonomy.raw_ids(IGNORE)
    published = {
        "division": "as published",
        "classes": f"the {len(taxonomy.classes)} of the label set {taxonomy.name} (harness parts data {layout.name})",
        **({"ignored": f"ids {join_runs(void)}, as that label set says"} if void else {}),
    }
    told = dict(layout.guesses if layout.name == "folder" else published | dict(layout.guesses))
    counted = ", ".join(f"{len(split.names):,} {name}" for name, split in source.splits.items())
    told["division"] = f"{counted}: {told['division']}"
    told["groups"] = _tell_groups(layout, source)
    if source.listed:
        first, number = source.listed[0], len(source.listed)
        told["left out"] = f"{number} {'file' if number == 1 else 'files'} without a counterpart, first {first.told}"
    return told


def _tell_groups(layout: Layout, source: Source) -> str:
    val = source.splits["val"]
    number = len(set(val.groups))
    if number == len(val.names):
        setting = " (data.groups)" if layout.name == "folder" else ""
        return f"each picture counts as independent; frames of one film or drive are not{setting}"
    made = f" by {layout.settings['groups']}" if "groups" in layout.settings else ""
    return f"val has {number} that can be resampled{made}, such as {val.groups[0]}"
