"""Seeds added look by look: that a study which does so is recorded, resumed and told in words.

Studies are real but for the training: counts come from known rates, so an obvious effect and none are what they are.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from open_claims import claim
from tiny_study import harness_here

from harness import api
from harness.counts import make_counts
from harness.errors import InputError
from harness.execute.budget import Budget
from harness.execute.events import Ended, Started
from harness.execute.until_decided import count_seeds, first_plan
from harness.files import write_text
from harness.records import Progress, Run, RunResult
from harness.report.study.claims import EarlierCall
from harness.report.study.summary import summarise
from harness.report.study.until_decided import look_line, next_line, savings_sentence, until_sentences
from harness.runs.folder import save_result, write_progress
from harness.runs.looks import looks_folder, read_looks
from harness.tracking.protocol import StoreError


def test_words_of_what_was_called_before():
    then = EarlierCall(seeds=(0, 1, 2), delta=0.02, low=0.01, high=0.03, agrees=False)
    found = claim("b", outcome="improved", seeds=5).model_copy(update={"called": then})
    assert until_sentences([found], [False]) == (
        "Decided: b improved against a (look 1, 3 seeds; the interval of all 5 seeds no longer excludes 0).",
    )
    past = claim("b", chance=None, reason="no look left")
    assert look_line(past, goes_on=False).endswith("no more seeds: no look left")


def test_words_of_the_limit_that_ended_it():
    stopped = claim("b", chance=0.08)
    told = "10 seeds would decide it with a probability of about 8 %"
    number = len(stopped.seeds)
    assert look_line(stopped, goes_on=False, limit=number).endswith(f": --max-seeds {number} is reached, {told}")
    assert f": --max-seeds {number} is reached, {told})" in until_sentences([stopped], [False], number)[1]
    assert look_line(stopped, goes_on=False, limit=number + 1).endswith(f"no more seeds: even {told}")
    assert look_line(stopped, goes_on=False).endswith(f"no more seeds: even {told}")


def test_words_of_a_look_and_of_the_end():
    found = claim("b", outcome="improved")
    assert look_line(found, goes_on=False) == "b improved against a: +1.0 (\N{MINUS SIGN}1.0 to +3.0)"
    hidden = claim("b", reason="only before correction")
    assert look_line(hidden, goes_on=True) == (
        "b against a: undecided, +1.0 (\N{MINUS SIGN}1.0 to +3.0), not enough at this look among 2 comparisons"
    )
    assert next_line([found, hidden, claim("c", against="d")], [False, True, True], 5) == (
        "next look at 5 seeds, for a, b, d, c"
    )
    assert next_line([found], [False], 5) == ""
    stopped, last = claim("c", chance=0.02), claim("d", chance=None)
    told = look_line(stopped, goes_on=False)
    assert told.endswith("no more seeds: even 10 seeds would decide it with a probability of about 2 %")
    assert until_sentences([found, stopped, last], [False] * 3) == (
        "Decided: b improved against a (look 1, 3 seeds).",
        "Undecided: c against a (look 1, 3 seeds: even 10 seeds would decide it with a probability of about 2 %);"
        " d against a (look 1, 3 seeds: this was the last look).",
    )


SPEC = """\
study: grown
question: Is what certainly helps found at once, and does chance stay undecided?
base:
  data: {name: desert, size: [32, 32], train_images: 4, val_images: 4, test_images: 2}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 1.0e-3}
  train: {epochs: 1}
variants:
  plain: {}
  better: {set: {optimizer.lr: 2.0e-3}}
  same: {set: {optimizer.lr: 3.0e-3}}
