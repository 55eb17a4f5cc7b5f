"""A forecast is made of real steps; its arithmetic is worked by hand."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest
from tiny_study import TINY

from harness import api
from harness.execute.probe import EPOCHS, _span, measure, shorten
from harness.records import Machine, Start


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(textwrap.dedent(TINY))
    return api.make_plan(api.load_spec(path)).runs


def test_the_span_of_two_chains_side_by_side(runs):
    """Parents take 2 s and 3 s, children 5 s and 1 s: the first chain ends after 7 s, the second after 4 s."""
    seconds = dict(zip([run.id for run in runs], [2.0, 3.0, 5.0, 1.0], strict=True))
    assert _span(runs, seconds, 2) == 7.0
    assert _span(runs, seconds, 1) == 11.0
    assert _span(runs, seconds, 9) == 7.0


def test_a_run_waits_for_the_one_it_starts_from(runs):
    first, second = runs[0], replace(runs[1], start=Start(runs[0].id, "best"))
    assert _span([first, second], {first.id: 2.0, second.id: 1.0}, 2) == 3.0


def test_longer_runs_cost_more_time_and_no_more_memory(runs):
    """Each with its own measurement: a hundred times the epochs is far beyond what noise can hide."""
    run = runs[0]
    long = replace(run, config=replace(run.config, train=run.config.train.model_copy(update={"epochs": 300})))
    short_cost, long_cost = measure(run, Machine()), measure(long, Machine())
    assert long_cost.seconds > 10 * short_cost.seconds > 0
    assert long_cost.kept_bytes == pytest.approx(short_cost.kept_bytes, rel=0.2)
    assert short_cost.memory_bytes > 50 * 2**20


def test_ashortened_bench_is_the_same_bench_with_fewer_images(runs):
    from harness.train.setup import build_setup

    setup = build_setup(runs[0].config, Machine(), start=None)
    short = shorten(setup)
    assert short.state.network is setup.state.network
    assert short.config.train.epochs == EPOCHS
    assert {name: len(split) for name, split in short.data.splits.items()} == {"train": 12, "val": 6, "test": 3}
    assert (short.data.splits["val"].pair(5)[0] == setup.data.splits["val"].pair(5)[0]).all()


def test_epochs_are_chosen_on_the_images_held_out_for_it(runs):
    config = runs[0].config
    held = replace(config, evaluate=config.evaluate.model_copy(update={"select_split": "held_out"}))
    cost = measure(replace(runs[0], config=held), Machine())
    assert cost.seconds > 0
    assert cost.kept_bytes == pytest.approx(measure(runs[0], Machine()).kept_bytes, rel=0.3)
