"""RUN -> a chosen run: the name a person gives to what an ablation ended with, and all that is needed to use it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from harness.apply.recorded_run import import_recorded, read_config, read_taxonomy
from harness.data.taxonomy import Colour, Taxonomy
from harness.errors import InputError, did_you_mean
from harness.judged import INHERITED, counts_at, is_inherited, last_epoch
from harness.records import Counts, Run, RunConfig, RunResult, Which
from harness.runs.folder import RunFolder, is_finished, load_result, require_model_file, run_folder
from harness.tracking.load import find_plan
from harness.tracking.mlflow_client import MODELS
from harness.tracking.protocol import Store, StoreError

FORMS = (
    "STUDY/VARIANT@best, STUDY/VARIANT@last, STUDY/VARIANT/seed1@best, a run id (of MLflow or of harness), "
    "models:/NAME/1, models:/NAME@ALIAS"
)
_NAMED = re.compile(r"(?P<study>[^/]+)/(?P<variant>[^/]+?)(/seed(?P<seed>\d+))?")


@dataclass(frozen=True)
class ChosenRun:
    """A finished run of which one checkpoint is used."""

    run_id: str
    study: str
    """Study, variant and seed by which it was found; empty, and None, where only its folder is known."""
    variant: str
    seed: int | None
    which: Which
    folder: RunFolder
    weights: Path
    """The checkpoint: the plain model's state dict."""
    config: RunConfig
    taxonomy: Taxonomy
    result: RunResult
    note: str
    """How it was chosen among several, and which plugins are others than the run's; empty where neither is so."""

    @property
    def label(self) -> str:
        """Return `<study>/<variant>/seed<k>@best`; the run's id in place of the names where these are not known."""
        name = f"{self.study}/{self.variant}/seed{self.seed}" if self.study else self.run_id
        return f"{name}@{self.which}"

    @property
    def counts(self) -> Mapping[str, Counts]:
        """Return the counts of the checkpoint by split; none where an older version of harness kept none of it."""
        return counts_at(self.result, self.which)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes' names, in the order of their indices."""
        return self.taxonomy.classes

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Return each class's colour, red green blue."""
        return self.taxonomy.colours


@dataclass(frozen=True)
class _Found:
    """Which run is meant."""

    run_id: str
    study: str = ""
    variant: str = ""
    seed: int | None = None
    note: str = ""


def choose(text: str, store: Store) -> ChosenRun:
    """Return the run that a text means (`FORMS`); brings its files into its folder here where they are elsewhere.

    Without a seed it is the seed whose checkpoint has the highest score on the images that select epochs, the first of
    equals; `@best` may be left out. Neither the data set nor torch is needed.

    Raises:
        InputError: no run is meant by it, or the run is not finished or damaged; the message says what there is.
        StoreError: the tracking store cannot be asked.
    """
    name, which = _split_which(text)
    named = None if name.startswith(MODELS) else _NAMED.fullmatch(name)
    found = _find_named(text, named, which, store) if named else _find_by_id(text, name, store)
    folder = run_folder(store.root, found.run_id)
    if not is_finished(folder) and found.study:
        store.fetch(found.run_id, found.study, folder)
    result = load_result(folder)
    if result is not None and which == "best" and is_inherited(result):
        raise InputError(f"{text}: the weights of its best epoch are not its own: {INHERITED}; or use @last")
    if result is None or result.status != "finished":
        raise InputError(
            f"{text}: run {found.run_id} is not finished ({_became(result)}); only finished runs can be used"
        )
    require_model_file(folder, folder.config)
    weights = _find_weights(text, folder, which)
    differing = import_recorded(folder, result)
    return ChosenRun(
        **vars(found) | {"note": "; ".join(filter(None, [found.note, differing]))},
        which=which,
        folder=folder,
        weights=weights,
        config=read_config(folder.config),
        taxonomy=read_taxonomy(result),
        result=result,
    )


def _split_which(text: str) -> tuple[str, Which]:
    if text.startswith(MODELS):
        return text, "best"
    name, at, which = text.partition("@")
    if not at or which == "best":
        return name, "best"
    if which == "last":
        return name, "last"
    raise InputError(f"{text}: '@{which}' is no checkpoint; {did_you_mean(which, get_args(Which))}")


