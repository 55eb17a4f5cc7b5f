"""What a reader must know before the numbers, in sentences; and what is recorded of how the runs were made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from harness.environment import UNSET
from harness.errors import name_some
from harness.records import IMAGES_AT_ONCE, UNLABELLED_STEPS, Plan, RunResult
from harness.report.page.text import percent
from harness.report.study.record import ClassSummary, Fact, SeedResult, SplitSummary, VariantSummary
from harness.report.study.variants import VariantRuns, conflicts, flat_texts
from harness.stats.margins import HEADLINE

MOST_LABELS = 4
"""Runs that a note names before it only counts."""
LONGEST_FACT = 200
"""Characters of provenance that are told; of longer texts there is a digest."""
TOLD_ELSEWHERE = ("run.id", "run.starts_from")
"""Beginnings of keys that are different for each run and stand in the report's list of runs."""
OTHER_KIND = 2.0
"""Ratio of the mean scores of two splits, above which their images are said to be of different kinds."""


def make_notes(reference: str, groups: Sequence[VariantRuns], variants: Sequence[VariantSummary]) -> tuple[str, ...]:
    """Return the notes: results that must not be compared first, then runs without a result, then runs shown twice."""
    notes = chain(
        _contract_notes(reference, groups),
        _data_notes(groups),
        _environment_notes(groups),
        _evaluated_notes(reference, variants),
        _older_notes(groups, variants),
        _memory_notes(variants),
        _unlabelled_notes(variants),
        _absence_notes(variants),
        _shared_notes(variants),
    )
    return tuple(dict.fromkeys(notes))


def primary_notes(primary: str, splits: Sequence[SplitSummary], reference: VariantSummary | None) -> tuple[str, ...]:
    """Return a note where no result has the primary split, or where another split is far harder or easier than that."""
    if not splits:
        return ()
    if primary in [split.name for split in splits]:
        return () if reference is None else tuple(_tell_other_kinds(primary, splits, reference))
    there = " and ".join(split.name for split in splits)
    return (
        f"compare.split names {primary}, which no result has, so no verdict is given; there are scores on {there}.",
    )


def constant_notes(
    primary: str, classes: Sequence[ClassSummary], variants: Sequence[VariantSummary]
) -> tuple[str, ...]:
    """Return which variants score no more than one that predicts the most frequent class everywhere."""
    shares = {item.name: item.truth[primary].share for item in classes if primary in item.truth}
    shares = {name: share for name, share in shares.items() if share}
    if len(shares) < 2:  # one class alone is always predicted right
        return ()
    most = max(shares, key=lambda name: shares[name])
    constant = shares[most] / len(shares)
    scores = {item.name: item.scores.get(primary, {}).get(HEADLINE) for item in variants}
    low = [name for name, score in scores.items() if score is not None and (score.mean or 0.0) <= constant]
    if not low:
        return ()
    who = "No variant has" if len(low) == len(scores) else f"{', '.join(low)} {'has' if len(low) == 1 else 'have'} no"
    return (
        f"{who} more of {HEADLINE} on {primary} than predicting {most} everywhere, {percent(constant)} %: what did not"
        " learn says nothing about the settings, whatever the verdict.",
    )


def _tell_other_kinds(primary: str, splits: Sequence[SplitSummary], reference: VariantSummary) -> Iterator[str]:
    """Yield the splits on which the reference has a small part of its score, or several times it."""
    scores = {split.name: reference.scores.get(split.name, {}).get(HEADLINE) for split in splits}
    means = {name: score.mean for name, score in scores.items() if score is not None and score.mean}
    for name, mean in means.items():
        if primary in means and max(mean, means[primary]) > OTHER_KIND * min(mean, means[primary]):
            yield (
                f"{reference.name} has {percent(means[primary])} % of {HEADLINE} on {primary} and {percent(mean)} %"
                f" on {name}: their images are of different kinds, and what is said of {primary} does not speak for"
                f" {name}."
            )


