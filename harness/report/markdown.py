"""Report -> `report.md`. Text that a user chose (names, question, reasons) is escaped before it enters the page."""

from __future__ import annotations

import jinja2

from harness.report.page import (
    attribution_sections,
    class_sections,
    diagnosis_sections,
    evidence_sections,
    result_sections,
    sections,
    sentences,
    text,
)
from harness.report.study import own_training
from harness.report.study.file_names import confusion_name
from harness.report.study.record import Report

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


def render_markdown(report: Report) -> str:
    """Return the page. The same report gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(
        escape=text.escape,
        code=text.code,
        percent=text.percent,
        decimal=text.decimal,
        counted=text.counted,
        capital=text.capital,
    )
    page = environment.get_template("report.md.j2")
    return page.render(
        report=report,
        show=sections,
        scored=result_sections,
        say=sentences,
        trained=own_training,
        by_class=class_sections,
        shares=attribution_sections,
        weigh=evidence_sections,
        evidence=report.evidence,
        diagnosed=diagnosis_sections,
        fenced=text.fenced,
        meanings=MEANINGS,
        confusions=[
            (variant.name, confusion_name(variant))
            for variant in report.variants
            if confusion_name(variant) in report.figures
        ],
        compared=any(variant.delta for variant in report.variants),
        over_folds=any(item.headline.folds for item in report.comparisons),
    )
