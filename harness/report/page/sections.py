"""The tables of `report.md`, each from the Report record alone."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.page.result_sections import row_name
from harness.report.page.text import (
    NOTHING,
    code,
    counted,
    decimal,
    difference,
    escape,
    mean_sd,
    percent,
    setting,
    table,
)
from harness.report.study.file_names import epochs_name, has_scores
from harness.report.study.record import Epoch, Estimate, Report, SeedResult, VariantSummary
from harness.scores import SCORES

SCORE = "miou_dataset"


def common_table(report: Report, split: str) -> str:
    """Return miou_dataset of each variant in its own label set and in the common one."""
    assert report.common is not None
    own = f"{len(report.common.classes)} classes of {code(report.common.taxonomy)}"
    header = ["variant", "trained and judged in", "there", f"in the {own}", "raise by merging alone"]
    rows = [
        [
            escape(variant.name),
            f"{variant.classes} classes of {code(variant.taxonomy)}",
            mean_sd(variant.own.get(split)),
            f"**{mean_sd(variant.common.get(split))}**",
            difference(variant.by_merging.get(split)),
        ]
        for variant in report.common.variants
    ]
    return table(header, rows, numeric_from=2)


def scores_table(report: Report, split: str) -> str:
    """Return every score by variant, mean ± sd."""
    rows = [
        [row_name(report, variant), *(mean_sd(variant.scores.get(split, {}).get(score)) for score in SCORES)]
        for variant in report.variants
        if has_scores(variant)
    ]
    return table(["variant", *map(code, SCORES)], rows)


def changes_table(report: Report) -> str:
    """Return each setting that a variant changed, against the variant that it was written from."""
    rows = [
        [
            escape(variant.name),
            escape(variant.settings_from),
            code(change.key),
            setting(change.before),
            setting(change.value),
        ]
        for variant in report.variants
        for change in variant.changed
    ]
    return table(["variant", "changed from", "setting", "there", "here"], rows, numeric_from=5)


def differs_table(report: Report) -> str:
    """Return each setting in which a variant differs from the reference."""
    rows = [
        [escape(variant.name), code(change.key), setting(change.before), setting(change.value)]
        for variant in report.variants
        for change in variant.differs
    ]
    return table(["variant", "setting", escape(report.reference), "here"], rows, numeric_from=4)


def components_table(report: Report) -> str:
    """Return which of the study's components are on in each variant; nothing where the study has none."""
    names = list(dict.fromkeys(name for variant in report.variants for name in variant.components))
    if not names:
        return ""
    words = {True: "on", False: "off", None: NOTHING}
    rows = [
        [escape(variant.name), *(words[variant.components.get(name)] for name in names)] for variant in report.variants
    ]
    return table(["variant", *map(escape, names)], rows)


def setup_table(report: Report) -> str:
    """Return the reference's configuration, one line a part."""
    return table(["part", "setting"], [[code(key), setting(value)] for key, value in report.setup.items()], 2)


def cost_table(report: Report) -> str:
    """Return speed and time of each variant's finished runs."""
    rows = [
        [
            escape(variant.name),
            decimal(variant.images_per_s.mean),
            _singles(variant.images_per_s),
            decimal(variant.minutes.mean),
            _singles(variant.minutes),
            ", ".join(str(seed.epochs_trained) for seed in variant.seeds),
        ]
        for variant in report.variants
    ]
    return table(
        ["variant", "images/s, mean", "each finished run", "minutes, mean", "each finished run", "epochs, each run"],
        rows,
    )


def _singles(estimate: Estimate) -> str:
    return ", ".join(map(decimal, estimate.values)) or NOTHING


def runs_table(report: Report) -> str:
    """Return one line a run: what became of it, its best and its last epoch."""
    header = ["run", "id", "status", "starts from", "epochs", "best epoch", "val, best", "val, last"]
    rows = [_run_row(report, variant, seed) for variant in report.variants for seed in variant.seeds]
    return table(header, rows, numeric_from=4)


