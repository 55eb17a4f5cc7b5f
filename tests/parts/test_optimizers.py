"""Contract of every optimizer in the catalog."""

import pytest
import torch
from shipped import shipped_names

from harness import registry
from harness.errors import InputError, SettingError
from harness.parts import optimizers

OPTIMIZERS = shipped_names("optimizer")
VARIANTS = [(name, {}) for name in OPTIMIZERS] + [("sgd", {"momentum_form": "nesterov"}), ("sgd", {"momentum": 0.0})]


def build(name: str, groups: list[dict], **options):
    return registry.build("optimizer", registry.choose("optimizer", name, options), groups=groups)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_steps_lower_a_quadratic(name, options):
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = build(name, [{"params": [x], "lr": 0.01, "name": "head"}], **options)
    values = []
    for _ in range(5):
        optimizer.zero_grad()
        value = (x**2).sum()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


@pytest.mark.parametrize(("name", "options"), [*VARIANTS, ("adam", {"weight_decay": 0.01})])
def test_few_weights_are_moved_together_to_the_same_bits(name, options, monkeypatch):
    shapes = [(3, 4, 5, 5), (7,), (11, 13), (64, 3, 3, 3)]
    draw = torch.Generator().manual_seed(0)
    first = [torch.randn(shape, generator=draw) for shape in shapes]
    sides = []
    for few in (optimizers.FEW_WEIGHTS, 0):
        monkeypatch.setattr(optimizers, "FEW_WEIGHTS", few)
        weights = [torch.nn.Parameter(weight.clone()) for weight in first]
        sides.append((weights, build(name, [{"params": weights, "lr": 0.01, "name": "head"}], **options)))
    assert [optimizer.defaults["foreach"] for _, optimizer in sides] == [True, None]
    for _ in range(7):
        gradients = [torch.randn(shape, generator=draw) for shape in shapes]
        for weights, optimizer in sides:
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient.clone()
            optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(*(weights for weights, _ in sides), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(sides[0][0], first, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_groups_keep_their_names_and_rates(name):
    backbone, head = (torch.ones(1, requires_grad=True) for _ in range(2))
    groups = [{"params": [backbone], "lr": 0.0, "name": "backbone"}, {"params": [head], "lr": 0.1, "name": "head"}]
    optimizer = build(name, groups, lr=5.0)
    assert [(group["name"], group["lr"]) for group in optimizer.param_groups] == [("backbone", 0.0), ("head", 0.1)]
    (backbone + head).sum().backward()
    optimizer.step()
    assert backbone.item() == 1
    assert head.item() < 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adam", {"betas": [0.5, 0.9], "weight_decay": 0.1}),
        ("adamw", {"betas": [0.5, 0.9], "weight_decay": 0.1}),
        ("sgd", {"momentum": 0.5, "weight_decay": 0.1, "momentum_form": "nesterov"}),
    ],
)
def test_settings_reach_torch(name, options):
    group = build(name, [{"params": [torch.ones(1, requires_grad=True)]}], lr=0.25, **options).param_groups[0]
    nesterov = options.pop("momentum_form", None) == "nesterov"
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    assert {key: group[key] for key in given} == given
    assert group["lr"] == 0.25
    assert group.get("nesterov", False) == nesterov


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(InputError, match="momentum is 0, but momentum_form is nesterov"):
        build("sgd", [{"params": [torch.ones(1, requires_grad=True)]}], momentum=0.0, momentum_form="nesterov")


@pytest.mark.parametrize(
    ("name", "options", "path"),
    [
        ("adam", {"lr": 0.0}, ("lr",)),
        ("adam", {"betas": [0.9, 1.0]}, ("betas", 1)),
        ("adamw", {"weight_decay": -0.1}, ("weight_decay",)),
        ("sgd", {"nesterov": True}, ("nesterov",)),
    ],
)
def test_wrong_settings_are_found_before_training(name, options, path):
    with pytest.raises(SettingError) as caught:
        registry.choose("optimizer", name, options)
    assert caught.value.path == path
