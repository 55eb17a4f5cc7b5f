"""In how many respects two variants of a plan differ, and whether the plan holds the steps between them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache
from math import isclose

from harness.records import SEVERAL, SINGLE, Plan, Run, RunConfig
from harness.spec.designs import FRACTIONAL
from harness.spec.overrides import overlap
from harness.spec.plan import settings_tree, tree_differences
from harness.spec.resolve import WEIGHTS, auto_normalize


class Comparisons:
    """The variants of one plan, compared pair by pair. Each stands for its first run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.reference = plan.reference
        first = {run.variant: run for run in reversed(plan.runs)}
        self.runs = {name: first[name] for name in plan.variants}
        self._trees = {name: settings_tree(run.config) for name, run in self.runs.items()}
        configs = {name: run.config for name, run in self.runs.items()}
        self._steps = {name: steps_per_image(config, config.train.epochs) for name, config in configs.items()}
        self._warmup = {name: steps_per_image(config, config.schedule.warmup) for name, config in configs.items()}
        self._automatic = {  # whose inputs are normalised as `auto` would have it
            name: run.config.data.normalize == auto_normalize(first_weights(run).values())
            for name, run in self.runs.items()
        }
        self.factors = cache(self._factors)
        self._searches: dict[tuple[str, bool], _Search] = {}

    def _factors(self, one: str, other: str) -> tuple[str, ...]:
        """Return what two variants differ in: components first, then parts, terms, and settings of train and evaluate.

        All that a component sets counts once, and so does a part with all its settings. What `data.normalize: auto`
        made of another model belongs to the model, and epochs that keep the number of steps (of the whole run, of its
        warm-up) to what they make up for.
        """
        here, there = self.runs[one], self.runs[other]
        changed = tree_differences(self._trees[other], self._trees[one])
        # What a component sets is its own doing: it counts once, and its keys are no factors beside it.
        changed_components = []
        for name, keys in self._plan.component_keys.items():
            if here.components.get(name) != there.components.get(name):
                explained = {key for key in changed if any(overlap(key, own) for own in keys)}
                changed_components += [(name, explained)] if explained else []
        rest = set(changed).difference(*(explained for _, explained in changed_components))
        # What only follows from another factor is none of its own.
        automatic = self._automatic[one] and self._automatic[other]
        if automatic and "data.normalize" in rest and here.config.model != there.config.model:
            rest.discard("data.normalize")
        if isclose(self._steps[one], self._steps[other]):
            rest.discard("train.epochs")
        if isclose(self._warmup[one], self._warmup[other]):
            rest.discard("schedule.warmup")
        parts = (_part_of(key) for key in changed if key in rest)
        return tuple(dict.fromkeys([*(name for name, _ in changed_components), *parts]))

    def steps(self, first: str, last: str, *, alike: bool = False) -> tuple[str, ...]:
        """Return the shortest way between two variants on which each differs from the one before in one factor at most.

        Empty where there is none. With `alike`, all on it begin with the same weights, which otherwise do not count.
        """
        # Breadth first, so that the first way found is a shortest one. The search is kept and goes on where it stopped:
        # the lint asks for many ways from the same variant, and each pair costs a comparison of all settings.
        search = self._searches.setdefault(
            (first, alike), _Search({first: first}, deque([first]), set(self.runs) - {first})
        )
        while search.waiting and last not in search.came_from:
            here = search.waiting.popleft()
            near = [name for name in self.runs if name in search.unreached and self._is_step(here, name, alike)]
            search.came_from.update(dict.fromkeys(near, here))
            search.waiting.extend(near)
            search.unreached.difference_update(near)
        if last not in search.came_from:
            return ()
        way = [last]
        while way[-1] != first:
            way.append(search.came_from[way[-1]])
        return tuple(reversed(way))

    def _is_step(self, here: str, name: str, alike: bool) -> bool:
        starts_apart = self.runs[here].start != self.runs[name].start
        return not (alike and starts_apart) and len(self._factors(name, here)) <= 1


@dataclass(frozen=True)
class _Search:
    """How far the variants that steps lead to are known, nearest first; it goes on from question to question."""

    came_from: dict[str, str]
    waiting: deque[str]
    unreached: set[str]


def isolated(plan: Plan, family: str) -> frozenset[str]:
    """Return the components whose effect a family's combinations give: two differ in it alone, or it is a fraction's,
    in which the others balance out.
    """
    made = plan.combinations(family)
    fraction = plan.combinations(family, FRACTIONAL)
    return frozenset(name for on in made for name in on if on - {name} in made).union(*fraction)


def first_weights(run: Run) -> dict[str, str]:
    """Return the settings of a run's model that say which weights it begins with, without asking what the part takes.

    A place on disk is known by its digest among the run's inputs.
    """
    settings = run.config.model.settings.items()
    return {name: value for name, value in settings if name in WEIGHTS or f"model.{name}" in run.inputs}


def steps_per_image(config: RunConfig, epochs: float) -> float:
    """Return the steps of the optimizer in some epochs for each image that the data set has for training."""
    return epochs * config.data.fraction / (config.train.batch_size * config.train.accumulate)


def _part_of(key: str) -> str:
    section, _, below = key.partition(".")
    if section in SINGLE:
        return section
    if section in SEVERAL:
        return f"{section}.{below.partition('.')[0]}" if below else f"the order of {section}"
    return key
