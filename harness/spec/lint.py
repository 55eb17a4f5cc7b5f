"""What a plan cannot answer, said before anything is trained: concerns, what would resolve them, at what price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isclose

from harness.errors import join_words
from harness.records import Concern, Plan, Run
from harness.spec.designs import TOGETHER, combine
from harness.spec.factors import Comparisons, first_weights, isolated, steps_per_image
from harness.spec.lint_power import few_folds, few_seeds, small_margin, weak_splits

CODES = (
    *("normalization", "confounded", "budget", "continued", "batch_norm"),
    *("one_seed", "few_seeds", "few_folds", "judged_on_test", "few_groups", "margin", "same_images", "stepwise"),
)
"""Most serious first: what makes a comparison wrong, what makes it weak, and what the plan's own runs divide."""


def lint(
    plan: Plan, *, groups: Mapping[str, Sequence[int]] | None = None, seconds: Mapping[str, float] | None = None
) -> tuple[Concern, ...]:
    """Return what is wrong with a study as planned, most serious first. Asks the plan alone, no part and no data.

    `groups` is the size in images of each independent group of each split that is evaluated (`val`, `test`); without
    it nothing is said about the splits. `seconds` is how long a run of a variant takes, as far as it is known.
    """
    compared = Comparisons(plan)
    found = [
        *_unfit_inputs(plan),
        *_confounded(plan, compared, seconds or {}),
        *_unequal_budgets(plan, compared),
        *_continued(plan),
        *_single_images(plan),
        *few_seeds(plan, seconds or {}),
        *few_folds(plan),
        *small_margin(plan),
        *(weak_splits(plan, groups) if groups is not None else ()),
    ]
    return tuple(sorted(found, key=lambda concern: CODES.index(concern.code)))


def _unfit_inputs(plan: Plan) -> Iterator[Concern]:
    others = [run for run in plan.runs if run.start is None and run.config.data.normalize != "imagenet"]
    if wrong := [run for run in others if _has_known_weights(run)]:
        names = tuple(dict.fromkeys(run.variant for run in wrong))
        given = " and ".join(dict.fromkeys(run.config.data.normalize for run in wrong))
        yield Concern(
            "normalization",
            names,
            f"{join_words(names)} {_verb(names, 'begins', 'begin')} with weights that were trained on images normalised"
            f" with ImageNet's mean and deviation, and {_verb(names, 'sees', 'see')} others (data.normalize: {given}):"
            " part of what the weights know is lost",
            "write data.normalize: auto",
        )


def _has_known_weights(run: Run) -> bool:
    """Tell whether a run begins with weights that harness knows; what a user's file was trained on, nobody knows."""
    return any(value != "none" and f"model.{name}" not in run.inputs for name, value in first_weights(run).items())


def _confounded(plan: Plan, compared: Comparisons, seconds: Mapping[str, float]) -> Iterator[Concern]:
    told: set[frozenset[str]] = set()
    for family, names in _families(plan).items():
        divided = isolated(plan, family) if compared.runs[names[0]].design else frozenset()
        for other in _compared_with(compared, names[0]):
            # One concern for a family, that of its combination which differs most: a design has thousands.
            variant = max(names, key=lambda name: len(compared.factors(name, other)))
            factors = compared.factors(variant, other)
            pair = frozenset({variant, other})
            if len(factors) < 2 or pair in told or (divided and _is_divided(compared, variant, other, divided)):
                continue
            told.add(pair)
            words = "components" if plan.component_keys.keys() >= set(factors) else "factors"
            steps = _steps_in_plan(compared, variant, other)
            yield Concern(
                "stepwise" if steps else "confounded",
                (variant, other),
                f"{variant} differs from {other} in {len(factors)} {words} ({', '.join(factors)}): its delta cannot be"
                " attributed to any one of them",
                steps or _way_out(plan, compared, variant, other, seconds),
            )


def _is_divided(compared: Comparisons, variant: str, other: str, divided: frozenset[str]) -> bool:
    """Tell whether a family's design divides the difference between one of its combinations and another variant, or
    the part of it that lies beyond what the combinations were written as a change of.
    """
    between = compared.runs[variant].settings_from or other
    beyond = divided.issuperset(compared.factors(variant, between)) and bool(compared.steps(other, between))
    return beyond or divided.issuperset(compared.factors(variant, other)) or bool(compared.steps(other, variant))


def _steps_in_plan(compared: Comparisons, variant: str, other: str) -> str:
    """Return how the runs of the plan itself divide the difference between two variants; empty where they do not."""
    between = compared.runs[variant].settings_from
    if between and between != other and len(compared.factors(variant, between)) == 1:
        return f"set it against {between}, from which it differs in {compared.factors(variant, between)[0]} alone"
    way = compared.steps(other, variant, alike=True)
    return f"read it in steps of one factor: {' -> '.join(way)}" if way else ""