def _find_named(text: str, named: re.Match[str], which: Which, store: Store) -> _Found:
    study, variant = named["study"], named["variant"]
    plan = find_plan(store, study)
    if plan is None:
        raise InputError(
            f"{text}: the store of {store.root.absolute()} has no study '{study}'; "
            f"{did_you_mean(study, store.studies())}"
        )
    runs = [run for run in plan.runs if run.variant == variant]
    if not runs:
        raise InputError(f"{text}: study '{study}' has no variant '{variant}'; {did_you_mean(variant, plan.variants)}")
    if named["seed"]:
        seeds = [str(run.seed) for run in runs]
        if named["seed"] not in seeds:
            raise InputError(f"{text}: variant '{variant}' has no seed {named['seed']}; known: {', '.join(seeds)}")
        run, note = runs[seeds.index(named["seed"])], ""
    else:
        run, note = _pick_seed(text, runs, which, study, store)
    return _Found(run.id, study, variant, run.seed, note)


def _pick_seed(text: str, runs: Sequence[Run], which: Which, study: str, store: Store) -> tuple[Run, str]:
    """Return the run of the seed with the highest selection score, and a note that says so."""
    here = {run.id: load_result(run_folder(store.root, run.id)) for run in runs}
    results = [here[run.id] or store.load_results(study, [run.id]).get(run.id) for run in runs]
    found = [(run, item) for run, item in zip(runs, results, strict=True) if item and item.status == "finished"]
    # @best of a run that never beat its start is the start's weights: such a seed is taken where there is no other.
    finished = [pair for pair in found if which == "last" or not is_inherited(pair[1])] or found
    if not finished:
        became = "; ".join(f"seed {run.seed}: {_became(item)}" for run, item in zip(runs, results, strict=True))
        raise InputError(f"{text}: no run of it is finished ({became}); harness run trains it")
    key = f"val/{runs[0].config.evaluate.select_on}"
    scores = [_selection_score(item, which, key) for _, item in finished]
    best = max(range(len(finished)), key=lambda place: scores[place])
    run = finished[best][0]
    if len(runs) == 1:
        return run, ""
    if len(finished) == 1:
        return run, f"seed {run.seed} is used: the others are not finished"
    seeds = ", ".join(str(item.seed) for item, _ in finished)
    note = f"seed {run.seed} is used: of the finished seeds {seeds} its {which} epoch has the highest {key}"
    return run, f"{note} ({scores[best]:.4f})"


def _selection_score(result: RunResult, which: Which, key: str) -> float:
    epoch = result.best_epoch if which == "best" else last_epoch(result)
    score = next(item.metrics[key] for item in result.history if item.epoch == epoch)
    return -math.inf if math.isnan(score) else score


def _find_by_id(text: str, name: str, store: Store) -> _Found:
    if not re.fullmatch(r"[\w-]+", name) and not name.startswith(MODELS):
        raise InputError(f"{text}: this names no run; a run is {FORMS}")
    is_here = is_finished(run_folder(store.root, name)) if "/" not in name else False
    tags: Any = None
    with suppress(StoreError) if is_here else nullcontext():  # of a run here its names alone are missing
        tags = store.find(name)
    if tags is not None:
        return _Found(tags["harness.id"], tags["harness.study"], tags["harness.variant"], int(tags["harness.seed"]))
    if is_here:
        return _Found(name)
    raise InputError(f"{text}: neither the store nor {store.root.absolute()} has such a run; a run is {FORMS}")


def _find_weights(text: str, folder: RunFolder, which: Which) -> Path:
    weights = folder.weights(which)
    if weights.exists():
        require_model_file(folder, weights)
        return weights
    if which == "last":
        raise InputError(
            f"{text}: {weights} is not there: last weights are kept where compare.epoch is last or a variant starts "
            "from them; use @best, or write that, remove the folder of the run, and run it again"
        )
    raise InputError(f"{text}: the weights {weights} are gone; remove the folder {folder.path}, and run this again")


def _became(result: RunResult | None) -> str:
    if result is None:
        return "not run yet"
    return f"{result.status}: {result.reason}" if result.reason else result.status