def failures(report: Report) -> list[str]:
    """Return a line for each run that has been tried and has no result that is judged: what became of it, and why."""
    return [
        f"{escape(label(variant, seed))} {seed.status}: {escape(seed.reason) or 'no reason was given'}"
        for variant in report.variants
        for seed in variant.seeds
        if seed.status not in ("finished", "missing")
    ]


def _best_score(report: Report, seed: SeedResult) -> float | None:
    if report.epoch == "best":
        return seed.scores.get("val", {}).get(SCORE)
    return next((item.metrics.get(f"val/{SCORE}") for item in seed.epochs if item.epoch == seed.best_epoch), None)


def _run_row(report: Report, variant: VariantSummary, seed: SeedResult) -> list[str]:
    return [
        escape(label(variant, seed)),
        code(seed.run_id),
        "not run yet" if seed.status == "missing" else seed.status,
        escape(seed.starts_from or "") or NOTHING,
        f"{seed.epochs_trained}/{seed.epochs_planned}",
        NOTHING if seed.best_epoch is None else str(seed.best_epoch),
        percent(_best_score(report, seed)),
        percent(seed.last.get(SCORE)),
    ]


def label(variant: VariantSummary, seed: SeedResult) -> str:
    """Return the run's name for humans."""
    return f"{variant.name}/seed{seed.seed}"


def epoch_tables(report: Report) -> list[tuple[str, str, str]]:
    """Return, for each run with epochs, its escaped name, the file name of the full table, and a compact table."""
    return [
        (escape(label(variant, seed)), epochs_name(variant, seed.seed), _epoch_table(seed))
        for variant in report.variants
        for seed in variant.seeds
        if seed.epochs
    ]


EPOCH_COLUMNS = ("train/loss", "val/loss", "val/miou_dataset", "val/dice_dataset", "val/pixel_accuracy")


def _epoch_table(seed: SeedResult) -> str:
    rates = sorted({name for item in seed.epochs for name in item.metrics if name.startswith("lr/")})
    header = ["epoch", *map(code, EPOCH_COLUMNS), *map(code, rates), "images/s"]
    return table(header, [_epoch_row(seed, item, rates) for item in seed.epochs], numeric_from=0)


def _epoch_row(seed: SeedResult, item: Epoch, rates: Sequence[str]) -> list[str]:
    losses = [decimal(item.metrics.get(name), 4) for name in EPOCH_COLUMNS[:2]]
    scores = [percent(item.metrics.get(name)) for name in EPOCH_COLUMNS[2:]]
    steps = [NOTHING if item.metrics.get(name) is None else f"{item.metrics[name]:.2g}" for name in rates]
    speed = decimal(item.metrics.get("train/images_per_s"))
    epoch = f"**{item.epoch}** (best)" if item.epoch == seed.best_epoch else str(item.epoch)
    return [epoch, *losses, *scores, *steps, speed]


def provenance_table(report: Report) -> str:
    """Return what is known about the code, the packages and the machines behind the runs."""
    rows = [
        [code(fact.key), code(fact.value), escape(", ".join(fact.runs)) if fact.runs else "all"]
        for fact in report.provenance
    ]
    return table(["fact", "value", "runs"], rows, numeric_from=3)


def run_summary(report: Report) -> str:
    """Return how many runs there are and what became of them, in one sentence."""
    runs = [seed for variant in report.variants for seed in variant.seeds]
    states = [seed.status for seed in runs]
    tally = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states, key=_finished_first))]
    seeds = ", ".join(map(str, report.seeds))
    what = f"{counted(len(report.variants), 'variant')}, seed{'s' * (len(report.seeds) > 1)} {seeds}"
    return f"{counted(len(runs), 'run')} ({what}): {', '.join(tally)}"


def _finished_first(state: str) -> tuple[bool, str]:
    return state != "finished", state


def total_minutes(report: Report) -> float:
    """Return the wall time of all runs, each counted once."""
    runs = {seed.run_id: seed.minutes for variant in report.variants for seed in variant.seeds}
    return sum(runs.values())


def devices(report: Report) -> str:
    """Return the names of the devices that the runs were computed on, or nothing where no run tells."""
    return ", ".join(escape(fact.value) for fact in report.provenance if fact.key == "device.name")
