"""(Plan, results) -> Report: counts -> scores -> means over seeds -> differences paired by seed. Nothing is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.judged import judged_results, primary_split
from harness.records import Concern, Counts, Plan, RunResult
from harness.report.diagnosis.make import make_diagnosis
from harness.report.evidence.make import evidence_figures, make_evidence
from harness.report.figures.charts import chart_names
from harness.report.study import record
from harness.report.study.answer import make_answer
from harness.report.study.attribution import make_attributions
from harness.report.study.class_bands import compare_bands, make_bands
from harness.report.study.common_labels import find_common, summarise_common
from harness.report.study.file_names import confusion_name, make_slugs, table_names, with_confusions
from harness.report.study.judge import judge_splits, make_comparisons, make_floors
from harness.report.study.notes import constant_notes, fold_notes, make_facts, make_notes, primary_notes
from harness.report.study.over_looks import known_looks
from harness.report.study.own_training import make_own_training
from harness.report.study.ranking import make_rankings, propose_next
from harness.report.study.seeds import make_difference, make_estimate, make_seed_result, order_splits
from harness.report.study.variants import VariantRuns, comparable, counts_by_split, group_runs
from harness.spec.lint import lint
from harness.spec.plan import differences, name_start
from harness.stats.looks import Taken

BySplit = Mapping[str, record.ByName]


def summarise(plan: Plan, results: Mapping[str, RunResult], taken: Taken = ()) -> record.Report:
    """Return the report of a plan's runs; `results` is by run id, and a run without one is reported as missing.

    `taken` are the looks at the study that were recorded; without them this is the first look at its seeds. Pure: the
    same plan, results and looks give an equal report.
    """
    results = judged_results(plan, results)
    looks = known_looks(plan, results, taken)
    groups = group_runs(plan, results)
    seeds = _by_variant(plan, groups, results)
    # Variants with different label sets are judged in the coarsest one; each keeps the scores in its own, too.
    common = find_common(groups)
    judged = groups if common is None else common.groups
    judged_seeds = seeds if common is None else _by_variant(plan, judged, results)
    statistics = judge_splits(judged, plan.reference)
    # What a split holds is counted on the reference's results where there are any, so that it does not depend on the
    # order of variants.
    ordered = sorted(groups, key=lambda group: group.name != plan.reference)
    splits = _summarise_splits(found := counts_by_split(ordered))
    setup = ordered[0].runs[0].config.to_dict() if ordered else {}
    finished = [result for group in ordered for result in group.results.values()]
    # Verdicts are given on one split. What is judged as a family (attributions, ranking, own training) is judged there
    # alone.
    primary = primary_split(plan, [split.name for split in splits])
    on_primary = [item for item in statistics.judged if item.split == primary]
    attributions = make_attributions(plan, on_primary, looks)
    comparisons = make_comparisons(statistics.judged, plan.margin, looks, primary, plan.expected)
    slugs = make_slugs(plan.variants)
    variants = tuple(
        _summarise(plan, group, groups, seeds[group.name], slugs[group.name]).model_copy(
            update={"delta": _delta(plan, group.name, judged, judged_seeds)}
        )
        for group in groups
    )
    evidence = make_evidence(judged, [(v.name, plan.reference) for v in variants if v.delta])
    bands = make_bands(judged, plan.reference)
    classes = _summarise_classes(finished, found)
    report = record.Report(
        study=plan.study,
        question=plan.question,
        answer=(),
        reference=plan.reference,
        margin=plan.margin,
        epoch=plan.epoch,
        primary=primary,
        command=plan.command,
        spec=plan.spec_text,
        seeds=tuple(sorted({run.seed for run in plan.runs})),
        notes=(
            *make_notes(plan.reference, judged, variants),
            *fold_notes(primary, judged),
            *statistics.notes,
            *primary_notes(primary, splits, next((item for item in variants if item.name == plan.reference), None)),
            *(constant_notes(primary, classes, variants) if common is None else ()),
        ),
        concerns=_find_concerns(plan, found) if plan.concerns is None else plan.concerns,
        splits=splits,
        classes=classes,
        setup={key: value for key, value in setup.items() if key != "seed"},
        variants=variants,
        common=None if common is None else summarise_common(common, groups, seeds, judged_seeds),
        comparisons=comparisons,
        bands=compare_bands(on_primary, bands, plan.reference, looks),
        own_training=make_own_training(plan, judged, looks, primary),
        rankings=make_rankings(on_primary, looks),
        next_runs=propose_next(plan, comparisons),
        attributions=attributions,
        evidence=evidence,
        diagnosis=make_diagnosis(plan, results, bands, comparisons),
        floors=make_floors(on_primary, plan.reference, looks),
        provenance=make_facts(plan, results),
        figures=(),
        tables=table_names(variants),
    )
    pictured = ["examples.png"] if any(result.examples for result in finished) else []
    confusions = [confusion_name(variant) for variant in with_confusions(variants)]
    figures = (*chart_names(report), *pictured, *confusions, *evidence_figures(evidence))
    return report.model_copy(update={"answer": make_answer(report), "figures": figures})


def _find_concerns(plan: Plan, counts: Mapping[str, Counts]) -> tuple[Concern, ...]:
    """Return the concerns of a plan that was made before plans noted them; its counts tell what its splits hold."""
    groups = {split: tuple(Counter(found.groups).values()) for split, found in counts.items()}
    return lint(plan, groups=groups if "val" in groups else None)


def _by_variant(
    plan: Plan, groups: Sequence[VariantRuns], results: Mapping[str, RunResult]
) -> dict[str, tuple[record.SeedResult, ...]]:
    """Return each variant's runs with their results as the groups hold them; `results` tells of those that failed."""
    return {
        group.name: tuple(
            make_seed_result(plan, run, group.results.get(run.seed, results.get(run.id))) for run in group.runs
        )
        for group in groups
    }


