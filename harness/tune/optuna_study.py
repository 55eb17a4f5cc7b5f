"""Searches in Optuna: no other file knows it.

Optuna's database is the book of a search: a trial is entered, whole, before it is trained, and its end when it is over.
Values are drawn in a copy of the book by a sampler that is seeded with (seed, number of the trial) and knows nothing
but the book, so a search in pieces draws what it draws in one go.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna import Study, distributions, pruners, samplers
from optuna.distributions import BaseDistribution as Distribution
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import Trial as LiveTrial
from optuna.trial import TrialState as State
from sqlalchemy.exc import SQLAlchemyError

from harness.errors import HarnessError, describe, first_line
from harness.fingerprint import digest_bytes
from harness.randomness import derive, make_rng
from harness.spec.space import SearchParameter, Values, walk
from harness.spec.tuning import Importance, Trial, TrialState, Tuning
from harness.strict_yaml.located import Node

GROUPS = "groups:"
"""Begins the names of a trial's user attributes that hold the scores of the groups of images; the epoch ends them."""
PRUNED_AT = "pruned_at"
"""User attribute of a trial: the epoch after which it is to be pruned."""
DRAWN, TOLD = "sha256_drawn", "sha256_told"
"""User attributes of a trial: checksums of its values, and of what came of it."""
STATES: Mapping[TrialState, State] = {"finished": State.COMPLETE, "pruned": State.PRUNED, "failed": State.FAIL}
WILCOXON_P = 0.1
TOP, FEWEST, RESAMPLES = 0.25, 10, 200
"""Of importance: the share of trials that count as the best; the finished trials below which it is not measured; how
often the trials are resampled for its interval."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna silent, and turn what its database raises into one line for the user. Decorates functions too."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
            raise HarnessError(f"the search's database cannot be used: {first_line(error)[:300]}") from error


class Search:
    """The search for one variant's settings, in the database at `url` under `name`; made there if it is new.

    Any method may raise HarnessError when the database cannot be used.
    """

    @_quiet()
    def __init__(self, url: str, name: str, tuning: Tuning, epochs: int) -> None:
        self.name = name
        self._tuning = tuning
        self._pruner = _make_pruner(tuning, epochs)
        self._storage = optuna.storages.RDBStorage(url)
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            directions=["maximize"] * len(tuning.objectives),
            pruner=self._pruner,
            load_if_exists=True,
        )

    @_quiet()
    def trials(self) -> tuple[Trial, ...]:
        """Return all trials, by number."""
        return tuple(map(_to_trial, self._known()))

    def _known(self) -> list[FrozenTrial]:
        """Return all trials as the book has them.

        Raises:
            HarnessError: one is not as it was entered.
        """
        try:
            known = self._study.get_trials(deepcopy=False)
            damaged = [f"trial {frozen.number} is not as it was entered" for frozen in known if not _is_whole(frozen)]
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged database makes Optuna raise errors of any kind
            damaged = [describe(error)[:300]]
        if damaged:
            raise HarnessError(
                f"the search's database is damaged ({self.name}: {damaged[0]}); put a whole copy of it back, or remove"
                " it: the search is then made again, and runs that are finished are not trained again"
            )
        return known

    @_quiet()
    def draw(self, tree: Node, knobs: Sequence[SearchParameter], first: Values | None) -> tuple[Node, FrozenTrial]:
        """Draw the next trial, which is not in the book yet; return settings with its values, and the trial.

        `first` are the values of the very first one.
        """
        known = self._known()
        copy = self._copy(map(_as_finished, known) if self._tuning.settings.sampler == "gp" else known)
        copy.sampler = _make_sampler(self._tuning, len(known))
        if first is not None and not known:
            copy.enqueue_trial(dict(first))
        drawn = copy.ask()

        def suggest(knob: SearchParameter, _: Node) -> float | str:
            if knob.kind == "choice":
                return str(drawn.suggest_categorical(knob.key, knob.labels))
            if knob.kind == "int":
                return drawn.suggest_int(knob.key, int(knob.low), int(knob.high), step=knob.step)
            return drawn.suggest_float(knob.key, knob.low, knob.high, log=knob.kind == "log_uniform")

        changed, _ = walk(tree, knobs, suggest)
        return changed, copy.trials[-1]

    @_quiet()
    def begin(self, drawn: FrozenTrial, run_id: str) -> Trial:
        """Enter a drawn trial into the book as running, in one transaction."""
        frozen = create_trial(
            state=State.RUNNING,
            params=drawn.params,
            distributions=drawn.distributions,
            system_attrs=drawn.system_attrs,
            user_attrs={"run_id": run_id, "host": os.uname().nodename, DRAWN: _digest(run_id, drawn.params)},
        )
        self._study.add_trial(frozen)
        return next(trial for trial in reversed(self.trials()) if trial.run_id == run_id)

    @_quiet()
    def should_prune(self, number: int, epoch: int, value: float, groups: Mapping[str, float]) -> bool:
        """Enter an epoch's score, and those of its groups, and tell whether the trial should end here.

        Asked again, it answers the same and an epoch keeps its first score: pruners note on a trial what they have
        decided of it, so they are asked in a copy of the book, and a yes is entered before their notes.
        """
        before = self._known()[number]
        live = LiveTrial(self._study, before._trial_id)
        if self._tuning.settings.pruner == "wilcoxon":
            live.report(value, epoch)
            live.set_user_attr(f"{GROUPS}{epoch}", dict(groups))
            return self._is_behind(epoch, groups)
        copy = self._copy(self._known())
        asked = LiveTrial(copy, copy.trials[number]._trial_id)
        asked.report(value, epoch)
        prune = asked.should_prune() or before.user_attrs.get(PRUNED_AT) == epoch
        if prune:
            live.set_user_attr(PRUNED_AT, epoch)
        live.report(value, epoch)
        for key, note in copy.trials[number].system_attrs.items():
            if key not in before.system_attrs:
                self._storage.set_trial_system_attr(before._trial_id, key, note)
        return prune

    @_quiet()
    def end(self, number: int, state: TrialState, scores: Sequence[float] = (), **facts: Any) -> Trial:
        """Enter how a trial ended: `excess` over each bound, `seconds` and `reason` are the facts."""
        live = LiveTrial(self._study, self._known()[number]._trial_id)
        for bound, excess in facts.pop("excess", {}).items():
            live.set_constraint(bound, excess)
        for key, value in facts.items():
            live.set_user_attr(key, value)
        before = self._known()[number]
        live.set_user_attr(TOLD, _digest([float(score) for score in scores], before.intermediate_values))
        self._study.tell(number, list(scores) or None, state=STATES[state], skip_if_finished=True)
        return _to_trial(self._known()[number])

    def _copy(self, trials: Iterable[FrozenTrial]) -> Study:
        """Return the search with these trials in memory; its name decides the brackets of hyperband."""
        copy = optuna.create_study(study_name=self.name, directions=self._study.directions, pruner=self._pruner)
        copy.add_trials(trials)
        return copy

    def _is_behind(self, epoch: int, groups: Mapping[str, float]) -> bool:
        """Compare a trial's groups with those of the best trial at the same epoch (Wilcoxon's signed-rank test)."""
        ended = [t for t in self._known() if t.state == State.COMPLETE]
        if len(ended) < max(self._tuning.settings.startup, 1):
            return False
        # The best trial at the nearest epoch that it has seen; the first of equals, so that the answer does not depend
        # on order.
        best = max(ended, key=lambda trial: (trial.value, -trial.number))
        by_epoch = {int(key.removeprefix(GROUPS)): v for key, v in best.user_attrs.items() if key.startswith(GROUPS)}
        then = by_epoch[max((e for e in by_epoch if e <= epoch), default=min(by_epoch))]
        names = sorted(groups.keys() & then.keys())
        if not names:
            return False
        # Optuna pairs intermediate values by step: groups of images take the place of steps.
        then_G, now_G = ({place: side[name] for place, name in enumerate(names)} for side in (then, groups))
        view = self._copy([])
        view.add_trial(create_trial(value=float(np.mean([*then_G.values()])), intermediate_values=then_G))
        current = create_trial(state=State.RUNNING, intermediate_values=now_G)
        return pruners.WilcoxonPruner(p_threshold=WILCOXON_P).prune(view, current)


def _digest(*told: object) -> str:
    """Return a checksum of what is told of a trial: values, or mappings."""
    plain = [sorted(item.items()) if isinstance(item, Mapping) else item for item in told]
    return digest_bytes([repr(plain).encode()])


def _is_whole(frozen: FrozenTrial) -> bool:
    """Tell whether a trial is as it was entered, as far as its checksums tell: older ones have none."""
    entered = frozen.user_attrs
    drawn = _digest(entered.get("run_id"), frozen.params)
    told = _digest(frozen.values or [], frozen.intermediate_values)
    ended = frozen.state.name in ("COMPLETE", "FAIL")  # of a pruned one Optuna makes the last epoch's score its value
    return entered.get(DRAWN, drawn) == drawn and not (ended and entered.get(TOLD, told) != told)


def _as_finished(frozen: FrozenTrial) -> FrozenTrial:
    """Return a pruned trial as one that ended with its last score: the Gaussian process passes pruned ones over, and
    would propose the same values again and again.
    """
    if frozen.state != State.PRUNED or frozen.last_step is None:
        return frozen
    last = frozen.intermediate_values[frozen.last_step]
    return create_trial(state=State.COMPLETE, value=last, params=frozen.params, distributions=frozen.distributions)


def _to_trial(frozen: FrozenTrial) -> Trial:
    state: TrialState = next((name for name, value in STATES.items() if value == frozen.state), "running")
    attributes = frozen.user_attrs
    return Trial(
        number=frozen.number,
        state=state,
        values=dict(frozen.params),
        run_id=attributes.get("run_id", ""),
        scores=tuple(frozen.values or ()) if state == "finished" else (),
        excess=dict(frozen.constraints),
        epochs=dict(sorted(frozen.intermediate_values.items())),
        seconds=attributes.get("seconds", 0.0),
        reason=attributes.get("reason", ""),
        host=attributes.get("host", ""),
    )


def _make_sampler(tuning: Tuning, number: int) -> samplers.BaseSampler:
    seed, startup = derive(tuning.settings.seed, "trial", number) % 2**32, tuning.settings.startup
    match tuning.settings.sampler:
        case "random":
            return samplers.RandomSampler(seed=seed)
        case "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "cmaes":
            return samplers.CmaEsSampler(seed=seed, n_startup_trials=startup, consider_pruned_trials=True)
        case "tpe":
            conditional = any(knob.when for knob in tuning.knobs)
            return samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, group=conditional)


def _make_pruner(tuning: Tuning, epochs: int) -> pruners.BasePruner:
    if tuning.settings.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=tuning.settings.startup)
    if tuning.settings.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=max(epochs, 1), reduction_factor=3)
    return pruners.NopPruner()


@_quiet()
def measure_importance(
    knobs: Sequence[SearchParameter], trials: Sequence[Trial], objectives: Sequence[str]
) -> tuple[Importance, ...]:
    """Return each setting's importance for each objective, the largest first; none with few finished trials.

    PED-ANOVA (Watanabe et al. 2023; for conditional settings arXiv 2601.20800) of finished trials; the interval is that
    of a percentile bootstrap over trials.
    """
    ended = [trial for trial in trials if trial.state == "finished"]
    if len(ended) < FEWEST:
        return ()
    spaces = {knob.key: _distribution(knob) for knob in knobs}
    keys = [key for key in spaces if any(key in trial.values for trial in ended)]
    found: list[Importance] = []
    for place, objective in enumerate(objectives):
        measured = _shares(ended, spaces, place)
        rng = make_rng("importance", len(ended))
        # Trials are drawn again with replacement: how much the shares depend on which trials happened to run.
        resampled = (rng.integers(len(ended), size=len(ended)) for _ in range(RESAMPLES))
        drawn = [_shares([ended[index] for index in indices], spaces, place) for indices in resampled]
        ends = [np.quantile([shares.get(key, 0.0) for shares in drawn], [0.025, 0.975]).tolist() for key in keys]
        of_one = [Importance(objective, key, measured.get(key, 0.0), *end) for key, end in zip(keys, ends, strict=True)]
        found += sorted(of_one, key=lambda item: -item.share)
    return tuple(found)


def _shares(trials: Sequence[Trial], spaces: Mapping[str, Distribution], objective: int) -> dict[str, float]:
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        used = {key: spaces[key] for key in trial.values}
        study.add_trial(create_trial(value=trial.scores[objective], params=dict(trial.values), distributions=used))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _distribution(knob: SearchParameter) -> Distribution:
    if knob.kind == "choice":
        return distributions.CategoricalDistribution(knob.labels)
    if knob.kind == "int":
        return distributions.IntDistribution(int(knob.low), int(knob.high), step=knob.step)
    return distributions.FloatDistribution(knob.low, knob.high, log=knob.kind == "log_uniform")
