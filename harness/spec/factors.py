"""In how many respects two variants of a plan differ, and whether the plan holds the steps between them."""

from __future__ import annotations

from functools import cache
from math import isclose

from harness.records import SEVERAL, SINGLE, Plan, RunConfig
from harness.spec.designs import FRACTIONAL
from harness.spec.overlay import overlap
from harness.spec.plan import differences
from harness.spec.resolve import auto_normalize


class Comparisons:
    """The variants of one plan, compared pair by pair. Each stands for its first run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.runs = {name: next(run for run in plan.runs if run.variant == name) for name in plan.variants}
        self.factors = cache(self._factors)

    def _factors(self, one: str, other: str) -> tuple[str, ...]:
        """Return what two variants differ in: components first, then parts, terms, and settings of train and evaluate.

        All that a component sets counts once, and so does a part with all its settings. What `data.normalize: auto`
        made of another model belongs to the model, and epochs that keep the number of steps to what they make up for.
        """
        here, there = self.runs[one], self.runs[other]
        changed = differences(there.config, here.config)
        changed_components = []
        for name, keys in self._plan.component_keys.items():
            explained = {key for key in changed if any(overlap(key, own) for own in keys)}
            if here.components.get(name) != there.components.get(name) and explained:
                changed_components.append((name, explained))
        rest = set(changed).difference(*(explained for _, explained in changed_components))
        automatic = all(run.config.data["normalize"] == auto_normalize(run.config.model) for run in (here, there))
        if automatic and here.config.model != there.config.model:
            rest.discard("data.normalize")
        if isclose(steps_per_image(here.config), steps_per_image(there.config)):
            rest.discard("train.epochs")
        names = [name for name, _ in changed_components]
        return tuple(dict.fromkeys([*names, *(_part_of(key) for key in changed if key in rest)]))

    def steps(self, first: str, last: str) -> tuple[str, ...]:
        """Return the shortest way between two variants on which each differs from the one before in one factor at most.

        Empty where there is none.
        """
        came_from: dict[str, str] = {first: first}
        waiting = [first]
        while waiting and last not in came_from:
            here = waiting.pop(0)
            near = [name for name in self.runs if name not in came_from and len(self.factors(name, here)) <= 1]
            came_from |= dict.fromkeys(near, here)
            waiting += near
        if last not in came_from:
            return ()
        way = [last]
        while way[-1] != first:
            way.append(came_from[way[-1]])
        return tuple(reversed(way))


def isolated(plan: Plan, family: str) -> frozenset[str]:
    """Return the components whose effect a family's combinations give: two differ in it alone, or it is a fraction's,
    in which the others balance out.
    """
    made = plan.combinations(family)
    fraction = plan.combinations(family, FRACTIONAL)
    return frozenset(name for on in made for name in on if on - {name} in made).union(*fraction)


def steps_per_image(config: RunConfig) -> float:
    """Return the steps of the optimizer in a whole run for each image that the data set has for training."""
    share: float = config.data["fraction"]
    return config.train.epochs * share / (config.train.batch_size * config.train.accumulate)


def _part_of(key: str) -> str:
    section, _, below = key.partition(".")
    if section in SINGLE:
        return section
    if section in SEVERAL:
        return f"{section}.{below.partition('.')[0]}" if below else f"the order of {section}"
    return key