def _delta(
    plan: Plan, name: str, groups: Sequence[VariantRuns], seeds: Mapping[str, Sequence[record.SeedResult]]
) -> record.Delta | None:
    by_name = {group.name: group for group in groups}
    is_silent = name == plan.reference or by_name[name].is_evaluated_only
    if is_silent or not comparable(by_name[name], by_name.get(plan.reference)):
        return None
    here, reference = seeds[name], seeds[plan.reference]
    return record.Delta(
        scores=_differences({s.seed: s.scores for s in here}, {s.seed: s.scores for s in reference}),
        iou_class=_differences({s.seed: s.iou_class for s in here}, {s.seed: s.iou_class for s in reference}),
    )


def _summarise(
    plan: Plan, group: VariantRuns, groups: Sequence[VariantRuns], own: tuple[record.SeedResult, ...], slug: str
) -> record.VariantSummary:
    first = group.runs[0]
    reference = next((other for other in groups if other.name == plan.reference), group)
    # Seeds differ on purpose: a variant is set beside the reference as that would train with the same seed.
    base = replace(reference.runs[0].config, seed=first.seed)
    pooled = () if group.inner_conflicts else own
    ids = {run.id for run in group.runs}
    return record.VariantSummary(
        name=group.name,
        slug=slug,
        starts_from=name_start(plan, first),
        settings_from=first.settings_from,
        compared_with=None if group.name == plan.reference else plan.reference,
        changed=_changes(first.changed),
        differs=_changes(differences(base, first.config)),
        components=dict(first.components),
        evaluated_only=group.is_evaluated_only,
        same_runs_as=tuple(o.name for o in groups if o.name != group.name and ids & {run.id for run in o.runs}),
        seeds=own,
        scores=_estimates({seed.seed: seed.scores for seed in pooled}),
        iou_class=_estimates({seed.seed: seed.iou_class for seed in pooled}),
        delta=None,
        images_per_s=make_estimate({seed.seed: seed.images_per_s for seed in own if seed.status == "finished"}),
        minutes=make_estimate({seed.seed: seed.minutes for seed in own if seed.status == "finished"}),
    )


def _changes(found: Mapping[str, tuple[Any, Any]]) -> tuple[record.Change, ...]:
    return tuple(record.Change(key=key, before=before, value=after) for key, (before, after) in sorted(found.items()))


def _estimates(tables: Mapping[int, BySplit]) -> dict[str, dict[str, record.Estimate]]:
    """Return split -> name -> estimate for tables of seeds (seed -> split -> name -> value)."""
    return {
        split: {name: make_estimate(_column(tables, split, name)) for name in _names(tables, split)}
        for split in _splits(tables)
    }


def _differences(
    here: Mapping[int, BySplit], reference: Mapping[int, BySplit]
) -> dict[str, dict[str, record.Difference]]:
    return {
        split: {
            name: make_difference(_column(here, split, name), _column(reference, split, name))
            for name in _names(here, split)
        }
        for split in _splits(here)
        if split in _splits(reference)
    }


def _splits(tables: Mapping[int, BySplit]) -> list[str]:
    return order_splits(split for table in tables.values() for split in table)


def _names(tables: Mapping[int, BySplit], split: str) -> list[str]:
    return list(dict.fromkeys(name for table in tables.values() for name in table.get(split, {})))


def _column(tables: Mapping[int, BySplit], split: str, name: str) -> dict[int, float | None]:
    return {seed: table.get(split, {}).get(name) for seed, table in tables.items()}


def _summarise_splits(counts: Mapping[str, Counts]) -> tuple[record.SplitSummary, ...]:
    """Describe each split by the first result that has it; results that disagree are named in the notes."""
    return tuple(
        record.SplitSummary(
            name=split,
            images=len(item.images),
            groups=len(set(item.groups)),
            pixels=int(item.pixels_K.sum()),
        )
        for split, item in counts.items()
    )


def _summarise_classes(finished: Sequence[RunResult], whole: Mapping[str, Counts]) -> tuple[record.ClassSummary, ...]:
    colours: dict[str, tuple[int, int, int] | None] = {}
    for result in finished:
        for counts in result.counts.values():
            shades = result.colours or (None,) * len(counts.classes)
            colours = dict(zip(counts.classes, shades, strict=True)) | colours
    truths = {split: _truth_by_class(counts) for split, counts in whole.items()}
    return tuple(
        record.ClassSummary(
            name=name, colour=colour, truth={split: truth[name] for split, truth in truths.items() if name in truth}
        )
        for name, colour in colours.items()
    )


def _truth_by_class(counts: Counts) -> dict[str, record.ClassTruth]:
    pixels_C = counts.confusion_CC().sum(axis=1).tolist()
    total = max(sum(pixels_C), 1)
    return {
        name: record.ClassTruth(pixels=pixels, share=pixels / total)
        for name, pixels in zip(counts.classes, pixels_C, strict=True)
    }
