"""Simulated studies made into others: a family of components, and variants in two label sets."""

from dataclasses import replace

from harness.report.study.common_labels import merge_counts

SKILLS = {"all": 0.72, "none": 0.6, "only-crop": 0.63, "only-dice": 0.68}
ON = {"all": {"crop", "dice"}, "none": set(), "only-crop": {"crop"}, "only-dice": {"dice"}}
GREEN = (0, 0, 0, 0, 1, 1, 1, 1, 2, 3)
"""Plants, things, ground, sky: the ten classes in four."""
MERGED = ("plants", "things", "ground", "sky")
IDS = [(100 * k, k) for k in range(10)]


def as_family(study, design):
    runs = tuple(
        replace(
            run,
            family="all",
            design=design,
            components={name: name in ON[run.variant] for name in ("crop", "dice")},
        )
        for run in study.plan.runs
    )
    return replace(study, plan=replace(study.plan, runs=runs, reference="none"))


def with_taxonomies(study, coarse_variant="b", class_of=True):
    results = {}
    for run in study.plan.runs:
        result = study.results[run.id]
        contract = {**result.contract, "taxonomy": "ten", **({"class_of": IDS} if class_of else {})}
        if run.variant == coarse_variant:
            counts = {split: merge_counts(c, GREEN, MERGED) for split, c in result.counts.items()}
            contract |= {"taxonomy": "four", **({"class_of": [(raw, GREEN[k]) for raw, k in IDS]} if class_of else {})}
            result = replace(result, counts=counts, last_counts={}, colours=result.colours[:4])
        results[run.id] = replace(result, contract=contract)
    return results
