"""A tuning report on disk: `tuning.md`, `tuning.json`, figures and the table of all trials, beside the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.files import write_text
from harness.report.page import cells, csv_tables
from harness.report.page.markdown import render_markdown
from harness.report.page.model import Block, Bullets, Cell, Code, Figure, Heading, Page, Row, Table, Text, make_table
from harness.report.page.sentences import conclude
from harness.report.page.text import NOTHING, code, counted, escape, points, setting
from harness.report.study.record import Report, to_json
from harness.spec.tuning import Tuning
from harness.tune.figures import draw_search, figure_names
from harness.tune.optuna_study import FEWEST
from harness.tune.record import KnobRecord, TunedVariant, TuningRecord, Value, as_setting, choice_of, make_record
from harness.tune.winners import SearchOutcome

PRUNERS = {
    "median": "below the median of the earlier trials at that epoch",
    "hyperband": "by Hyperband (Li et al. 2018)",
    "wilcoxon": "significantly behind the best trial over the groups of images (Wilcoxon, p < 0.1)",
}


def write_tuning(tuning: Tuning, searches: Sequence[SearchOutcome], report: Report, folder: Path) -> TuningRecord:
    """Write the tuning report into the folder of the report on the winners, and return the record behind it.

    Raises:
        OSError: the folder cannot be written.
    """
    record = make_record(tuning, searches, report)
    for variant in record.variants:
        draw_search(record, variant, folder / "figures")
        write_text(folder / "tables" / f"trials-{variant.name}.csv", _trials_csv(record, variant))
    write_text(folder / "tuning.md", render_markdown(tuning_page(record)))
    write_text(folder / "tuning.json", to_json(record.model_dump(mode="json")))
    return record


def tuning_page(record: TuningRecord) -> Page:
    """Return the page: what was gained first, then what it cost, then each variant's search."""
    blocks: list[Block] = [
        Text(_how(record)),
        Heading("Best settings against the settings as written"),
        Text(_seen(record)),
        *(Bullets(_gains(record, variant)) for variant in record.variants),
        Text("The whole comparison, tuned variants with each other too: [report.md](report.md)."),
        Heading("Cost"),
        _cost(record),
        *(block for variant in record.variants for block in _variant(record, variant)),
        Heading("Again"),
        Code(record.command, "sh"),
    ]
    return Page(f"Tuning: {escape(record.study)}", tuple(blocks))


def _how(record: TuningRecord) -> str:
    budget = counted(record.trials, "trial") + (f" or {record.hours:g} hours" if record.hours else "")
    goals = " and ".join(map(code, record.objectives))
    kept = f", with {' and '.join(map(code, record.bounds))}" if record.bounds else ""
    told = (
        f"Each variant had a search of its own with the same budget, {budget}: {code(record.sampler)} (seed "
        f"{record.seed}, the first {record.startup} at random) raised {goals}{kept}. Trials trained with a seed that "
        "no final run has."
    )
    if record.pruner != "none":
        told += f" Trials were pruned {PRUNERS[record.pruner]}."
    if len(record.objectives) > 1:
        told += " The winner is the trial of the front nearest to the best of each objective, in units of its ranges."
    return told


def _seen(record: TuningRecord) -> str:
    if record.judge_on == "held_out":
        return (
            "Trials were scored on a third of val's image groups, which also chose the best epochs. The scores here "
            "are of val's other groups (and of test, where there is one): **tuning saw none of these images**."
        )
    return (
        "**Tuning saw the images of val**: trials were scored on the very images that the final runs are judged on, so "
        "the gains on val are too high. `judge_on: held_out` keeps groups apart."
    )


def _gains(record: TuningRecord, variant: TunedVariant) -> tuple[str, ...]:
    if variant.best is None:
        return (f"{escape(variant.name)}: no trial is finished and keeps the constraints.",)
    if not variant.gains:
        return (f"{escape(variant.name)}: the two could not be compared, see report.md.",)
    return tuple(f"On {escape(claim.split)}: {conclude(claim, record.margin)}" for claim in variant.gains)