def _way_out(plan: Plan, compared: Comparisons, variant: str, other: str, seconds: Mapping[str, float]) -> str:
    """Return what to run so that the difference between two variants can be divided, with its price."""
    between = compared.runs[variant].settings_from
    way = compared.steps(other, between) if between and between != other else ()
    if way and compared.steps(other, between, alike=True) == way:
        return f"divide its difference from {between}; up to there the plan has the steps: {' -> '.join(way)}"
    if way:
        return f"divide its difference from {between}; up to there the weights that they begin with differ too"
    return _design_for(plan, variant, compared.factors(variant, other), seconds)


def _compared_with(compared: Comparisons, variant: str) -> tuple[str, ...]:
    """Return the variants that a family's results are set against: the reference, and what its settings change."""
    others = dict.fromkeys([compared.reference, compared.runs[variant].settings_from])
    return tuple(name for name in others if name in compared.runs and name != variant)


def _design_for(plan: Plan, variant: str, factors: Sequence[str], seconds: Mapping[str, float]) -> str:
    """Return the cheapest design that divides a difference among its factors, with its price."""
    run = next(run for run in plan.runs if run.variant == variant)
    outside = frozenset(name for name in factors if name not in plan.component_keys)
    planned = plan.combinations(run.family) if set(run.design) - {TOGETHER} else [frozenset(factors)]
    present = {on | outside for on in planned}
    prices = {design: len(combine([design], factors).keys() - present) for design in ("leave_one_out", "add_one_in")}
    design = min(prices, key=lambda name: prices[name])
    named = [name for name in factors if name in outside]
    first = f"{join_words(named)} as {'components' if len(named) > 1 else 'a component'} and " if named else ""
    return f"in {run.family or variant} write {first}design: {design}: {_price(plan, variant, prices[design], seconds)}"


def _price(plan: Plan, variant: str, more: int, seconds: Mapping[str, float]) -> str:
    runs = more * len({run.seed for run in plan.runs})
    hours = f", about {runs * seconds[variant] / 3600:.1f} hours one after the other" if variant in seconds else ""
    return f"{more} more {'variant' if more == 1 else 'variants'}, {runs} {'run' if runs == 1 else 'runs'}{hours}"


def _unequal_budgets(plan: Plan, compared: Comparisons) -> Iterator[Concern]:
    unequal: dict[tuple[str, str], list[str]] = {}
    for name, run in compared.runs.items():
        for other in _compared_with(compared, name):
            words = _budget_words(run, compared.runs[other])
            if words and compared.factors(name, other) != ("train.epochs",):
                unequal.setdefault((other, words), []).append(name)
    for (other, words), names in unequal.items():
        yield Concern(
            "budget",
            (*names, other),
            f"{join_words(names)} {_verb(names, 'takes', 'take')} {words} {other}: a difference may be the training's"
            " length alone",
            f"make the steps equal by train.epochs, or add a variant like {other} with as many",
        )


def _budget_words(run: Run, other: Run) -> str:
    here, there = run.config, other.config
    if here.data.name == there.data.name:
        steps = [steps_per_image(config, config.train.epochs) for config in (here, there)]
        share = steps[0] / steps[1] if there.train.epochs else 1.0
        return "" if isclose(share, 1) else f"{share:.3g} times as many steps of the optimizer as"
    if here.train.epochs == there.train.epochs:
        return ""
    return f"{here.train.epochs} epochs, not the {there.train.epochs} of"


def _continued(plan: Plan) -> Iterator[Concern]:
    by_id = {run.id: run for run in plan.runs}
    total: dict[str, int] = {}
    for run in plan.runs:
        chain = [run]
        while (start := chain[-1].start) is not None and start.run_id in by_id:
            chain.append(by_id[start.run_id])
        total[run.variant] = sum(item.config.train.epochs for item in chain)
    expected = total.get(plan.reference)
    names = tuple(name for name in plan.variants if expected is not None and total[name] != expected)
    warm = {run.variant for run in plan.runs if run.start is not None}
    if warm.intersection([*names, plan.reference]) and names:
        families = {run.family or run.variant: total[run.variant] for run in plan.runs if run.variant in names}
        words = ", ".join(f"{family} {epochs}" for family, epochs in families.items())
        yield Concern(
            "continued",
            names,
            f"counted with the runs that they start from, these train up to another number of epochs than the reference"
            f" {plan.reference} ({expected}): {words}; a difference from it may be the training's length alone",
            "compare with a variant that starts from the same weights and changes nothing: `from` alone",
        )


def _single_images(plan: Plan) -> Iterator[Concern]:
    names = tuple(dict.fromkeys(run.variant for run in plan.runs if run.config.train.batch_size == 1))
    if names:
        yield Concern(
            "batch_norm",
            names,
            f"{join_words(names)} {_verb(names, 'trains', 'train')} on one image a step: a model with BatchNorm, as"
            " most have, normalises each image by itself while it trains, and by running averages of such images when"
            " it is judged",
            "raise train.batch_size to 2 at least (train.accumulate does not help)",
        )


def _families(plan: Plan) -> dict[str, tuple[str, ...]]:
    members: dict[str, dict[str, None]] = {}
    for run in plan.runs:
        members.setdefault(run.family or run.variant, {})[run.variant] = None
    return {name: tuple(variants) for name, variants in members.items()}


def _verb(names: Sequence[str], one: str, several: str) -> str:
    return one if len(names) == 1 else several
