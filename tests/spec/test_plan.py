"""Plans: order, ids that hold everything that decides numbers and nothing else, differences, selection, JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from golden_files import require_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import STUDY, as_table, plan_of
from toys import MINIMAL

from harness import registry
from harness.errors import InputError
from harness.execute.until_decided import restrict
from harness.fingerprint import fingerprint
from harness.records import Plan, Start
from harness.settings import AugmentChoice, ModelChoice
from harness.spec.compare import compare_anew
from harness.spec.lint import lint
from harness.spec.load import load_spec
from harness.spec.plan import differences, narrow, run_id, select, unite
from harness.spec.plan_json import plan_from_json, plan_to_json

GOLDEN = Path(__file__).parent / "golden"


def id_of(path, **options):
    """Return the id of the first variant's first run."""
    return plan_of(path, **options).runs[0].id


@pytest.mark.parametrize("profile", [None, "full"])
def test_golden_plan(profile, write_spec):
    """Ids and changes of a whole study, as text. They change only on purpose: with them, old results are lost."""
    golden = GOLDEN / f"study_{profile or 'base'}.txt"
    require_golden(golden, as_table(plan_of(write_spec(STUDY), profile=profile)))


def test_what_an_id_is_made_of(write_spec):
    """Written out by hand: a change of hashing, or of a default, shows here."""
    by_hand = {
        "data": {
            "name": "toy_scenes",
            "version": 1,
            "settings": {
                "size": "native",
                "normalize": "centered",
                "inputs": ["rgb"],
                "on_bad_image": "error",
                "fraction": 1.0,
                "folds": None,
                "count": 8,
                "raw_ids": {},
            },
        },
        "model": {"name": "toy_net", "version": 1, "settings": {"freeze": "none", "width": 8, "weights": "none"}},
        "loss": [{"name": "toy_entropy", "version": 1, "settings": {"weight": 1.0, "class_weights": "none"}}],
        "augment": [],
        "optimizer": {
            "name": "toy_descent",
            "version": 1,
            "settings": {"multipliers": {}, "lr": 0.1, "momentum": 0.0},
        },
        "schedule": {"name": "toy_flat", "version": 1, "settings": {"warmup": 0.0, "floor": 0.0, "steps": 1}},
        "train": {
            "epochs": 10,
            "batch_size": 8,
            "accumulate": 1,
            "clip_norm": None,
            "precision": "float32",
            "memory_format": "channels_last",
            "early_stop": None,
            "deterministic": True,
            "threads": 1,
        },
        "evaluate": {"select_on": "miou_dataset", "select_split": "val", "size": "native", "batch_size": 16},
        "seed": 0,
        "inputs": {"data": "digest of here"},
        "start": None,
    }
    assert id_of(write_spec(MINIMAL)) == fingerprint(by_hand) == "cdd71bbaf066"


DECIDES = [
    "optimizer.lr=0.2",
    "model.width=9",
    "model.weights=default",
    "model.weights=some/other.pt",
    "model.freeze=backbone",
    "data.root=/elsewhere/there",
    "data.normalize=unit",
    "data.fraction=0.5",
    "data.folds=2",
    "loss.toy_overlap={}",
    "augment.toy_mirror={}",
    "train.epochs=11",
    "train.threads=2",
    "train.precision=bfloat16",
    "evaluate.size=input",
]


def test_what_decides_numbers_is_in_the_id(write_spec):
    path = write_spec(MINIMAL)
    ids = [id_of(path), id_of(path, seeds=[1]), *(id_of(path, overrides=[override]) for override in DECIDES)]
    assert len(set(ids)) == len(ids)


def test_a_part_of_another_version_is_another_run(write_spec, monkeypatch):
    path = write_spec(MINIMAL)
    before = id_of(path)
    known = registry._PARTS
    newer = replace(known["loss", "toy_entropy"], version=2)
    monkeypatch.setattr(registry, "_PARTS", {**known, ("loss", "toy_entropy"): newer})
    assert id_of(path) != before


