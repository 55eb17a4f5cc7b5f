"""Searches: what a spec may ask, how values are drawn, and that a search in pieces is the search in one go."""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
from dataclasses import replace
from typing import get_args

import optuna
import pytest
import scipy.stats
from toys import MINIMAL
from wrong_specs import HERE, top

from harness.errors import HarnessError, InputError
from harness.spec.conflicts import find_conflict
from harness.spec.load import load_spec
from harness.spec.space import with_values, written_values
from harness.spec.tuning import Bound, SamplerName, Trial, front, winner
from harness.tune.optuna_study import Search, _make_sampler, _quiet, measure_importance
from harness.tune.winners import SearchOutcome as Found
from harness.tune.winners import plan_finals, plan_trial, search_name, trial_seed

SPACE = """\
tune:
  space:
    model: {choice: [{name: toy_net}, {name: toy_tower}]}
    model.width: {int: [2, 11], step: 3, when: {model.name: toy_net}}
    optimizer.lr: {log_uniform: [1.0e-3, 1.0]}
    optimizer.momentum: {uniform: [0.0, 0.9]}
"""
NUMBERS = """\
tune:
  space:
    optimizer.lr: {log_uniform: [1.0e-3, 1.0]}
    optimizer.momentum: {uniform: [0.0, 0.9]}
"""


def load(write_spec, tune, text=MINIMAL):
    return load_spec(write_spec(text + tune))


def test_what_is_not_written_has_its_default(write_spec):
    tuning = load(write_spec, SPACE).tune
    how = tuning.settings
    assert (tuning.objectives, how.sampler, how.pruner, how.startup) == (("miou_dataset",), "tpe", "median", 10)
    assert (how.trials, how.hours, how.seed, how.judge_on, tuning.bounds) == (30, None, 0, "held_out", ())
    width = tuning.knobs[1]
    assert (width.low, width.high, width.step, width.when) == (2, 11, 3, {"model.name": ("toy_net",)})


SAMPLERS = get_args(SamplerName)


def test_every_sampler_is_its_own_and_is_tried(write_spec):
    told = "a sampler is a name in SamplerName (harness/spec/tuning.py), a case in _make_sampler"
    told += " (harness/tune/optuna_study.py), and a row in SETTINGS of tests/spec/test_search.py"
    tuning = load(write_spec, NUMBERS).tune
    with _quiet():  # Optuna says of some that they may change
        made = {
            name: type(_make_sampler(replace(tuning, settings=tuning.settings.model_copy(update={"sampler": name})), 0))
            for name in SAMPLERS
        }
    assert len(set(made.values())) == len(made), f"{made}: {told}"
    assert {sampler for sampler, _, _ in SETTINGS} == set(SAMPLERS), told


def tune(lines, space="optimizer.lr: {uniform: [0.1, 0.5]}"):
    return top("tune:\n  space:\n    " + space + "\n" + "\n".join(f"  {line}" for line in lines.splitlines()))


