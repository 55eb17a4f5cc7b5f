"""Every number of an attribution as it is reported: that of the statistics, judged in its family at its look."""

import pytest
from judged_splits import judged_of

from harness.records import Plan, Run
from harness.report.study.attribution import make_attributions
from harness.stats.attribution import attribute
from harness.stats.looks import LookHistory, LookSchedule, TakenLook
from harness.stats.margins import HEADLINE
from harness.stats.verdicts import holm

ON = {"none": "", "crop": "c", "dice": "d", "all": "cd"}
TAKEN = TakenLook({name: {0: "", 1: ""} for name in ON}, is_whole=False)
MEANS = {"none": 500, "crop": 560, "dice": 520, "all": 640}


def make_parts(means, looks, *, family="all", design=("factorial", "again"), apart=1):
    """Return what is reported of the variants with these IoUs in 1/1000, and what the statistics say of them."""
    offsets = {name: apart * offset for name, offset in zip(means, (3, -3, 2, -2), strict=False)}
    judged = judged_of({name: {seed: mean + seed * offsets[name] for seed in range(3)} for name, mean in means.items()})
    runs = tuple(
        Run(
            f"{name}{seed}",
            name,
            seed,
            config=None,
            inputs={},
            components={"crop": "c" in on, "dice": "d" in on},
            family=family,
            design=design,
        )
        for name, on in ON.items()
        for seed in range(3)
    )
    plan = Plan("s", "?", "none", 0.0, runs)
    there = {on: name for on, name in plan.combinations(family).items() if name in means}
    made = attribute(judged.study, there, HEADLINE) if len(there) > 1 else None
    return make_attributions(plan, [judged], looks), made


def told(name, effect, p_adjusted=None):
    """Return what a part says of an effect; it is judged where there is a p-value of its family."""
    called = "improved" if effect.delta > 0 else "regressed"
    return {
        "name": name,
        "delta": effect.delta,
        "low": effect.low,
        "high": effect.high,
        "p": effect.p,
        "p_adjusted": None if p_adjusted is None else pytest.approx(p_adjusted),
        "called": None,
        "outcome": None if p_adjusted is None else called if p_adjusted <= 0.05 else "undecided",
        "seeds": 3,
        "groups": 6,
    }


def told_together(named, look):
    p_adjusted = holm([look.adjusted(effect.p) for _, effect in named])
    return [told(name, effect, p) for (name, effect), p in zip(named, p_adjusted, strict=True)]


def dumped(parts):
    return [part.model_dump() for part in parts]


@pytest.mark.parametrize(("taken", "look"), [((), LookHistory((3,))), ((TAKEN,), LookHistory((2, 3)))])
def test_all_of_a_factorial(taken, look):
    (found,), made = make_parts(MEANS, LookSchedule((), taken))
    assert (found.family, found.split, found.designs, found.combinations) == ("all", "test", ("factorial", "again"), 4)
    assert found.total.model_dump() == told("all components", made.total)
    assert dumped(found.main) == told_together(made.main.items(), look)
    assert dumped(found.interactions) == told_together([("crop x dice", made.interactions["crop", "dice"])], look)
    assert dumped(found.shapley) == [told(name, effect) for name, effect in made.shapley.items()]
    assert dict(found.aliases) == made.aliases == {"crop": (), "dice": ()}
    sides = [(name, side) for name, item in made.brackets.items() for side in (item.few, item.many)]
    assert dumped(side for item in found.brackets for side in (item.few, item.many)) == told_together(sides, look)
    assert [(item.few_on, item.many_on) for item in found.brackets] == [((), ("dice",)), ((), ("crop",))]
    opened = made.brackets["crop"].interaction  # both components' interaction is the same test, and counts once
    expected = [told(name, opened, look.adjusted(opened.p)) for name in ("crop", "dice")]
    assert dumped(item.interaction for item in found.brackets) == expected
    assert {part.outcome for part in found.main} == {"improved"}


def test_two_combinations_are_enough_and_one_is_not():
    (found,), made = make_parts({"none": 500, "crop": 560}, LookSchedule())
    assert (found.combinations, found.brackets[0].interaction) == (2, None)
    assert dumped([found.brackets[0].few]) == told_together([("crop", made.brackets["crop"].few)], LookHistory((3,)))
    (found,), _ = make_parts({"crop": 560, "dice": 520}, LookSchedule())
    assert (found.total, found.brackets, found.main) == (None, (), ())
    assert make_parts({"none": 500}, LookSchedule())[0] == ()
    assert make_parts(MEANS, LookSchedule(), family="")[0] == make_parts(MEANS, LookSchedule(), design=())[0] == ()


def test_what_differs_nowhere_is_undecided():
    (found,), made = make_parts(dict.fromkeys(MEANS, 500), LookSchedule(), apart=0)
    assert all(effect.is_nothing for effect in made.main.values())
    assert {part.outcome for part in found.main} == {"undecided"}