def test_the_order_of_augmentations_is_in_the_id(write_spec):
    terms = ["toy_mirror: {}", "toy_cut: {size: [4, 4]}"]
    texts = [
        MINIMAL.replace("  loss:", f"  augment: {{{', '.join(order)}}}\n  loss:") for order in (terms, terms[::-1])
    ]
    first, second = (plan_of(write_spec(text)).runs[0] for text in texts)
    assert first.id != second.id
    assert differences(first.config, second.config) == {
        "augment": (["toy_mirror", "toy_cut"], ["toy_cut", "toy_mirror"])
    }


@pytest.mark.parametrize(
    "change",
    [
        ("study: toy", "study: other"),
        ("question: Does it work?", "question: And how?"),
        ("plain: {}", "renamed: {notes: by another name}"),
        ("lr: 0.1", "lr: 0.10"),
        ("{name: toy_scenes}", "{count: 8, name: toy_scenes, root: ./moved/here}"),
        ("schedule: {name: toy_flat}", "train: {checkpoint_every: 5}\n  schedule: {name: toy_flat}"),
        ("plain: {}", "plain: {components: {mirror: {augment.toy_mirror: {}}}, set: {augment: {}}}"),
    ],
)
def test_what_decides_no_number_is_not_in_the_id(change, write_spec):
    before = id_of(write_spec(MINIMAL))
    text = MINIMAL.replace(*change)
    assert text != MINIMAL
    if "components" in text:
        named = plan_of(write_spec(text)).runs[0]
        direct = plan_of(write_spec(MINIMAL.replace("plain: {}", "plain: {set: {augment.toy_mirror: {}}}"))).runs[0]
        assert named.components and not direct.components
        assert named.id == direct.id
    else:
        assert id_of(write_spec(text)) == before


def test_weights_that_the_start_overwrites_are_not_in_the_id(write_spec):
    text = MINIMAL + "  child: {from: plain@best, set: {model.weights: %s, data.normalize: centered}}\n"
    ids = {plan_of(write_spec(text % weights)).runs[1].id for weights in ("none", "default", "a.pt", "b.pt")}
    assert len(ids) == 1


def test_a_place_is_left_out_only_where_a_digest_stands_for_it(write_spec):
    config = load_spec(write_spec(MINIMAL), overrides=["model.weights=a.pt"]).variants[0].config
    moved = load_spec(write_spec(MINIMAL), overrides=["model.weights=moved/a.pt"]).variants[0].config
    digests = {"data": "1", "model.weights": "2"}
    assert run_id(config, digests, None) == run_id(moved, digests, None)
    assert run_id(config, {"data": "1"}, None) != run_id(moved, {"data": "1"}, None)
    assert run_id(config, {}, None) != run_id(config, digests, None)


def test_the_run_it_starts_from_is_in_the_id(write_spec):
    config = load_spec(write_spec(MINIMAL)).variants[0].config
    starts = [None, Start("a", "best"), Start("a", "last"), Start("b", "best")]
    assert len({run_id(config, {}, start) for start in starts}) == len(starts)


def test_training_on_has_a_version_and_evaluating_a_start_has_none(write_spec):
    """Ids of trained warm runs changed when their start was no candidate any more; those without training did not."""
    config, start = load_spec(write_spec(MINIMAL)).variants[0].config, Start("a", "best")
    idle = replace(config, train=config.train.model_copy(update={"epochs": 0}))
    parts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.spec.plan.fingerprint", lambda value: parts.setdefault(value["train"]["epochs"], value))
        run_id(config, {}, start)
        run_id(idle, {}, start)
    assert parts.pop(0)["start"] == {"run_id": "a", "which": "best"}
    assert [value["start"] for value in parts.values()] == [{"run_id": "a", "which": "best", "version": 2}]


def test_which_epoch_is_compared_is_in_the_plan_and_in_no_id(write_spec):
    texts = [STUDY.replace("compare: {", f"compare: {{epoch: {which}, ") for which in ("best", "last")]
    plans = [plan_of(write_spec(text)) for text in texts]
    assert [plan.epoch for plan in plans] == ["best", "last"]
    assert [run.id for run in plans[0].runs] == [run.id for run in plans[1].runs]
    assert [plan_from_json(plan_to_json(plan)) for plan in plans] == plans
    entry = plan_to_json(plans[1])
    del entry["epoch"]  # of a plan that is older than the key
    assert plan_from_json(entry).epoch == "best"