def fold_notes(primary: str, groups: Sequence[VariantRuns]) -> tuple[str, ...]:
    """Return on how many folds seeds validate, and what verdicts speak for then; nothing without folds."""
    folded = {group.folds: group for group in groups if group.folds}
    if not folded:
        return ()
    folds = max(folded)
    judged = len({run.seed % folds for group in groups if group.folds == folds for run in group.runs})
    told = (
        f"The seeds validate on {judged} of {folds} folds of the data, each on one, and train on the others: both"
        " training and the data differ from fold to fold."
    )
    if primary != "val":
        return (
            f"{told} Verdicts are given on {primary}, whose images all seeds share, and do not speak for new training"
            " images; `compare.split: val` judges over the folds.",
        )
    return (
        f"{told} Intervals over folds speak for new training images too, and allow for those that the folds share"
        " (Nadeau and Bengio 2003). What single images do to a difference is not told over folds, as no two folds share"
        " an image.",
    )


def _contract_notes(reference: str, groups: Sequence[VariantRuns]) -> Iterator[str]:
    base = next((group for group in groups if group.name == reference), None)
    for group in groups:
        if group.inner_conflicts:
            what = "; ".join(group.inner_conflicts)
            yield f"The seeds of '{group.name}' were not judged alike and are not averaged: {what}."
        if base is not None and (found := conflicts(group, base)):
            yield (
                f"'{group.name}' was not judged like the reference '{reference}', so no difference between the two is "
                f"given: {'; '.join(found)}."
            )
    if base is None:
        yield f"The reference '{reference}' is not among the variants of this plan: no differences are given."
    elif base.first is None:
        yield f"The reference '{reference}' has no finished run: no differences are given."


def _data_notes(groups: Sequence[VariantRuns]) -> Iterator[str]:
    """Yield what the data itself calls for: a taxonomy's warning, images left out."""
    for result in (result for group in groups for result in group.results.values()):
        for note in result.provenance.get("data_notes", ()):
            yield f"{note[:1].upper()}{note[1:]}."


def _environment_notes(groups: Sequence[VariantRuns]) -> Iterator[str]:
    """Yield which environment variables that change numbers differed between the runs, and which runs had what."""
    made = {
        f"{group.name}/seed{seed}": dict(result.provenance["environment"])
        for group in groups
        for seed, result in group.results.items()
        if "environment" in result.provenance  # older versions did not look
    }
    for name in sorted({name for environment in made.values() for name in environment}):
        runs: dict[str, list[str]] = {}
        for label, environment in made.items():
            runs.setdefault(environment.get(name, UNSET), []).append(label)
        if len(runs) > 1:
            told = [
                f"{value} in {name_some(labels, MOST_LABELS)}"
                for value, labels in sorted(runs.items(), key=lambda item: len(item[1]))
            ]
            yield (
                f"The environment variable {name}, which changes numbers, was not the same in all runs"
                f" ({'; '.join(told)}): differences between them may come from that."
            )


def _evaluated_notes(reference: str, variants: Sequence[VariantSummary]) -> Iterator[str]:
    """Yield which variants train nothing: their scores are those of given weights, and no recipe's."""
    for variant in (item for item in variants if item.evaluated_only):
        weights = f"the weights of {variant.starts_from}" if variant.starts_from else "the weights it was given"
        then = "the others are compared with these" if variant.name == reference else "no verdict on it is given"
        yield f"'{variant.name}' is evaluated only (0 epochs): it scores {weights}, untrained; {then}."


def _older_notes(groups: Sequence[VariantRuns], variants: Sequence[VariantSummary]) -> Iterator[str]:
    """Yield which results an older version of harness made, and what it did not keep."""
    for variant in variants:
        unjudged = [seed for seed in variant.seeds if seed.status == "unjudged"]
        for reason in dict.fromkeys(seed.reason for seed in unjudged):
            seeds = ", ".join(str(seed.seed) for seed in unjudged if seed.reason == reason)
            yield f"'{variant.name}' with seed {seeds} is not judged: {reason}."
    for group in groups:
        starts = [bool(result.start_counts) for result in group.results.values()]
        if group.runs[0].start and not group.is_evaluated_only and not all(starts):
            yield (
                f"'{group.name}' was trained by an older version of harness, which kept no counts of its start: what "
                "its own training did to that is not told."
            )


