"""A simulated study, made one over folds."""

from dataclasses import replace


def fold_up(study, folds):
    """Return the study as if each seed's val were a fold of its own, whose images no other fold has."""
    runs, results = [], {}
    for run in study.plan.runs:
        fold = run.seed % folds
        runs.append(replace(run, config=replace(run.config, data=run.config.data.with_settings(folds=folds))))
        result = study.results[run.id]
        named = {kind: _rename(getattr(result, kind), fold) for kind in ("counts", "last_counts", "start_counts")}
        splits = {**result.contract["splits"], "val": f"fold {fold}"}
        results[run.id] = replace(result, **named, contract={**result.contract, "splits": splits})
    return replace(study.plan, runs=tuple(runs)), results


def _rename(counts, fold):
    def on_fold(found):
        images, groups = ([f"fold{fold}/{name}" for name in names] for names in (found.images, found.groups))
        return replace(found, images=tuple(images), groups=tuple(groups))

    return {split: on_fold(found) if split == "val" else found for split, found in counts.items()}
