"""Report -> Page: all sections in their order. What users wrote (names, question, reasons) is escaped as it enters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.figures.charts import Sheets, chart_figures, make_sheets
from harness.report.page import cells, model
from harness.report.page.attribution_sections import attribution_section
from harness.report.page.class_sections import class_conclusions, class_section
from harness.report.page.diagnosis_sections import diagnosis_section
from harness.report.page.evidence_sections import evidence_section
from harness.report.page.model import make_list, make_table
from harness.report.page.result_sections import is_compared, ordered_splits, results_table, row_name
from harness.report.page.sentences import conclusions, floor_sentence, ranking_sentence
from harness.report.page.text import NOTHING, capital, code, counted, decimal, difference, escape, setting
from harness.report.page.viewer import Gallery, render_viewer
from harness.report.study.file_names import confusion_name, epochs_name, has_scores
from harness.report.study.own_training import own_training_lines
from harness.report.study.record import Report, SeedResult, VariantSummary
from harness.scores import SCORES
from harness.stats.verdicts import CORRECTION

MEANINGS = {
    "miou_dataset": "intersections and unions are summed over all images; IoU of each class; mean over the classes "
    "that occur in the split's ground truth. A class that occurs and is never predicted counts 0.",
    "miou_image": "for each image the mean IoU over the classes in its ground truth or prediction; mean over images.",
    "dice_dataset": "as miou_dataset, with Dice, 2 |A and B| / (|A| + |B|), in place of IoU.",
    "pixel_accuracy": "share of pixels whose class is right; frequent classes dominate it.",
    "mean_class_accuracy": "share of a class's pixels that is right; mean over the classes in the ground truth.",
    "frequency_weighted_iou": "IoU of each class weighted by its share of the true pixels.",
}
"""Score -> what it is, in one line."""


def make_page(report: Report, gallery: Gallery | None = None, sheets: Sheets | None = None) -> model.Page:
    """Return the page of a report.

    `gallery` holds the pictures that HTML shows in its viewer; `sheets` are the report's charts, made here without.
    """
    charts = chart_figures(make_sheets(report) if sheets is None else sheets)
    blocks = (
        *_answer(report),
        *_what_can_be_said(report),
        *_what_it_cannot_show(report),
        *_result(report, charts["Result"]),
        *_common_labels(report),
        *attribution_section(report, charts["Which component did it"]),
        *_what_was_run(report),
        *_changes(report),
        *class_section(report, charts["Classes"]),
        *evidence_section(report.evidence, report.primary),
        *diagnosis_section(report.diagnosis, report.primary, report.reference),
        *_pictures(report, gallery, charts["Learning curves"]),
        *_all_scores(report),
        *_how_verdicts_are_made(report),
        *_cost(report),
        *_runs(report),
        *_how_to_reproduce(report),
    )
    return model.Page(escape(report.study), blocks, escape(report.question))


def _answer(report: Report) -> Iterator[model.Block]:
    if report.answer:
        yield model.Text(" ".join(map(escape, report.answer)))
    yield from make_list("**Before the numbers**", map(escape, report.notes))


def _what_can_be_said(report: Report) -> Iterator[model.Block]:
    if not report.comparisons and not report.own_training:
        return
    yield model.Heading("What can be said")
    yield from make_list(f"On {escape(report.primary)}:", conclusions(report))
    intro = "What training on did to each start, judged as a family of its own:"
    yield from make_list(intro, own_training_lines(report))
    yield from make_list("Classes, the whole table judged as one family:", class_conclusions(report))
    lines = [*map(ranking_sentence, report.rankings), *map(floor_sentence, report.floors)]
    yield from make_list("", [*lines, *(f"What to run next: {escape(line)}." for line in report.next_runs)])


def _what_it_cannot_show(report: Report) -> Iterator[model.Block]:
    if report.concerns:
        yield model.Heading("What this study cannot show")
        lines = (f"{escape(capital(item.text))}. To resolve it: {escape(item.remedy)}." for item in report.concerns)
        yield from make_list("", lines)


def _result(report: Report, charts: Sequence[model.Figure]) -> Iterator[model.Block]:
    """Yield miou_dataset of each variant on each split, and how it is to be read."""
    yield model.Heading("Result")
    if not report.splits:
        yield model.Text("There are no scores: no run has a result that is judged.")
        return
    told = f"miou_dataset in percent, of each run's {report.epoch} epoch."
    for split in ordered_splits(report):
        name, told_beside = escape(split.name), "stands beside it without a verdict of its own"
        what = f"Verdicts are given on {name}" if split.name == report.primary else f"{name} {told_beside}"
        told += f" {what}: {counted(split.images, 'image')} in {counted(split.groups, 'group')}."
        told += f" {_selection(report)}" if split.name == "val" else ""
    yield model.Text(told)
    yield results_table(report)
    told = "± is the standard deviation over seeds (divisor n − 1)."
    if is_compared(report):
        over_folds = any(item.headline.folds for item in report.comparisons)
        told += (
            f" Differences are percentage points, variant minus {escape(report.reference)}, paired by seed"
            f"{'' if over_folds else ' and image group'}; how intervals and verdicts are made: see the end."
        )
    yield model.Text(told)
    yield from charts


def _selection(report: Report) -> str:
    """Return on which images the best epoch was chosen, and what that does to the scores on val."""
    if report.epoch == "last":
        return "No score chose the last epoch."
    evaluate = report.setup.get("evaluate")
    if isinstance(evaluate, dict) and evaluate.get("select_split") == "held_out":
        return "Other images of val, on which no score is reported, chose the best epoch."
    return "The same images chose the best epoch, so these scores are a little too high."


def _common_labels(report: Report) -> Iterator[model.Block]:
    """Yield miou_dataset of each variant in its own label set and in the common one."""
    if report.common is None:
        return
    yield model.Heading("One label set for all")
    num_classes, taxonomy = len(report.common.classes), code(report.common.taxonomy)
    yield model.Text(
        "The variants were trained on different label sets, and their scores above are each in its own: they cannot be "
        f"compared with each other. Differences are therefore given in the {counted(num_classes, 'class')} of "
        f"{taxonomy}, into which all others merge: the same predictions, with the confusions of merged classes added "
        "up."
    )
    in_common = f"in the {num_classes} classes of {taxonomy}"
    header = ["variant", "trained and judged in", "there", in_common, "raise by merging alone"]
    for split in (item.name for item in report.splits):
        rows: list[model.Row] = []
        for item in report.common.variants:
            own = cells.score(item.name, cells.SCORE, split, item.own.get(split))
            common = cells.score(item.name, f"{cells.SCORE} in the common classes", split, item.common.get(split))
            raised = cells.score(item.name, "raise by merging", split, item.by_merging.get(split), difference)
            trained = f"{item.classes} classes of {code(item.taxonomy)}"
            rows.append([escape(item.name), trained, own, model.Cell(f"**{common.text}**", common.exact), raised])
        yield model.Text(f"On {escape(split)}, miou_dataset in percent:")
        yield make_table(header, rows, numeric_from=2)
    yield model.Text(
        "What merging alone adds is no gain: no prediction became better, easy mistakes between merged classes are "
        "only no longer counted."
    )


def _what_was_run(report: Report) -> Iterator[model.Block]:
    yield model.Heading("What was run")
    lines = [f"{_run_summary(report)}.", *([f"Command: {code(report.command)}"] if report.command else [])]
    for split in report.splits:
        images = f"{counted(split.images, 'image')} in {counted(split.groups, 'group')}"
        lines.append(f"Judged on {escape(split.name)}: {images}, {counted(split.pixels, 'labelled pixel')}.")
    yield model.Bullets((*lines, f"{escape(report.reference)} is the reference. Its settings:"))
    yield make_table(["part", "setting"], [[code(key), setting(value)] for key, value in report.setup.items()], 2)


def _run_summary(report: Report) -> str:
    """Return how many runs there are and what became of them, in one sentence."""
    states = [seed.status for variant in report.variants for seed in variant.seeds]
    order = dict.fromkeys(sorted(states, key=lambda state: (state != "finished", state)))
    tally = ", ".join(f"{states.count(state)} {state}" for state in order)
    seeds = f"seed{'s' * (len(report.seeds) > 1)} {', '.join(map(str, report.seeds))}"
    return f"{counted(len(states), 'run')} ({counted(len(report.variants), 'variant')}, {seeds}): {tally}"


def _changes(report: Report) -> Iterator[model.Block]:
    reference = escape(report.reference)
    yield model.Heading("What each variant changed")
    changed = [
        [escape(item.name), escape(item.settings_from), code(one.key), setting(one.before), setting(one.value)]
        for item in report.variants
        for one in item.changed
    ]
    if changed:
        told = "Each variant against the one that its settings were written from; – stands for a setting that is not"
        yield model.Text(f"{told} there.")
        yield make_table(["variant", "changed from", "setting", "there", "here"], changed, numeric_from=5)
    else:
        yield model.Text("No variant changed a setting.")
    differing = [
        [escape(item.name), code(one.key), setting(one.before), setting(one.value)]
        for item in report.variants
        for one in item.differs
    ]
    if differing:
        yield model.Details(
            f"All settings that differ from {reference}: together, and with the weights it starts from, they stand "
            "behind its difference above",
            (make_table(["variant", "setting", reference, "here"], differing, numeric_from=4),),
        )
    if names := list(dict.fromkeys(name for variant in report.variants for name in variant.components)):
        yield model.Text("Components:")
        words = {True: "on", False: "off", None: NOTHING}
        states = [[escape(item.name), *(words[item.components.get(n)] for n in names)] for item in report.variants]
        yield make_table(["variant", *map(escape, names)], states)


def _pictures(report: Report, gallery: Gallery | None, curves: Sequence[model.Figure]) -> Iterator[model.Block]:
    if curves:
        yield model.Heading("Learning curves")
        yield from curves
        yield model.Text(
            "Thin lines are seeds, thick lines their mean at the epochs that every finished seed reached. Epoch 0 is "
            "the evaluation of the weights that a warm-started run begins with; it is no candidate for the best epoch. "
            "Losses of variants with different loss terms have no common scale."
        )
    if "examples.png" in report.figures:
        yield model.Heading("Pictures")
        viewer = (model.Fragment("" if gallery is None else render_viewer(gallery)),)
        yield model.Figure("figures/examples.png", "Image, truth and each variant's prediction", viewer)
        told = "The same validation images for each variant, predicted by the best epoch of its first finished seed"
        if report.epoch == "last":
            told += ", which is not the epoch that is compared: of last epochs no pictures are kept"
        yield model.Text(f"{told}.")
    if drawn := [variant for variant in report.variants if confusion_name(variant) in report.figures]:
        yield model.Heading("Confusion matrices")
        told = (
            "Rows are true classes, columns predicted ones; counts are summed over seeds, then each row is divided by "
            "its sum."
        )
        if len(drawn) < sum(map(has_scores, report.variants)):
            told += f" Drawn for {escape(report.reference)} and the variants that differ most from it on val."
        yield model.Text(told)
        for variant in drawn:
            name = escape(variant.name)
            yield model.Text(f"**{name}**")
            yield model.Figure(f"figures/{confusion_name(variant)}", f"Confusion matrices of {name}")


def _all_scores(report: Report) -> Iterator[model.Block]:
    if not report.splits:
        return
    yield model.Heading("All scores")
    for place, split in enumerate(item.name for item in ordered_splits(report)):
        rows: list[model.Row] = []
        for variant in filter(has_scores, report.variants):
            found = variant.scores.get(split, {})
            scores = (cells.score(variant.name, name, split, found.get(name)) for name in SCORES)
            rows.append([row_name(report, variant), *scores])
        table = make_table(["variant", *map(code, SCORES)], rows)
        if place:
            yield model.Details(f"The same on {escape(split)}", (table,))
        else:
            yield model.Text(f"On {escape(split)}, percent, mean ± standard deviation over seeds:")
            yield table
    yield model.Bullets(tuple(f"{code(name)}: {meaning}" for name, meaning in MEANINGS.items()))


OVER_FOLDS = (
    "An interval over folds speaks for new seeds and for new images of the same kind, trained on and judged. Each seed "
    "is judged on one fold and trained on the others; the seeds of a fold are averaged, and the folds' differences "
    "vary by s². Their mean has the variance s² (1 / folds judged + 1 / (all folds − 1)): the second part is for the "
    "training images that folds share (Nadeau and Bengio 2003). It is more often too wide than too narrow. A class "
    "counts the folds whose images hold it, three at least.",
    "On images that all seeds share, as those of a test split, an interval speaks for new seeds and new images, from "
    "the variance between seeds and that between image groups.",
)
OVER_SEEDS = (
    "An interval speaks for new seeds and new images of the same kind. It combines the variance between seeds, in "
    "which the study's other variants say how noisy each class is relative to the others, with the variance between "
    "image groups; images of one group are never taken as independent.",
)


def _how_verdicts_are_made(report: Report) -> Iterator[model.Block]:
    if not report.comparisons:
        return
    heads = [item.headline for item in report.comparisons]
    chances = (
        "Probabilities are of the true difference, and of one new seed each, judged on endlessly many images. They "
        "rest on the prior that is named (`compare.expected`), not on looks, and are given from five seeds on."
    )
    own_training = (
        "Start -> own training: the weights after a variant's own training less those it started from, seed by seed; "
        'all such differences are a family of their own. "Kept if better" is no verdict: the better of the two by the '
        "score that selects epochs, for whoever would keep the start."
    )
    yield model.Heading("How the verdicts are made")
    yield model.Bullets(
        (
            *(OVER_FOLDS if any(claim.folds for claim in heads) else OVER_SEEDS),
            f"Verdicts are given on {escape(report.primary)} alone, the study's primary split (`compare.split`); "
            "differences on another one have intervals.",
            "improved, regressed: the difference is not zero, at 5 % for all headline comparisons together "
            f"({CORRECTION.title}); for classes, at 5 % for the whole class table together, and from three seeds on: "
            "with two, a class table would hold a false call far more often.",
            "equivalent: the 90 % interval (a higher one where looks share the error) lies within the margin of "
            f"±{100 * report.margin:g} points that the study's author said does not matter.",
            "undecided: neither is shown. That is no evidence that there is no difference.",
            *([chances] if any(claim.chances for claim in heads) else []),
            *([own_training] if report.own_training else []),
            f"Each headline comparison: against {escape(report.reference)}, and against the variant whose settings it "
            "changes where that is another one.",
        )
    )


def _cost(report: Report) -> Iterator[model.Block]:
    yield model.Heading("Cost")
    rows: list[model.Row] = []
    for variant in report.variants:
        row: list[model.Cell | str] = [escape(variant.name)]
        for found in (variant.images_per_s, variant.minutes):
            singles = dict(zip(found.seeds, found.values, strict=True))
            row += [cells.plain(found.mean), cells.by_seed(singles, found.seeds)]
        rows.append([*row, ", ".join(str(seed.epochs_trained) for seed in variant.seeds)])
    each = "each finished run"
    yield make_table(["variant", "images/s, mean", each, "minutes, mean", each, "epochs, each run"], rows)
    minutes = {seed.run_id: seed.minutes for variant in report.variants for seed in variant.seeds}
    devices = ", ".join(escape(fact.value) for fact in report.provenance if fact.key == "device.name")
    yield model.Text(
        "Images/s is the speed of training, the median over a run's epochs. Minutes are wall time of training and "
        f"evaluation; all runs together took {decimal(sum(minutes.values()))} minutes, runs at the same time counted "
        f"one by one.{f' Device: {devices}.' if devices else ''}"
    )


def _runs(report: Report) -> Iterator[model.Block]:
    runs = [(variant, seed) for variant in report.variants for seed in variant.seeds]
    yield model.Heading("Runs")
    header = ["run", "id", "status", "starts from", "epochs", "best epoch", "val, best", "val, last"]
    yield make_table(header, [_run_row(report, variant, seed) for variant, seed in runs], numeric_from=4)
    yield model.Text('"val, best" and "val, last" are miou_dataset in percent at the best and at the last epoch.')
    failures = [
        f"{_label(variant, seed)} {seed.status}: {escape(seed.reason) or 'no reason was given'}"
        for variant, seed in runs
        if seed.status not in ("finished", "missing")
    ]
    yield from make_list("Runs without a result that is judged:", failures)
    for variant, seed in runs:
        if seed.epochs:
            file = epochs_name(variant, seed.seed)
            every = model.Text(f"Every metric: [{file}](tables/{file})")
            yield model.Details(f"Epochs of {_label(variant, seed)}", (_epoch_table(seed), every))


def _label(variant: VariantSummary, seed: SeedResult) -> str:
    return escape(f"{variant.name}/seed{seed.seed}")


def _run_row(report: Report, variant: VariantSummary, seed: SeedResult) -> model.Row:
    best = next((item.metrics.get(f"val/{cells.SCORE}") for item in seed.epochs if item.epoch == seed.best_epoch), None)
    return [
        _label(variant, seed),
        code(seed.run_id),
        "not run yet" if seed.status == "missing" else seed.status,
        escape(seed.starts_from or "") or NOTHING,
        f"{seed.epochs_trained}/{seed.epochs_planned}",
        NOTHING if seed.best_epoch is None else str(seed.best_epoch),
        cells.share(seed.scores.get("val", {}).get(cells.SCORE) if report.epoch == "best" else best),
        cells.share(seed.last.get(cells.SCORE)),
    ]


LOSSES, EPOCH_SCORES = ("train/loss", "val/loss"), ("val/miou_dataset", "val/dice_dataset", "val/pixel_accuracy")


def _epoch_table(seed: SeedResult) -> model.Table:
    rates = sorted({name for item in seed.epochs for name in item.metrics if name.startswith("lr/")})
    header = ["epoch", *map(code, (*LOSSES, *EPOCH_SCORES, *rates)), "images/s"]
    rows: list[model.Row] = []
    for item in seed.epochs:
        found, epoch = item.metrics, f"**{item.epoch}** (best)" if item.epoch == seed.best_epoch else str(item.epoch)
        losses = (cells.plain(found.get(name), 4) for name in LOSSES)
        scores = (cells.share(found.get(name)) for name in EPOCH_SCORES)
        steps = [cells.number(NOTHING if found.get(k) is None else f"{found[k]:.2g}", found.get(k)) for k in rates]
        rows.append([epoch, *losses, *scores, *steps, cells.plain(found.get("train/images_per_s"))])
    return make_table(header, rows, numeric_from=0)


def _how_to_reproduce(report: Report) -> Iterator[model.Block]:
    yield model.Heading("How to reproduce")
    if report.command:
        yield model.Code(report.command, "sh")
    if report.spec:
        yield model.Details("The spec", (model.Code(report.spec, "yaml"),))
    if report.provenance:
        rows = [
            [code(fact.key), code(fact.value), escape(", ".join(fact.runs)) if fact.runs else "all"]
            for fact in report.provenance
        ]
        facts = make_table(["fact", "value", "runs"], rows, numeric_from=3)
        yield model.Details("Code, packages and machines", (facts,))
    tables = ", ".join(f"[{file}](tables/{file})" for file in report.tables if not file.startswith("epochs_"))
    yield model.Text(f"Every number of this page is in [report.json](report.json); tables: {tables}.")