WRONG = {
    "no space": (top(f"tune: {HERE}{{trials: 3}}"), ["'space' is missing"]),
    "empty space": (top(f"tune:\n  space: {HERE}{{}}"), ["empty"]),
    "unknown key": (tune(f"{HERE}trial: 3"), ["trials"]),
    "unknown sampler": (
        tune(f"sampler: {HERE}bayes"),
        [f"{str(SAMPLERS[:-1])[1:-1]} or {SAMPLERS[-1]!r}"],
    ),
    "no trials": (tune(f"trials: {HERE}0"), ["greater than or equal to 1"]),
    "key that leads nowhere": (tune("", f"{HERE}optimiser.lr: {{uniform: [0.1, 0.5]}}"), ["did you mean 'optimizer'"]),
    "setting that is not there": (tune("", f"{HERE}optimizer.rate: {{uniform: [0.1, 0.5]}}"), ["no such setting"]),
    "end out of range": (tune("", f"optimizer.momentum: {{uniform: {HERE}[0.5, 1.5]}}"), ["1.5 was given"]),
    "upside down": (tune("", f"optimizer.lr: {{uniform: {HERE}[0.5, 0.1]}}"), ["lowest value first"]),
    "log of zero": (tune("", f"optimizer.lr: {{log_uniform: [{HERE}0, 0.1]}}"), ["greater than 0"]),
    "two kinds": (tune("", f"optimizer.lr: {HERE}{{uniform: [0.1, 0.2], choice: [0.1, 0.2]}}"), ["2 ways"]),
    "no kind": (tune("", f"optimizer.lr: {HERE}{{}}"), ["0 ways", "log_uniform, uniform, int, choice"]),
    "null": (tune("", f"optimizer.lr: {{uniform: {HERE}null}}"), ["null was given"]),
    "steps of a float": (tune("", f"optimizer.lr: {{uniform: [0.1, 0.5], {HERE}step: 2}}"), ["only int"]),
    "one choice": (tune("", f"model.width: {{choice: {HERE}[4]}}"), ["at least 2 items"]),
    "choice twice": (tune("", f"model.width: {{choice: {HERE}[4, 8, 4]}}"), ["written twice"]),
    "choice that does not work": (tune("", f"model.width: {{choice: [4, {HERE}wide]}}"), ['"wide" was given']),
    "undone": (
        tune(
            "", f"model.width: {{int: [2, 4]}}\n    {HERE}model: {{choice: [{{name: toy_net}}, {{name: toy_tower}}]}}"
        ),
        ["undoes model.width"],
    ),
    "not in every variant": (
        tune(
            "", f"model: {{choice: [{{name: toy_net}}, {{name: toy_tower}}]}}\n    {HERE}model.width: {{int: [2, 4]}}"
        ),
        ["no such setting"],
    ),
    "condition that never holds": (
        tune("", f"{HERE}optimizer.lr: {{uniform: [0.1, 0.5], when: {{model.width: 9}}}}".replace(HERE, "")),
        ["searched nowhere", "model.width: 9"],
    ),
    "unknown variant": (
        tune("", f"optimizer.lr: {{uniform: [0.1, 0.5], variants: {HERE}[plan]}}"),
        ["did you mean 'plain'"],
    ),
    "searching the judge": (tune("", f"{HERE}evaluate.size: {{choice: [native, input]}}"), ["what judges"]),
    "unknown objective": (tune(f"objective: {HERE}miou"), ["miou_dataset", "iou/<class>"]),
    "time as objective": (tune(f"objective: {HERE}run_seconds"), ["no measure"]),
    "objective twice": (tune(f"objective: {HERE}[miou_image, miou_image]\npruner: none"), ["different"]),
    "several objectives pruned": (
        tune(f"objective: [miou_image, pixel_accuracy]\npruner: {HERE}median"),
        ["several objectives cannot be pruned", "pruner: none"],
    ),
    "unknown constraint": (tune(f"constraints: {{{HERE}speed: {{at_least: 3}}}}"), ["images_per_s"]),
    "constraint without a bound": (tune(f"constraints: {{images_per_s: {HERE}{{}}}}"), ["at_least"]),
    "cmaes and choices": (tune(f"sampler: {HERE}cmaes", "model.width: {choice: [2, 4]}"), ["numbers alone"]),
    "wilcoxon of another score": (
        tune(f"objective: miou_image\npruner: {HERE}wilcoxon"),
        ["evaluate.select_on of plain", "miou_image"],
    ),
    "folds": (
        tune(f"judge_on: {HERE}held_out").replace("{name: toy_scenes}", "{name: toy_scenes, folds: 3}"),
        ["data.folds", "judge_on: val"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_searches_are_one_message_at_the_place(write_spec, name):
    marked, words = WRONG[name]
    text = marked.replace(HERE, "")
    path = write_spec(text)
    with pytest.raises(InputError) as caught:
        load_spec(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    if HERE in marked:
        before = marked[: marked.index(HERE)]
        place = f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: tune"
        assert message.startswith(place), message


def test_values_as_written_are_found_in_the_space(write_spec):
    spec = load(write_spec, SPACE)
    tree = spec.variants[0].tree
    expected = {"model": '{"name":"toy_net"}', "model.width": 8, "optimizer.lr": 0.1, "optimizer.momentum": 0.0}
    assert written_values(tree, spec.tune.knobs) == expected
    elsewhere = load(write_spec, SPACE.replace("[2, 11]", "[2, 7]"))
    assert written_values(elsewhere.variants[0].tree, elsewhere.tune.knobs) is None


def test_a_whole_part_is_found_whatever_is_searched_in_it(write_spec):
    space = SPACE.replace("{name: toy_net}, ", "{name: toy_net, width: 3}, ")
    spec = load(write_spec, space)
    assert written_values(spec.variants[0].tree, spec.tune.knobs)["model"] == '{"name":"toy_net","width":3}'


def open_search(spec, path=":memory:"):
    return Search(f"sqlite:///{path}", "toy/plain/1", spec.tune, epochs=9)


def score(values):
    """A smooth hill over lr and momentum, lower for the tower."""
    hill = -((math.log10(values["optimizer.lr"]) + 1.5) ** 2) - (values["optimizer.momentum"] - 0.6) ** 2
    return hill - 0.5 * ("tower" in str(values.get("model")))


def carry_out(search, spec, trials, first=None):
    """Run trials of the toy problem, each with three epochs that rise to its score."""
    knobs, tree = spec.tune.knobs, spec.variants[0].tree
    while len(search.trials()) < trials:
        changed, draft = search.draw(tree, knobs, first)
        assert changed == with_values(tree, knobs, draft.params)
        number = search.begin(draft, f"run{len(search.trials())}").number
        end(search, number, score(draft.params), spec)


def end(search, number, value, spec):
    for epoch in range(1, 4):
        several = len(spec.tune.objectives) > 1
        if not several and search.should_prune(number, epoch, value - 1 / epoch, {}):
            search.end(number, "pruned", reason=f"epoch {epoch}")
            return
    search.end(number, "finished", [value, -value][: len(spec.tune.objectives)], seconds=1.0)


SETTINGS = [
    ("tpe", "median", SPACE),
    ("tpe", "hyperband", SPACE),
    ("tpe", "none", SPACE + "  objective: [miou_dataset, pixel_accuracy]\n"),
    ("random", "none", NUMBERS),
    ("gp", "median", NUMBERS),
    ("cmaes", "median", NUMBERS),
]


@pytest.mark.parametrize(
    ("sampler", "pruner", "space"),
    [pytest.param(*row, marks=[pytest.mark.slow] if row[0] in ("gp", "cmaes") else []) for row in SETTINGS],
)
def test_in_pieces_it_is_the_search_in_one_go(write_spec, tmp_path, sampler, pruner, space):
    """A piece is a new connection with a new sampler; two of the pieces begin with a trial that was cut short."""
    spec = load(write_spec, f"{space}  sampler: {sampler}\n  pruner: {pruner}\n  startup: 3\n")
    whole = open_search(spec)
    carry_out(whole, spec, 11)
    for stop in (1, 4, 8, 11):
        piece = open_search(spec, tmp_path / "pieces.db")
        for trial in piece.trials():
            if trial.state == "running":
                end(piece, trial.number, score(trial.values), spec)
        carry_out(piece, spec, stop)
        if stop in (4, 8):
            _, draft = piece.draw(spec.variants[0].tree, spec.tune.knobs, None)
            cut_short = piece.begin(draft, f"run{stop}")
            if not len(spec.tune.objectives) > 1:
                piece.should_prune(cut_short.number, 1, score(draft.params) - 1, {})
    expected, found = whole.trials(), open_search(spec, tmp_path / "pieces.db").trials()
    assert [(t.number, t.state, t.values, t.scores, t.epochs) for t in found] == [
        (t.number, t.state, t.values, t.scores, t.epochs) for t in expected
    ]
    assert len({str(trial.values) for trial in found}) > 9


def test_conditions_hold_in_every_trial(write_spec):
    spec = load(write_spec, SPACE + "  startup: 3\n  pruner: none\n")
    search = open_search(spec)
    carry_out(search, spec, 12)
    kinds = {("toy_net" in trial.values["model"], "model.width" in trial.values) for trial in search.trials()}
    assert kinds == {(True, True), (False, False)}
    widths = {trial.values["model.width"] for trial in search.trials() if "model.width" in trial.values}
    assert widths <= {2, 5, 8, 11}


def test_the_first_trial_is_the_settings_as_written(write_spec):
    spec = load(write_spec, SPACE)
    written = written_values(spec.variants[0].tree, spec.tune.knobs)
    search = open_search(spec)
    carry_out(search, spec, 2, first=written)
    first, second = search.trials()
    assert first.values == written
    assert second.values != written


def test_optuna_itself_reads_the_search(write_spec, tmp_path):
    spec = load(write_spec, NUMBERS + "  startup: 2\n  constraints: {images_per_s: {at_least: 20}}\n")
    search = open_search(spec, tmp_path / "book.db")
    _, draft = search.draw(spec.variants[0].tree, spec.tune.knobs, None)
    search.begin(draft, "run0")
    search.should_prune(0, 1, 0.25, {})
    search.end(0, "finished", [0.5], excess={"images_per_s at least 20": 3.0}, seconds=1.5)
    study = optuna.load_study(study_name="toy/plain/1", storage=f"sqlite:///{tmp_path / 'book.db'}")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    (trial,) = study.trials
    assert (trial.state, trial.value) == (optuna.trial.TrialState.COMPLETE, 0.5)
    assert trial.params == draft.params
    assert trial.intermediate_values == {1: 0.25}
    assert trial.constraints == {"images_per_s at least 20": 3.0}
    assert trial.user_attrs["run_id"] == "run0"


def test_the_gaussian_process_learns_from_pruned_trials(write_spec):
    """Optuna's own passes them over, and proposes one and the same point until it is out of trials.

    Points are compared, with room between them, and not their scores: which corners of the space are tried hangs on
    the last bits of a processor's sums, and two corners may score alike.
    """
    spec = load(write_spec, f"{NUMBERS}  sampler: gp\n  startup: 4\n")
    search = open_search(spec)
    carry_out(search, spec, 14)
    trials = search.trials()
    assert any(trial.state == "pruned" for trial in trials)
    points = [(math.log10(trial.values["optimizer.lr"]) / 3, trial.values["optimizer.momentum"]) for trial in trials]
    assert min(math.dist(*pair) for pair in itertools.combinations(points, 2)) > 1e-3
    scores = [score(trial.values) for trial in trials]
    assert max(scores[4:]) > max(scores[:4])


def test_the_median_prunes_what_is_below_it(write_spec):
    spec = load(write_spec, NUMBERS + "  startup: 3\n")
    search = open_search(spec)
    for number, value in enumerate((0.3, 0.5, 0.4)):
        _, draft = search.draw(spec.variants[0].tree, spec.tune.knobs, None)
        search.begin(draft, f"run{number}")
        assert not search.should_prune(number, 1, value, {})  # startup: never pruned
        search.end(number, "finished", [value])
    _, draft = search.draw(spec.variants[0].tree, spec.tune.knobs, None)
    search.begin(draft, "run3")
    assert not search.should_prune(3, 1, 0.41, {})
    assert not search.should_prune(3, 1, 0.1, {})  # an epoch keeps its first score
    assert not search.should_prune(3, 2, 0.39, {})  # nobody else was there
    _, draft = search.draw(spec.variants[0].tree, spec.tune.knobs, None)
    search.begin(draft, "run4")
    assert search.should_prune(4, 1, 0.39, {})


def test_wilcoxon_prunes_what_is_behind_in_group_after_group(write_spec):
    spec = load(write_spec, NUMBERS + "  startup: 1\n  pruner: wilcoxon\n")
    search = open_search(spec)
    best = {f"drive{place}": 0.5 + 0.02 * place for place in range(8)}
    candidates = {
        "behind everywhere": {name: value - 0.05 - 0.001 * place for place, (name, value) in enumerate(best.items())},
        "ahead": {name: value + 0.05 for name, value in best.items()},
        "now ahead, now behind": {
            name: value + (0.03 if place % 2 else -0.029) for place, (name, value) in enumerate(best.items())
        },
    }
    _, draft = search.draw(spec.variants[0].tree, spec.tune.knobs, None)
    search.begin(draft, "run0")
    assert not search.should_prune(0, 1, 0.57, best)
    search.end(0, "finished", [0.57])
    for number, (name, groups) in enumerate(candidates.items(), 1):
        _, draft = search.draw(spec.variants[0].tree, spec.tune.knobs, None)
        search.begin(draft, f"run{number}")
        differences = [groups[drive] - best[drive] for drive in best]
        p = scipy.stats.wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue
        assert search.should_prune(number, 1, 0.5, groups) == (p < 0.1) == (name == "behind everywhere")
        search.end(number, "pruned")


def make_trials(rows, states=None):
    return [
        Trial(number, "finished" if scores else "failed", {"x": float(number)}, "run", tuple(scores), excess)
        for number, (scores, excess) in enumerate(rows)
    ]


def test_the_best_feasible_trial_wins_and_the_earliest_of_equals():
    over, within = {"images_per_s at least 20": 0.1}, {"images_per_s at least 20": 0.0}
    trials = make_trials([([0.4], within), ([0.9], over), ((), {}), ([0.6], within), ([0.6], within)])
    assert winner(trials).number == 3
    assert winner(trials[1:3]) is None


def test_of_several_objectives_the_nearest_to_the_best_of_each_wins():
    rows = [((0.9, 10.0), {}), ((0.8, 19.0), {}), ((0.5, 20.0), {}), ((0.7, 15.0), {})]
    trials = make_trials(rows)
    assert [trial.number for trial in front(trials)] == [0, 1, 2]
    # distances in units of the ranges 0.4 and 10: 1; sqrt(0.25² + 0.1²); 1
    assert winner(trials).number == 1


def test_bounds_say_by_how_much_they_are_broken():
    assert Bound("images_per_s", "at_least", 20).excess(15) == 5
    assert Bound("run_seconds", "at_most", 60).excess(45) == -15


def test_importance_finds_what_matters_and_says_how_sure_it_is(write_spec):
    spec = load(write_spec, NUMBERS)
    grid = itertools.product((0.001, 0.004, 0.016, 0.06, 0.25, 1.0), (0.05, 0.3, 0.55, 0.8))
    trials = [
        Trial(
            n, "finished", {"optimizer.lr": lr, "optimizer.momentum": m}, "", (-abs(math.log(lr / 0.016)) + 0.01 * m,)
        )
        for n, (lr, m) in enumerate(grid)
    ]
    lr, momentum = measure_importance(spec.tune.knobs, trials, spec.tune.objectives)
    assert (lr.key, momentum.key) == ("optimizer.lr", "optimizer.momentum")
    assert lr.share + momentum.share == pytest.approx(1)
    assert momentum.high < 0.5 < lr.low <= lr.share <= lr.high <= 1
    assert measure_importance(spec.tune.knobs, trials, spec.tune.objectives) == (lr, momentum)
    assert measure_importance(spec.tune.knobs, trials[:9], spec.tune.objectives) == ()


STUDY = MINIMAL.replace(
    "  plain: {}\n", "  plain: {}\n  child:\n    from: plain@best\n    set: {optimizer.lr: 0.2}\nseeds: [0, 4]\n"
)


def test_weights_that_a_variant_starts_from_must_fit_every_value(write_spec):
    with pytest.raises(
        InputError, match=r":17:5: tune\.space\.model\.choice: 'child' starts from weights that do not fit"
    ):
        load(write_spec, SPACE, STUDY)


def test_trials_and_finals_are_studies_of_their_own(write_spec):
    plain_only = SPACE.replace("model: {", "model: {variants: [plain], ").replace(
        "width: {", "width: {variants: [plain], "
    )
    spec = load(write_spec, plain_only, STUDY)
    child = spec.variants[1]
    values = {"optimizer.lr": 0.3, "optimizer.momentum": 0.5}
    knobs = spec.tune.knobs_of("child", "child")
    assert [knob.key for knob in knobs] == list(values)
    tree = with_values(child.tree, knobs, values)
    plan, runs = plan_trial(spec, child, lambda config: {"data": "d"}, number=7, tree=tree)
    assert (plan.study, plan.kind) == ("toy-trials", "tuning")
    assert [run.label for run in runs] == ["plain/seed5", "child.trial007/seed5"]
    assert trial_seed(spec) == 5
    assert runs[1].start.run_id == runs[0].id
    assert {run.config.evaluate.select_split for run in plan.runs} == {"held_out"}
    found = Found(child, knobs, None, (Trial(0, "finished", values, "", (0.5,)),), "child")
    finals = plan_finals(spec, [found], lambda config: {"data": "d"})
    assert finals.variants == ("plain", "child", "child-tuned")
    assert {run.seed for run in finals.runs} == {0, 4}
    tuned = next(run for run in finals.runs if run.variant == "child-tuned")
    assert tuned.changed == {"optimizer.lr": (0.2, 0.3), "optimizer.momentum": (0.0, 0.5)}
    assert not {run.id for run in finals.runs} & {run.id for run in plan.runs}


@pytest.mark.parametrize("choices", ["[none, reduce-overhead]", "[reduce-overhead, none]"])
def test_values_that_clash_are_one_trial_that_fails_and_not_the_end_of_the_search(write_spec, choices):
    space = f"train.compile: {{choice: {choices}}}\n    train.accumulate: {{choice: [1, 2]}}"
    spec = load(write_spec, f"tune:\n  space:\n    {space}\n")
    values = {"train.compile": "reduce-overhead", "train.accumulate": 2}
    plain = spec.variants[0]
    tree = with_values(plain.tree, spec.tune.knobs, values)
    _, runs = plan_trial(spec, plain, lambda config: {"data": "d"}, number=0, tree=tree)
    assert find_conflict(runs[-1].config).key == "compile"


def test_another_search_is_asked_where_anything_differs_that_decides_its_trials(write_spec):
    def name(tune):
        spec = load(write_spec, tune)
        plan, _ = plan_trial(spec, spec.variants[0], lambda config: {"data": "d"}, number=0, tree=spec.variants[0].tree)
        return search_name(spec, spec.variants[0], spec.tune.knobs, plan.runs[0])

    same = name(NUMBERS)
    assert re.fullmatch(r"toy/plain/[0-9a-f]{12}", same)
    assert name(NUMBERS + "  trials: 99\n  hours: 2\n") == same
    others = [
        NUMBERS.replace("0.9", "0.8"),
        *(f"{NUMBERS}  {line}\n" for line in ("seed: 1", "sampler: gp", "startup: 2")),
    ]
    others += [NUMBERS + "  judge_on: val\n", NUMBERS + "  constraints: {run_seconds: {at_most: 9}}\n"]
    assert len({same, *map(name, others)}) == 1 + len(others)


def test_a_database_that_cannot_be_used_is_one_line(write_spec, tmp_path):
    spec = load(write_spec, NUMBERS)
    for url in (f"sqlite:///{tmp_path}/nowhere/book.db", "postgresql+nodriver://localhost/x", "not a url"):
        with pytest.raises(HarnessError) as caught:
            Search(url, "name", spec.tune, epochs=3)
        assert "\n" not in str(caught.value)
        assert "database" in str(caught.value)


def test_a_search_in_whose_database_something_was_changed_is_refused(write_spec, tmp_path):
    """Any one number of any trial, as a stray write would: what is drawn next would silently be another thing."""
    place, columns = (
        tmp_path / "book.db",
        {
            "trial_params": "param_value",
            "trial_values": "value",
            "trial_intermediate_values": "intermediate_value",
        },
    )
    spec = load(write_spec, f"{NUMBERS}  sampler: random\n  pruner: none\n")
    carry_out(open_search(spec, place), spec, 3)
    for table, column in columns.items():
        with sqlite3.connect(place) as book:
            key, before = book.execute(f"select rowid, {column} from {table} limit 1").fetchone()
            book.execute(f"update {table} set {column} = ? where rowid = ?", (before * 1.001, key))
        with pytest.raises(HarnessError, match=r"database is damaged \(.*: trial 0 is not as it was entered\)"):
            open_search(spec, place).trials()
        with sqlite3.connect(place) as book:
            book.execute(f"update {table} set {column} = ? where rowid = ?", (before, key))
    assert len(open_search(spec, place).trials()) == 3
