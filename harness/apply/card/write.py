"""A model card: what a run's model is, how good, where it fails, under which terms; Markdown from the record alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from harness.apply.card import facts
from harness.apply.choose import ChosenRun
from harness.files import write_text
from harness.judged import is_evaluated_only, last_epoch
from harness.records import Counts, Examples, Plan, RunResult
from harness.registry import find_part
from harness.report.figures.examples import draw_examples
from harness.report.page import text
from harness.report.page.sentences import conclude
from harness.report.study.seeds import order_splits
from harness.report.study.summary import summarise
from harness.runs.looks import taken_looks
from harness.spec.resolve import WEIGHTS
from harness.stats.looks import Taken
from harness.stats.margins import HEADLINE
from harness.tracking.load import find_looks, find_plan, find_results
from harness.tracking.protocol import Store


@dataclass(frozen=True)
class Licences:
    """Under which terms data and weights may be used, as their user states it."""

    data: str = ""
    weights: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return both, with `not stated` where nothing is stated."""
        return {"data": self.data or "not stated", "weights": self.weights or "not stated"}


@dataclass(frozen=True)
class Context:
    """The study that a run is of: its plan, and what the store holds of its runs."""

    plan: Plan
    results: Mapping[str, RunResult]
    taken: Taken
    """The looks at the study that were recorded."""


def find_context(chosen: ChosenRun, store: Store) -> Context | None:
    """Return a run's study as the store and the folders here hold it; None where only the run's folder is known."""
    plan = find_plan(store, chosen.study) if chosen.study else None
    if plan is None:
        return None
    results = find_results(store, plan, lambda text: None)
    return Context(plan, results, taken_looks(plan, find_looks(store, chosen.study, lambda text: None)))


def default_path(chosen: ChosenRun, ending: str) -> Path:
    """Return where a run's card, or the file that it goes with, is written when nobody says where."""
    return Path("exports") / f"{re.sub(r'[/@]', '-', chosen.label)}{ending}"


def write_card(
    chosen: ChosenRun, context: Context | None, path: Path, licences: Licences, exported: Sequence[str] = ()
) -> tuple[Path, ...]:
    """Write a run's model card, and its pictures into a folder beside it; return the files.

    `exported` are sentences about a file that the card goes with.
    """
    result, folder = chosen.result, path.with_name(f"{path.stem}-pictures")
    pictured = result if _epoch(chosen) == result.best_epoch else replace(result, predictions=None)
    worst = [(picture, folder / f"worst{rank}.png") for rank, picture in enumerate(facts.find_worst(pictured), start=1)]
    for picture, file in worst:
        seen = picture.seen
        examples = Examples((picture.name,), (seen.image,), (seen.label,), (seen.prediction,))
        draw_examples(examples, chosen.classes, chosen.colours, file)
    pictures = [{"name": item.name, "miou": item.miou, "file": f"{folder.name}/{file.name}"} for item, file in worst]
    write_text(path, _render(chosen, context, licences, {"worst": pictures, "exported": exported}))
    return (path, *(file for _, file in worst))


def _epoch(chosen: ChosenRun) -> int | None:
    return chosen.result.best_epoch if chosen.which == "best" else last_epoch(chosen.result)


def _render(chosen: ChosenRun, context: Context | None, licences: Licences, given: Mapping[str, Any]) -> str:
    result, config = chosen.result, chosen.config
    counts = chosen.counts or result.counts  # of the best epoch where no others were kept, which the card then says
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.apply"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(
        escape=text.escape, code=text.code, percent=text.percent, counted=text.counted, bracket=facts.bracket
    )
    return environment.get_template("card.md.j2").render(
        **given,
        label=chosen.label,
        model=_describe_model(chosen),
        classes=chosen.classes,
        question=context.plan.question if context else "",
        run_id=chosen.run_id,
        variant=chosen.variant,
        which=chosen.which,
        is_of_best=chosen.which == "last" and not chosen.counts,
        note=chosen.note,
        splits=[_describe_split(chosen, context, split, counts[split]) for split in order_splits(counts)],
        selected={
            "by": result.contract["selected_by"],
            "on": result.contract["selected_on"],
            "epoch": _epoch(chosen),
        },
        **_quote_report(chosen, context),
        weak=facts.weak_sentences(counts["val"]),
        class_table=facts.class_table(counts["val"]),
        kept=len(result.predictions.names) if result.predictions else 0,
        data_name=config.data.name,
        licences=licences.to_dict(),
        starts=_describe_start(chosen),
        data_table=facts.data_table(chosen),
        data_notes=result.provenance.get("data_notes", []),
        taxonomy=chosen.taxonomy.name,
        taxonomy_table=facts.taxonomy_table(chosen.taxonomy),
        config=text.fenced(chosen.folder.config.read_text(encoding="utf-8"), "yaml"),
        environment=facts.environment_table(result.provenance),
        command=f"harness reproduce {shlex.quote(chosen.label if chosen.study else chosen.run_id)}",
    )


def _describe_split(chosen: ChosenRun, context: Context | None, split: str, counts: Counts) -> dict[str, Any]:
    effect = facts.seed_interval(context.plan, chosen, split, context.results) if context else None
    return {
        "name": split,
        "images": len(counts.images),
        "groups": len(set(counts.groups)),
        "own": facts.own_intervals(counts)[HEADLINE],
        "table": facts.score_table(counts),
        "seeds": effect and {"count": len(effect.by_seed), "interval": facts.clipped(effect), "scope": effect.scope},
    }


def _quote_report(chosen: ChosenRun, context: Context | None) -> dict[str, Any]:
    """Return what the study's report says of the variant against others, at which epoch, and what it cannot show."""
    if context is None:
        return {"claims": [], "concerns": [], "epoch": chosen.which}
    report = summarise(context.plan, context.results, context.taken)
    claims = [
        f"On {text.escape(item.split)}: {conclude(item.headline, report.margin)}"
        for item in report.comparisons
        if item.split == report.primary and chosen.variant in (item.variant, item.against)
    ]
    concerns = [f"{text.capital(item.text)}." for item in report.concerns]
    return {"claims": claims, "concerns": concerns, "epoch": report.epoch}


def _describe_model(chosen: ChosenRun) -> str:
    """Return the model's name with the settings that shape it."""
    choice = chosen.config.model
    hidden = {"freeze", *find_part("model", choice.name).locations}
    shown = [f"{name} {value}" for name, value in choice.settings.items() if name not in hidden]
    return f"{choice.name} ({', '.join(shown)})" if shown else choice.name


def _describe_start(chosen: ChosenRun) -> str:
    """Return what the weights began with, in words; empty where they were random."""
    start = chosen.result.provenance.get("run", {}).get("starts_from")
    if start:
        then = "not trained further" if is_evaluated_only(chosen.config) else "trained further"
        return f"they are those of run {start['run_id']} ({start['which']} epoch), {then}"
    own = chosen.config.model.own
    given = [(name, own[name]) for name in WEIGHTS if own.get(name, "none") != "none"]
    return "; ".join(f"model.{name} is {Path(value).name}" for name, value in given)