seeds: [4, 2]
compare: {reference: plain, margin: 0.001, looks: [3, 4, 6], split: val}
"""
RATES = {"plain": 0.6, "better": 0.75, "same": 0.6}
CONTRACT = {"version": 1, "splits": {"val": "a" * 64}, "size": "native", "taxonomy": "desert"}


def make_result(run: Run, rate: float) -> RunResult:
    generator = np.random.default_rng([run.seed, len(run.variant)])
    level = rate + generator.normal(0, 0.01)
    confusions = []
    for _ in range(24):
        hit_C = generator.binomial(1000, np.clip(level + generator.normal(0, 0.02, 2), 0, 1))
        confusions.append(np.array([[hit_C[0], 1000 - hit_C[0]], [1000 - hit_C[1], hit_C[1]]]))
    names = [f"image{index}" for index in range(24)]
    metrics = {"val/loss": 1.0, "val/miou_dataset": level, "train/loss": 1.0}
    return RunResult(
        run_id=run.id,
        status="finished",
        history=(Progress(1, 1, metrics, improved=True, time_ms=1_000),),
        best_epoch=1,
        counts={"val": make_counts(confusions, names, names, ["Sky", "Rocks"])},
        contract=CONTRACT,
    )


class Bench:
    """Where a study grows, with an executor that counts what it is given and may be cut short."""

    def __init__(self, place, root="mlruns", spec=SPEC):
        (place / "grown.yaml").write_text(spec)
        self.spec = api.load_spec(place / "grown.yaml")
        self.store = api.open_store(place / root, f"sqlite:///{place}/shared.db")
        self.trained: list[str] = []
        self.cut_after = 99
        self.rate = lambda run: RATES[run.variant]

    def execute(self, runs, folders):
        for run in runs:
            yield Started(run)
            if len(self.trained) == self.cut_after:
                raise KeyboardInterrupt
            result = make_result(run, self.rate(run))
            write_progress(folders[run.id], result.history)
            write_text(folders[run.id].best, "weights")
            save_result(folders[run.id], result)
            self.trained.append(run.label)
            yield Ended(run, result)

    def means(self, budget=None):
        return api.ExecutionOptions(
            self.store, self.execute, budget or Budget(), lambda runs: nullcontext(lambda event: None), pytest.fail
        )

    def grow(self, budget=None):
        until = api.plan_until_decided(self.spec)
        return until, list(api.look_until_decided(until, self.means(budget)))

    @property
    def looks(self):
        return read_looks(looks_folder(self.store.root, "grown"))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def outcomes(report):
    return {
        c.headline.variant: (c.headline.outcome, c.headline.look, len(c.headline.seeds)) for c in report.comparisons
    }


def test_an_obvious_effect_ends_at_the_first_look_and_none_at_the_last(bench):
    until, looks = bench.grow()
    assert [max(count_seeds(looked.plan).values()) for looked, _ in looks] == [3, 4, 6]
    (last, report) = looks[-1]
    assert outcomes(report) == {"better": ("improved", 1, 3), "same": ("undecided", 3, 6)}
    assert count_seeds(last.plan) == {"plain": 6, "better": 3, "same": 6}
    assert [run.seed for run in last.plan.runs if run.variant == "same"] == [4, 2, 0, 1, 3, 5]
    assert savings_sentence(last.plan, until.whole, 6) == "This took 15 runs; 6 seeds everywhere are 18: 3 saved."
    assert last.plan.command == f"harness run {bench.spec.path} --until decided"
    assert len(bench.trained) == 15
    assert len(bench.looks) == 3


CHAIN = SPEC.replace("  better:", "  link: {from: better@best}\n  better:").replace("looks: [3, 4, 6]", "looks: [3, 5]")


def test_what_is_called_stays_called_when_others_bring_it_seeds(tmp_path):
    """`better` is far better with three seeds and far worse with two more, which `link` needs, that starts from it."""
    bench = Bench(tmp_path, spec=CHAIN)
    bench.rate = lambda run: 0.4 if run.variant == "better" and run.seed in (1, 3) else RATES.get(run.variant, 0.6)
    _, looks = bench.grow()
    last, report = looks[-1]
    assert count_seeds(last.plan)["better"] == count_seeds(last.plan)["link"] == 5
    (claim,) = [item.headline for item in report.comparisons if item.variant == "better"]
    assert (claim.outcome, claim.look, claim.called.seeds, len(claim.seeds)) == ("improved", 1, (0, 2, 4), 5)
    assert not claim.called.agrees
    assert claim.seeds == (0, 1, 2, 3, 4)


def test_the_second_time_nothing_is_trained_or_recorded(bench):
    _, first = bench.grow()
    recorded = bench.looks
    bench.trained.clear()
    _, second = bench.grow()
    assert bench.trained == []
    assert bench.looks == recorded
    assert [max(count_seeds(looked.plan).values()) for looked, _ in second] == [3, 4, 6]
    assert second[-1][1] == first[-1][1]


def test_cut_short_it_goes_on_to_the_same_end(bench, tmp_path):
    bench.cut_after = 10
    with pytest.raises(KeyboardInterrupt):
        bench.grow()
    assert len(bench.looks) == 1
    bench.cut_after = 99
    _, resumed = bench.grow()
    assert len(bench.trained) == len(set(bench.trained)) == 15
    (tmp_path / "other").mkdir()
    _, undisturbed = Bench(tmp_path / "other").grow()
    assert outcomes(resumed[-1][1]) == outcomes(undisturbed[-1][1])
    assert len(bench.looks) == 3


def test_another_machine_finds_the_looks_in_the_store(bench, tmp_path):
    _, looks = bench.grow()
    elsewhere = api.open_store(tmp_path / "elsewhere", bench.store.uri)
    plan, results = api.load_results("grown", store=elsewhere)
    report = summarise(plan, results, api.load_looks(plan, store=elsewhere))
    assert outcomes(report) == outcomes(looks[-1][1])
    assert outcomes(summarise(plan, results))["same"] == ("undecided", 1, 6)
    assert not (tmp_path / "elsewhere/studies").exists()
    fetched = Bench(tmp_path, root="elsewhere")
    fetched.grow()
    assert fetched.trained == []
    assert fetched.looks == bench.looks


def test_a_budget_records_no_look_and_counts_over_all_looks(bench):
    _, looks = bench.grow(Budget(runs=4))
    assert [looked.stopped for looked, _ in looks] == [True]
    assert bench.looks == ()
    _, looks = bench.grow(Budget(runs=6))
    assert [looked.stopped for looked, _ in looks] == [False, True]
    assert len(bench.trained) == 4 + 6
    assert len(bench.looks) == 1


def test_a_run_records_its_look_once_and_json_none(bench):
    plan = first_plan(api.plan_until_decided(bench.spec).whole, (3,))
    assert api.look_once(plan, bench.means(), record=False).taken == ()
    assert bench.looks == ()
    taken = api.look_once(plan, bench.means()).taken
    assert [sorted(look.common(("plain", "better"))) for look in taken] == [[0, 2, 4]]
    assert api.look_once(plan, bench.means()).taken == taken
    assert len(bench.looks) == 1


def test_a_store_that_fails_gets_the_look_the_next_time(bench, monkeypatch):
    plan, told = first_plan(api.plan_until_decided(bench.spec).whole, (3,)), []
    means = replace(bench.means(), warn=told.append)

    def fail(*_):
        raise StoreError("the tracking store fails: gone")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "load_looks", fail)
        api.look_once(plan, means)
    assert told == ["the tracking store fails: gone; looks at grown that were taken elsewhere are not counted"]
    assert bench.store.load_looks("grown") == ()
    api.look_once(plan, bench.means())
    assert bench.store.load_looks("grown") == bench.looks != ()


def test_nothing_to_decide_is_refused(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC[: SPEC.index("  better")] + "seeds: [0]\n")
    with pytest.raises(InputError, match=r"^--until decided: .*one variant, so there is nothing to decide"):
        api.plan_until_decided(api.load_spec(tmp_path / "spec.yaml"))


@pytest.mark.parametrize(
    ("looks", "most", "counts"), [("", None, (3, 4, 5)), ("", 7, (3, 4, 5, 6, 7)), (", looks: [3, 10]", None, (3, 10))]
)
def test_over_folds_seeds_are_added_until_every_fold_has_one(looks, most, counts, tmp_path):
    folded = SPEC.replace("test_images: 2}", "test_images: 2, folds: 5}").replace(", looks: [3, 4, 6]", looks)
    (tmp_path / "spec.yaml").write_text(folded)
    assert api.plan_until_decided(api.load_spec(tmp_path / "spec.yaml"), most).counts == counts


def test_over_folds_the_empty_ones_get_their_seeds_first(tmp_path):
    folded = SPEC.replace("test_images: 2}", "test_images: 2, folds: 5}").replace(", looks: [3, 4, 6]", "")
    (tmp_path / "spec.yaml").write_text(folded.replace("seeds: [4, 2]", "seeds: [0, 1, 7, 12]"))
    until = api.plan_until_decided(api.load_spec(tmp_path / "spec.yaml"))
    assert until.counts == (4, 5, 6)
    assert [run.seed for run in until.whole.runs if run.variant == "same"] == [0, 1, 7, 12, 3, 4]


@pytest.mark.slow
def test_the_program_as_its_user_runs_it(tmp_path):
    """Trained for real: what hardly learns is found at the first look, and the same command does nothing again."""
    spec = SPEC.replace("train: {epochs: 1}", "train: {epochs: 6, batch_size: 4}").replace("_images: 4", "_images: 24")
    spec = (
        spec.replace("lr: 1.0e-3", "lr: 1.0e-2").replace("lr: 2.0e-3", "lr: 1.0e-6").replace("lr: 3.0e-3", "lr: 1.1e-2")
    )
    (tmp_path / "grown.yaml").write_text(spec)
    done = run_grown(tmp_path, "--until", "decided", "--max-seeds", "4")
    assert done.returncode == 0, done.stderr
    assert "look at 3 seeds:\n  better regressed against plain: " in done.stderr
    assert done.stdout.startswith("Decided: better regressed against plain (look 1, 3 seeds)")
    assert "4 seeds everywhere are 12: " in done.stdout
    told = json.loads((tmp_path / "reports/grown/report.json").read_text())
    assert {item["headline"]["look"] for item in told["comparisons"] if item["variant"] == "better"} == {1}
    recorded = sorted((tmp_path / "mlruns/studies/grown/looks").iterdir())
    again = run_grown(tmp_path, "--until", "decided", "--max-seeds", "4")
    assert again.stdout == done.stdout
    assert "nothing to do" in again.stderr
    assert sorted((tmp_path / "mlruns/studies/grown/looks").iterdir()) == recorded
    for options, said in (
        (("--max-seeds", "4"), "--max-seeds is the end of"),
        (("--until", "decided", "--only", "same"), "--only chooses"),
    ):
        wrong = run_grown(tmp_path, *options)
        assert (wrong.returncode, said in wrong.stderr) == (2, True)


def run_grown(place, *options):
    return harness_here("run", "grown.yaml", *options, cwd=place)