def test_parents_stand_before_children_and_seeds_together(write_spec):
    plan = plan_of(write_spec(STUDY))
    assert [run.label for run in plan.runs[:6]] == [
        "plain/seed3",
        "plain/seed1",
        "child/seed3",
        "child/seed1",
        "grandchild/seed3",
        "grandchild/seed1",
    ]
    ids = [run.id for run in plan.runs]
    for place, run in enumerate(plan.runs):
        if run.start:
            parent = plan.runs[ids.index(run.start.run_id)]
            assert parent.seed == run.seed
            assert ids.index(parent.id) < place


def test_changes_are_those_from_what_a_variant_was_written_on(write_spec):
    runs = {run.variant: run for run in plan_of(write_spec(STUDY)).runs}
    assert {name: run.settings_from for name, run in runs.items()} == {
        "plain": "",
        "child": "plain",
        "grandchild": "child",
        "mixed": "child",
        "more": "mixed",
    }
    assert runs["plain"].changed == {}
    assert runs["child"].changed == {"model.freeze": ("none", "backbone")}
    assert runs["grandchild"].changed == {"optimizer.lr": (0.1, 0.3)}
    assert runs["mixed"].changed == {
        "model.freeze": ("backbone", "none"),
        "loss.toy_entropy.class_weights": ("none", "rare"),
        "loss.toy_overlap": (None, {"weight": 0.5, "smooth": 1.0}),
        "augment.toy_mirror": (None, {"p": 0.25}),
    }


def test_a_variant_without_like_and_from_is_compared_with_the_reference(write_spec):
    text = MINIMAL.replace("  plain: {}", "  first: {set: {optimizer.lr: 0.5}}\n  plain: {}")
    first, plain = plan_of(write_spec(text)).runs
    assert (first.settings_from, first.changed) == ("", {})
    assert (plain.settings_from, plain.changed) == ("first", {"optimizer.lr": (0.5, 0.1)})


def test_select_keeps_what_is_needed(write_spec):
    plan = plan_of(write_spec(STUDY))
    assert set(select(plan, ["mixed"]).variants) == {"plain", "child", "mixed"}
    assert select(plan, ["more", "grandchild"]).variants == ("grandchild", "more")
    assert select(plan, plan.variants) == plan
    with pytest.raises(InputError, match=r"--only mixt: .*did you mean 'mixed'"):
        select(plan, ["mixt"])


def test_command_makes_the_same_plan(write_spec):
    path = write_spec(STUDY)
    plan = plan_of(path, profile="full", overrides=["data.root=a b"], seeds=[0, 2])
    assert plan.command == f"harness run {path} --profile full --set 'data.root=a b' --seeds 0,2"
    assert plan_of(path).command == f"harness run {path}"


def test_json_round_trip_is_exact(write_spec):
    plan = plan_of(write_spec(STUDY), overrides=["train.early_stop={patience: 2}", "data.raw_ids={100: 1}"])
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


texts = st.text(max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(texts, inside, max_size=2),
    max_leaves=4,
)


@settings(deadline=None)
@given(
    own=st.dictionaries(texts, values, max_size=3),
    changed=st.dictionaries(texts, st.tuples(values, values), max_size=2),
    version=st.integers(1, 9),
    words=st.tuples(texts, texts, texts),
    start=st.none() | st.builds(Start, texts, st.sampled_from(["best", "last"])),
)
def test_any_plan_survives_json(tmp_path_factory, own, changed, version, words, start):
    path = tmp_path_factory.getbasetemp() / "plan.yaml"
    path.write_text(MINIMAL)
    run = plan_of(path).runs[0]
    step = AugmentChoice.of(words[0], own, version)
    config = replace(run.config, model=ModelChoice.of(words[1], own, version), augment=(step, step), plugins=words)
    run = replace(run, config=config, changed=changed, inputs={words[0]: words[1]}, start=start)
    looks = tuple(range(version))
    plan = Plan("a-study", *words[1:], 0.25, (run, run), spec_text=words[0], command=words[1], looks=looks)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_the_primary_split_is_in_the_plan_and_in_no_id(write_spec):
    texts = [STUDY, *(STUDY.replace("compare: {", f"compare: {{split: {name}, ") for name in ("val", "test"))]
    plans = [plan_of(write_spec(text)) for text in texts]
    assert [plan.split for plan in plans] == [None, "val", "test"]
    assert [run.id for run in plans[0].runs] == [run.id for run in plans[1].runs] == [run.id for run in plans[2].runs]
    assert [plan_from_json(plan_to_json(plan)) for plan in plans] == plans
    assert "split" not in plan_to_json(plans[0]), "a plan that names none reads as an older one"


