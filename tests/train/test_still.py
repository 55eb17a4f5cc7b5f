"""Weights that a model was built with frozen stay as they are, whatever `model.freeze` says; ids and notes say so."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.errors import InputError
from harness.execute.inputs import make_reader
from harness.models.network import Network, kept_against
from harness.records import OWN_FREEZE, Machine, RunConfig
from harness.registry import choose
from harness.runs.stale import Stale, describe_difference
from harness.settings import EvaluateSettings, TrainSettings
from harness.train.loop import train
from harness.train.setup import build_setup, prepare_process

PARTS = '''
from torch import nn

from harness.registry import part
from harness.models.network import Network


@part("model")
def adapted(num_classes: int, in_channels: int, /, *, still: str = "adapter") -> Network:
    """A pretrained body with an adapter, of which only the adapter and the head move."""
    module = nn.Sequential()
    module.add_module("body", nn.Sequential(nn.Conv2d(in_channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()))
    module.add_module("adapter", nn.Conv2d(6, 6, 1))
    module.add_module("classifier", nn.Conv2d(6, num_classes, 1))
    for name in {"adapter": ["body"], "nothing": [], "all": ["body", "adapter", "classifier"]}[still]:
        getattr(module, name).requires_grad_(False)
    return Network(module, lambda logits: (logits, ()), backbone=("body.", "adapter."), classifier=("classifier.",))


@part("model")
def wrong(num_classes: int, in_channels: int, /, *, how: str = "module") -> Network:
    """What plugins give back by mistake."""
    module = nn.Sequential(nn.Conv2d(in_channels, num_classes, 1))
    if how == "module":
        return module
    prefixes = {"typo": ("encoder.",), "no backbone": ()}[how]
    return Network(module, lambda logits: (logits, ()), backbone=prefixes, classifier=("0.",))
'''


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "adapted_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("adapted_parts", None)
    importlib.invalidate_caches()
    yield importlib.import_module("adapted_parts")
    sys.modules.pop("adapted_parts", None)


def config_of(model: str = "adapted", optimizer: dict | None = None, **settings) -> RunConfig:
    scenes = {"size": [16, 16], "train_images": 6, "val_images": 2, "test_images": 1, "normalize": "centered"}
    return RunConfig(
        data=choose("data", "desert", scenes),
        model=choose("model", model, settings),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(),
        optimizer=choose("optimizer", "adamw", {"lr": 1e-2, "weight_decay": 0.1, **(optimizer or {})}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=2, batch_size=3),
        evaluate=EvaluateSettings(),
        seed=0,
        plugins=("adapted_parts",),
    )


def setup_of(config):
    prepare_process(config)
    return build_setup(config, Machine("cpu"), start=None)


BODY = {"body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias"}
ADAPTER, HEAD = {"adapter.weight", "adapter.bias"}, {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("still", "freeze", "moves", "is_marked"),
    [
        ("nothing", "none", BODY | ADAPTER | HEAD, False),
        ("adapter", "none", ADAPTER | HEAD, True),
        ("adapter", "backbone", HEAD, False),
        ("adapter", "all_but_classifier", HEAD, False),
    ],
)
def test_what_the_model_froze_never_moves_and_the_run_says_so(still, freeze, moves, is_marked):
    config = config_of(still=still, freeze=freeze)
    setup = setup_of(config)
    before = {name: value.clone() for name, value in setup.state.network.module.named_parameters()}
    for _ in train(setup):
        pass
    moved = {
        name for name, value in setup.state.network.module.named_parameters() if not torch.equal(value, before[name])
    }
    assert moved == moves
    assert ({"backbone", "head"} if moves & (BODY | ADAPTER) else {"head"}) == set(setup.state.base_lr)
    told = [note for note in setup.notes if "frozen" in note]
    assert told == (["4 of 8 tensors stay as they are: the model itself was built with them frozen"] * is_marked)
    assert (OWN_FREEZE in make_reader()(config)) == is_marked


def test_only_runs_of_a_model_that_keeps_weights_still_have_another_id(tmp_path):
    """Once from building the model, once from the memory; an edited source is built anew."""
    for _ in range(2):
        marked = make_reader()(config_of())
        assert set(make_reader()(config_of(still="nothing"))) == {"data"}
        assert set(marked) == {"data", OWN_FREEZE}
    assert len(list((tmp_path / "cache" / "still").iterdir())) == 2
    shipped = replace(config_of(), model=choose("model", "unet", {"base_channels": 4}), plugins=())
    assert set(make_reader()(shipped)) == {"data"}
    Path(sys.modules["adapted_parts"].__file__).write_text(PARTS + "# edited\n")
    assert make_reader()(config_of()) == marked
    assert len(list((tmp_path / "cache" / "still").iterdir())) == 3


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"still": "all"}, "none of its weights moves"),
        ({"freeze": "backbone", "optimizer": {"multipliers": {"backbone": 0.1}}}, "multipliers.backbone: it has no ef"),
        ({"model": "wrong"}, r"adapted_parts.py:\d+\): it returned a Sequential"),
        ({"model": "wrong", "how": "typo"}, r"no parameter's name begins with encoder\., its backbone"),
        ({"model": "wrong", "how": "no backbone", "freeze": "backbone"}, "has no backbone; write none"),
    ],
)
def test_what_would_train_nothing_or_freeze_nothing_is_refused(config, told):
    with pytest.raises(InputError, match=told):
        setup_of(config_of(**config))
    make_reader()(config_of(**config))  # planning goes on: the run says it


def test_no_parameter_is_still_unless_the_model_says_so():
    assert kept_against(Network(torch.nn.Linear(1, 1), lambda x: (x, ()), (), ()), "none") == frozenset()


def test_a_result_of_before_is_stale_for_this_reason_and_not_for_other_data():
    told = describe_difference(Stale("baseline/seed0", "ab", {f"inputs.{OWN_FREEZE}": (None, "cd")}))
    assert told == "with other weights moving (the model itself keeps some as they are)"