def _memory_notes(variants: Sequence[VariantSummary]) -> Iterator[str]:
    """Yield which runs had less memory than a batch needs, and were trained in another way than they were set to."""
    for variant in variants:
        if texts := [text for seed in variant.seeds if (text := _describe_micro_batch(seed))]:
            yield (
                f"Memory ran out in runs of '{variant.name}', which went on with their batches in pieces, the "
                f"gradients added up ({'; '.join(texts)}): BatchNorm, dropout and losses over a whole batch saw the "
                "pieces, and differences from runs with whole batches may come from that."
            )


def _unlabelled_notes(variants: Sequence[VariantSummary]) -> Iterator[str]:
    """Yield which runs had training steps that counted no pixel."""
    for variant in variants:
        sums = ((seed.seed, sum(e.metrics.get(UNLABELLED_STEPS) or 0 for e in seed.epochs)) for seed in variant.seeds)
        if told := [f"seed {seed}: {count:g}" for seed, count in sums if count]:
            yield (
                f"Training of '{variant.name}' had batches without a pixel that has a class ({', '.join(told)}): their"
                " loss moved no weight. Ignored labels, or crops that hold nothing else, make them."
            )


def _describe_micro_batch(seed: SeedResult) -> str:
    """Return from which epoch on a run used micro-batches, and of how many images; nothing where it used none."""
    noted = ((item.epoch, item.metrics.get(IMAGES_AT_ONCE["train"])) for item in seed.epochs)
    sizes = [(epoch, images) for epoch, images in noted if images is not None]
    if not sizes:
        return ""
    return f"seed {seed.seed} from epoch {sizes[0][0]} on, in the end {sizes[-1][1]:g} images at once"


def _absence_notes(variants: Sequence[VariantSummary]) -> Iterator[str]:
    """Yield which runs have no result; those that are finished and not judged are told of elsewhere."""
    runs = [(variant, seed) for variant in variants for seed in variant.seeds]
    absent = [
        f"{variant.name}/seed{seed.seed} ({'not run yet' if seed.status == 'missing' else seed.status})"
        for variant, seed in runs
        if seed.status not in ("finished", "unjudged")
    ]
    if absent and len(absent) == len(runs):
        yield f"None of the {len(runs)} runs has finished: there are no scores yet."
    elif absent:
        yield (
            f"{len(absent)} of {len(runs)} runs {'has' if len(absent) == 1 else 'have'} no result: {', '.join(absent)}."
            " Means are over the seeds that finished; differences are over the seeds that both variants have."
        )


def _shared_notes(variants: Sequence[VariantSummary]) -> Iterator[str]:
    for place, variant in enumerate(variants):
        # Told once for all that share runs: by the first of them.
        if variant.same_runs_as and all(other.name not in variant.same_runs_as for other in variants[:place]):
            yield (
                f"'{variant.name}' and {', '.join(repr(name) for name in variant.same_runs_as)} have runs in common "
                "(same settings, data and start): these were computed once and appear under each name."
            )


def make_facts(plan: Plan, results: Mapping[str, RunResult]) -> tuple[Fact, ...]:
    """Return one fact for each dotted key and distinct value of the runs' provenance, sorted by key."""
    stated = {run.label: flat_texts(results[run.id].provenance) for run in plan.runs if run.id in results}
    stated = {label: facts for label, facts in stated.items() if facts}
    holders: dict[tuple[str, str], list[str]] = {}
    for label, facts in stated.items():
        for key, value in facts.items():
            if not key.startswith(TOLD_ELSEWHERE):
                holders.setdefault((key, _short(value)), []).append(label)
    return tuple(
        Fact(key=key, value=value, runs=() if len(labels) == len(stated) else tuple(labels))
        for (key, value), labels in sorted(holders.items())
    )


def _short(text: str) -> str:
    if len(text) <= LONGEST_FACT and "\n" not in text:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{len(text)} characters, SHA-256 {digest}..., in the run's provenance.json"