def _cost(record: TuningRecord) -> Table:
    states = ("finished", "pruned", "failed", "running")
    rows: list[Row] = []
    for variant in record.variants:
        counts = [sum(trial.state == state for trial in variant.trials) for state in states]
        epochs = sum(len(trial.epochs) for trial in variant.trials)
        told = [str(len(variant.trials)), *map(str, counts), str(epochs) if epochs else NOTHING]
        hours = [cells.plain(variant.search_hours, 2), cells.plain(variant.final_hours, 2)]
        rows.append([escape(variant.name), *told, *hours])
    return make_table(["variant", "trials", *states, "epochs scored", "hours of search", "hours of final runs"], rows)


def _variant(record: TuningRecord, variant: TunedVariant) -> Iterator[Block]:
    rows: list[Row] = []
    for knob in variant.knobs:
        written, best = (_value(knob, value) for value in (knob.written, knob.best))
        rows.append([code(knob.key), _space(knob), written, best])
    yield Heading(escape(variant.name))
    winner = f"best (trial {variant.best})" if variant.best else "best"
    yield make_table(["setting", "searched", "as written", winner], rows, numeric_from=4)
    yield Text(_winner(record, variant))
    if len(record.objectives) > 1:
        scores: list[Row] = [
            [str(trial.number), *(cells.number(f"{score:.4f}", score) for score in trial.scores)]
            for trial in variant.trials
            if trial.number in variant.front
        ]
        yield make_table(["trial of the front", *map(escape, record.objectives)], scores)
    for name, title in figure_names(variant).items():
        yield Figure(f"figures/{name}", title)
    yield from _importance(variant)


def _value(knob: KnobRecord, value: Value | None) -> Cell:
    return cells.number(setting(as_setting(knob, value)), value if isinstance(value, float) else None)


def _space(knob: KnobRecord) -> Cell:
    if knob.kind == "choice":
        return Cell(", ".join(setting(choice_of(name)) for name in knob.choices))
    return Cell(f"{knob.kind.replace('_', ' ')}, {knob.low:g} to {knob.high:g}", f"{knob.low} to {knob.high}")


def _winner(record: TuningRecord, variant: TunedVariant) -> str:
    best = next((trial for trial in variant.trials if trial.number == variant.best), None)
    if best is None:
        return "No trial is finished and keeps the constraints."
    told = ", ".join(f"{name} {score:.4f}" for name, score in zip(record.objectives, best.scores, strict=True))
    first = variant.trials[0]
    written = {knob.key: knob.written for knob in variant.knobs if knob.written is not None}
    if first.state == "finished" and first.values == written and best.number != first.number:
        gain = best.scores[0] - first.scores[0]
        told += (
            f"; {points(gain)} points of {record.objectives[0]} on trial 1, the settings as written. This is the best "
            f"of {counted(len(variant.trials), 'trial')} on the images that chose it, and so too high"
        )
    return f"Trial {best.number} won: {told}."


def _importance(variant: TunedVariant) -> Iterator[Block]:
    if not variant.importance:
        yield Text(f"Importance is not given: fewer than {FEWEST} trials are finished.")
        return
    ended = sum(trial.state == "finished" for trial in variant.trials)
    yield Text(
        f"Importance: the share of a setting in what sets the best quarter of the {ended} finished trials apart "
        "(PED-ANOVA, Watanabe et al. 2023), with the 95 % interval of a bootstrap over trials. Pruned trials have no "
        "say, and nothing is said of values that were not tried."
    )
    rows: list[Row] = []
    for item in variant.importance:
        low, high = 100 * item.low, 100 * item.high
        interval = Cell(f"{low:.0f} to {high:.0f}", f"{cells.exact(low)} to {cells.exact(high, '%')}")
        rows.append([code(item.key), escape(item.objective), cells.share(item.share, 0), interval])
    yield make_table(["setting", "objective", "importance (%)", "95 % interval"], rows, numeric_from=2)


def _trials_csv(record: TuningRecord, variant: TunedVariant) -> str:
    keys = [knob.key for knob in variant.knobs]
    header = ["trial", "state", *keys, *record.objectives, "epochs", "seconds", "run_id", "reason"]
    rows: list[list[csv_tables.Cell]] = []
    for trial in variant.trials:
        scores = trial.scores or (None,) * len(record.objectives)
        epochs, seconds = max(trial.epochs, default=None), round(trial.seconds, 1)
        drawn = (trial.values.get(key) for key in keys)
        rows.append([trial.number, trial.state, *drawn, *scores, epochs, seconds, trial.run_id, trial.reason])
    return csv_tables.csv_text(header, rows)
