"""The fused step of the optimizers: the same formula, an id of its own, and it goes on after an interruption."""

from dataclasses import replace

import pytest
import torch

from harness.errors import InputError
from harness.records import Machine, RunConfig
from harness.registry import choose
from harness.settings import EvaluateSettings, TrainSettings
from harness.spec.plan import run_id
from harness.train.checkpoint import Checkpoint, load_newest, save_state
from harness.train.loop import train
from harness.train.setup import build_setup, prepare_process


def make_config(optimizer: str, step: str, **settings) -> RunConfig:
    return RunConfig(
        data=choose("data", "desert", {"size": [32, 32], "train_images": 6, "val_images": 2, "normalize": "centered"}),
        model=choose("model", "unet", {"base_channels": 4}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=(),
        optimizer=choose("optimizer", optimizer, {"lr": 1e-3, "multipliers": {"backbone": 0.5}, **settings}),
        schedule=choose("schedule", "poly", {}),
        train=TrainSettings(epochs=3, batch_size=3, optimizer_step=step),
        evaluate=EvaluateSettings(),
        seed=0,
    )


def build(config: RunConfig):
    prepare_process(config)
    return build_setup(config, Machine("cpu"), start=None)


def weights(setup):
    return {name: value.clone() for name, value in setup.state.network.module.state_dict().items()}


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [("adam", {"weight_decay": 1e-2}), ("adamw", {}), ("sgd", {"momentum": 0.9, "momentum_form": "nesterov"})],
)
def test_it_moves_the_weights_as_the_plain_step_does_up_to_rounding(optimizer, settings):
    setups = [build(make_config(optimizer, step, **settings)) for step in ("plain", "fused")]
    start = weights(setups[0])
    for setup in setups:
        next(iter(train(setup)))
    plain, fused = map(weights, setups)
    for name, value in plain.items():
        torch.testing.assert_close(fused[name], value, rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(plain[name], start[name]) for name in plain)
    assert all(group["fused"] for group in setups[1].state.optimizer.param_groups)


def test_it_has_an_id_of_its_own_and_the_plain_step_the_old_one():
    plain, fused = (make_config("adam", step) for step in ("plain", "fused"))
    silent = replace(plain, train=TrainSettings(epochs=3, batch_size=3))
    assert run_id(plain, {}, None) == run_id(silent, {}, None) != run_id(fused, {}, None)


def test_resumed_it_is_the_run_it_would_have_been(tmp_path):
    config = make_config("adam", "fused")
    whole, broken, resumed = build(config), build(config), build(config)
    list(train(whole))
    first = next(iter(train(broken)))
    save_state(tmp_path / "state.pt", tmp_path / "before.pt", broken.state, Checkpoint((first,)))
    checkpoint = load_newest([tmp_path / "state.pt"], resumed.state)
    list(train(resumed, checkpoint.history))
    assert all(torch.equal(*pair) for pair in zip(weights(whole).values(), weights(resumed).values(), strict=True))


def test_an_optimizer_without_one_says_so(monkeypatch):
    monkeypatch.setattr("torch.optim.Adam.__init__", lambda self, groups, **settings: base(self, groups, settings))
    base = torch.optim.Optimizer.__init__
    with pytest.raises(InputError, match=r"train\.optimizer_step: adam has no fused step; use plain"):
        build(make_config("adam", "fused"))