def test_expected_differences_are_in_the_plan_and_in_no_id(write_spec):
    stated, silent = (plan_of(write_spec(text)) for text in (f"{MINIMAL}compare: {{expected: 0.03}}\n", MINIMAL))
    assert (stated.expected, silent.expected) == (0.03, 0.01)
    assert [run.id for run in stated.runs] == [run.id for run in silent.runs]
    entry = plan_to_json(stated)
    assert plan_from_json(entry) == stated
    del entry["expected"]
    assert plan_from_json(entry).expected == 0.01, "plans of older versions hold none"


def test_what_a_plan_does_not_show_is_kept_in_it(write_spec):
    plan = plan_of(write_spec(STUDY))
    noted = replace(plan, concerns=lint(plan))
    assert noted.concerns
    entry = json.loads(json.dumps(plan_to_json(noted)))
    assert entry["concerns"][0].keys() == {"code", "variants", "text", "remedy"}
    assert plan_from_json(entry) == noted
    older = {key: value for key, value in entry.items() if key != "concerns"} | {"version": 2}
    assert plan_from_json(older) == plan, "what an older version did not note is worked out when it is reported"
    assert select(noted, ["child"]).concerns == noted.concerns, "of what runs first, the whole study is spoken of"


def test_a_plan_that_is_compared_otherwise_is_looked_at_anew(write_spec):
    plan = replace(plan_of(write_spec(STUDY)), concerns=())
    assert compare_anew(plan, []).concerns == ()
    changed = (compare_anew(plan, ["compare.margin=0.02"]), narrow(plan, "more", "plain"), unite([plan, plan]))
    assert [item.concerns for item in (*changed, restrict(plan, dict.fromkeys(plan.variants, 1)))] == [None] * 4


def test_looks_are_read_into_the_plan(write_spec):
    path = write_spec(f"{MINIMAL}compare: {{looks: [2, 5]}}\n")
    assert load_spec(path).compare.looks == plan_of(path).looks == (2, 5)


def test_a_plan_is_read_without_its_plugins(write_spec, monkeypatch):
    entry = plan_to_json(plan_of(write_spec(STUDY)))
    monkeypatch.setattr(registry, "_PARTS", {})
    assert plan_to_json(plan_from_json(entry)) == entry


def test_a_plan_of_another_format_is_refused(write_spec):
    entry = plan_to_json(plan_of(write_spec(MINIMAL)))
    with pytest.raises(InputError, match="format 99"):
        plan_from_json({**entry, "version": 99})


def test_a_plan_that_is_compared_otherwise_has_the_same_runs(write_spec):
    changes = ["compare.epoch=last", "compare.split=val"]
    plan, stored = plan_of(write_spec(STUDY), overrides=changes), plan_of(write_spec(STUDY))
    anew = compare_anew(stored, changes)
    assert anew == replace(plan, command=stored.command)
    assert anew.runs == stored.runs
    assert (anew.epoch, anew.split, anew.reference, anew.margin) == ("last", "val", "plain", 0.01)
    assert compare_anew(stored, []) == stored


def test_a_plan_of_two_variants_tells_settings_as_a_change_of_one_of_them(write_spec):
    plan = plan_of(write_spec(STUDY))
    like = next(run for run in plan.runs if run.settings_from not in ("", plan.reference))
    two = narrow(plan, like.variant, plan.reference)
    (told,) = {(run.settings_from, tuple(run.changed)) for run in two.runs if run.variant == like.variant}
    found = differences(next(run.config for run in plan.runs if run.variant == plan.reference), like.config)
    assert told == (plan.reference, tuple(found))
    assert found.keys() > like.changed.keys()
    back = narrow(plan, plan.reference, like.variant)
    assert {run.settings_from for run in back.runs} == {"", like.variant}
