"""A plugin's loss with class weights: what it says of them is measured; where it says nothing, the run notes that."""

import numpy as np
import pytest
from tiny_runs import make_config, make_setup

from harness import registry
from harness.errors import InputError
from harness.parts.losses import ClassWeighted
from harness.registry import choose
from harness.train.loop import train


@pytest.fixture(autouse=True)
def weighted_by(monkeypatch):
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))

    @registry.part("loss")
    def weighted_by(class_pixels, /, *, class_weights: str = "none", says: bool = True, count: int = 10):
        """Cross-entropy with weights that rise from class to class."""
        weights_C = np.arange(1.0, count + 1)
        plain = registry.build(
            "loss", choose("loss", "cross_entropy", {"class_weights": [*range(1, 11)]}), class_pixels=class_pixels
        )
        return ClassWeighted(plain.loss, weights_C) if says else plain.loss


def shares_of(*terms):
    setup = make_setup(make_config(loss=tuple(choose("loss", name, settings) for name, settings in terms)))
    *_, last = train(setup)
    shares = {name: value for name, value in last.metrics.items() if name.startswith("train/weight_share/")}
    return shares, [note for note in setup.notes if "class weights" in note]


def test_its_weights_are_measured_as_those_of_a_shipped_loss():
    shares, notes = shares_of(("weighted_by", {"class_weights": "rising"}))
    assert notes == []
    assert sum(shares.values()) == pytest.approx(1)
    expected, _ = shares_of(("cross_entropy", {"class_weights": [float(weight) for weight in range(1, 11)]}))
    assert shares == pytest.approx(expected)


def test_weights_that_nobody_says_are_noted_and_not_measured_as_something_else():
    shares, notes = shares_of(("dice", {}), ("weighted_by", {"class_weights": "rising", "says": False}))
    assert shares == {}
    assert notes == [
        "loss weighted_by: its class weights are not known to harness (it returns no ClassWeighted), so their share in "
        "the gradient is not recorded"
    ]
    assert shares_of(("weighted_by", {"says": False}))[1] == []  # none were asked for


def test_weights_of_another_number_of_classes_are_refused():
    with pytest.raises(InputError, match=r"ClassWeighted has weights of shape \(3,\); the data has 10 classes"):
        make_setup(make_config(loss=(choose("loss", "weighted_by", {"count": 3}),)))
