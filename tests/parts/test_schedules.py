"""Contract of every schedule in the catalog, and torch's schedulers as oracles."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped_names

from harness import registry
from harness.parts.schedules import with_warmup

EPOCHS = 20
SCHEDULES = shipped_names("schedule")


def build(name: str, epochs: int = EPOCHS, **options):
    return registry.build("schedule", registry.choose("schedule", name, options), epochs=epochs)


def torch_factors(make) -> list[float]:
    """Return a torch scheduler's learning rate in each epoch, for a base rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
@given(
    position=st.floats(0, 2 * EPOCHS),
    scores=st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=2 * EPOCHS),
)
def test_factors_are_fractions(name, position, scores):
    assert 0 <= build(name)(position, scores) <= 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_training_begins_with_the_rate_that_is_set(name):
    assert build(name)(0.0, []) == 1
    assert with_warmup(build(name), 0.0, 0.0)(0.0, []) == 1


@pytest.mark.parametrize("name", ["poly", "cosine"])
def test_decay_ends_at_zero_and_never_rises(name):
    factors = [build(name)(EPOCHS * k / 100, []) for k in range(101)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_of_no_epochs_has_a_schedule(name):
    build(name, epochs=0)


@pytest.mark.parametrize(
    ("name", "options", "oracle"),
    [
        ("poly", {"power": 0.9}, lambda o: torch.optim.lr_scheduler.PolynomialLR(o, EPOCHS, power=0.9)),
        ("cosine", {}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, EPOCHS)),
        ("step", {"every": 3, "gamma": 0.5}, lambda o: torch.optim.lr_scheduler.StepLR(o, 3, gamma=0.5)),
        ("constant", {}, lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: 1.0)),
    ],
)
def test_whole_epochs_are_those_of_torch(name, options, oracle):
    schedule = build(name, **options)
    assert [schedule(epoch, []) for epoch in range(EPOCHS)] == pytest.approx(torch_factors(oracle), abs=1e-9)


SCORES = st.lists(st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3]), st.just(math.nan)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(scores=SCORES, patience=st.integers(0, 3), threshold=st.sampled_from([0.0, 0.05, 0.1]))
def test_plateau_is_torchs_rule(scores, patience, threshold):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max", factor=0.5, patience=patience, threshold=threshold, threshold_mode="abs", eps=0
    )
    schedule = build("plateau", patience=patience, factor=0.5, threshold=threshold)
    for done in range(len(scores)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            oracle.step(scores[done])
        assert schedule(done + 1, scores[: done + 1]) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_plateau_by_hand():
    schedule = build("plateau", patience=1, factor=0.1, threshold=0.0)
    scores = [0.3, 0.3, 0.2, 0.4, 0.4, 0.4]
    factors = [schedule(done, scores[:done]) for done in range(7)]
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])


def test_warmup_by_hand():
    schedule = with_warmup(build("constant"), 2.0, 0.0)
    assert [schedule(position, []) for position in (0, 0.5, 1, 2, 3)] == [0, 0.25, 0.5, 1, 1]


def test_warmup_scales_the_schedule_and_does_not_shift_it():
    plain, warmed = build("cosine"), with_warmup(build("cosine"), 4.0, 0.0)
    assert warmed(1.0, []) == pytest.approx(plain(1.0, []) / 4)
    assert warmed(7.5, []) == plain(7.5, [])


@given(position=st.floats(0, EPOCHS), warmup=st.floats(0, 5), floor=st.floats(0, 1))
def test_the_floor_holds_everywhere(position, warmup, floor):
    assert floor <= with_warmup(build("poly"), warmup, floor)(position, []) <= 1


def test_scores_reach_the_schedule_through_warmup():
    schedule = with_warmup(build("plateau", patience=0, factor=0.5), 1.0, 0.0)
    assert schedule(3.0, [0.5, 0.5]) == 0.5
