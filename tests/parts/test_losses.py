"""Contract of every loss in the catalog, and oracles: torch, numbers worked by hand, definitions written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped_names, shipped_parts
from torch.nn import functional

from harness import registry
from harness.errors import InputError, SettingError
from harness.parts.losses import ClassWeighted

torch.set_num_threads(1)
CLASSES, HEIGHT, WIDTH = 4, 6, 5
PIXELS = np.array([[50, 30, 20, 0], [90, 0, 5, 5]])
LOSSES = shipped_names("loss")
VARIANTS = [(name, {}) for name in LOSSES] + [
    ("cross_entropy", {"class_weights": "inverse_frequency", "label_smoothing": 0.1}),
    ("focal", {"class_weights": [1.0, 2.0, 0.5, 3.0], "gamma": 0.5}),
    ("dice", {"smooth": 1.0}),
    ("tversky", {"alpha": 0.2, "beta": 0.9}),
]


def build(name: str, options: dict, pixels: np.ndarray = PIXELS):
    return registry.build("loss", registry.choose("loss", name, options), num_classes=CLASSES, class_pixels=pixels)


@pytest.fixture(params=VARIANTS, ids=str)
def loss(request):
    return build(*request.param)


def sample(seed: int = 0, ignored: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, CLASSES, HEIGHT, WIDTH, generator=generator)
    labels = torch.randint(CLASSES, (2, HEIGHT, WIDTH), generator=generator)
    return logits, labels.masked_fill(torch.rand(labels.shape, generator=generator) < ignored, 255)


def test_loss_is_a_finite_positive_scalar_with_a_gradient(loss):
    logits, labels = sample()
    logits.requires_grad_()
    value = loss(logits, labels)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert value > 0
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


def test_ignored_pixels_move_nothing(loss):
    logits, labels = sample()
    ignored = (labels == 255)[:, None].expand_as(logits)
    other = torch.where(ignored, 30 * torch.randn(logits.shape), logits).requires_grad_()
    value = loss(other, labels)
    value.backward()
    assert torch.allclose(value, loss(logits, labels), rtol=1e-6, atol=0)
    assert (other.grad[ignored] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_perfect_prediction_is_the_minimum(loss, seed):
    _, labels = sample()
    perfect = 4 * functional.one_hot(labels.where(labels != 255, 0), CLASSES).movedim(-1, 1).float()
    other = torch.randn(perfect.shape, generator=torch.Generator().manual_seed(seed))
    assert loss(perfect, labels) < loss(perfect + other, labels) or loss(perfect, labels) < loss(other, labels)
    assert loss(perfect, labels) < loss(3 * other, labels)


def test_certain_and_right_is_zero_and_certain_and_wrong_stays_finite(loss, request):
    _, labels = sample()
    right = 200 * functional.one_hot(labels.where(labels != 255, 0), CLASSES).movedim(-1, 1).float()
    if "label_smoothing" not in str(request.node.name):
        assert loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    wrong = (-right).requires_grad_()
    loss(wrong, labels).backward()
    assert wrong.grad.isfinite().all()


@pytest.mark.parametrize("batch", [1, 2])
def test_all_ignored_is_zero_with_zero_gradient(loss, batch):
    logits = torch.randn(batch, CLASSES, HEIGHT, WIDTH, requires_grad=True)
    value = loss(logits, torch.full((batch, HEIGHT, WIDTH), 255))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_one_pixel_alone_is_enough(loss):
    logits = torch.randn(1, CLASSES, HEIGHT, WIDTH, requires_grad=True)
    labels = torch.full((1, HEIGHT, WIDTH), 255)
    labels[0, 2, 3] = 1
    loss(logits, labels).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, :, 2, 3].abs().sum() > 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), smoothing=st.sampled_from([0.0, 0.1, 1.0]), weighted=st.booleans())
def test_cross_entropy_is_torchs(seed, smoothing, weighted):
    logits, labels = sample(seed)
    weights = [0.5, 2.0, 1.0, 3.0]
    options = {"label_smoothing": smoothing, "class_weights": weights if weighted else "none"}
    expected = functional.cross_entropy(
        logits,
        labels,
        weight=torch.tensor(weights) if weighted else None,
        ignore_index=255,
        label_smoothing=smoothing,
    )
    assert build("cross_entropy", options)(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_cross_entropy_by_hand():
    """Probabilities 1/2 and 1/4 for the true classes, of weights 1 and 3: (ln 2 + 3 ln 4) / 4 = 7/4 ln 2."""
    probabilities = torch.tensor([[0.5, 0.25], [0.5, 0.75]])  # [class, pixel]
    logits, labels = probabilities.log()[None, :, None, :], torch.tensor([[[1, 0]]])
    loss = registry.build(
        "loss",
        registry.choose("loss", "cross_entropy", {"class_weights": [3.0, 1.0]}),
        class_pixels=np.array([[1, 1]]),
    )
    assert loss(logits, labels).item() == pytest.approx(7 / 4 * np.log(2))


@pytest.mark.parametrize("weights", ["none", "inverse_frequency", [1.0, 0.0, 2.0, 1.0]])
def test_focal_without_focus_is_cross_entropy(weights):
    logits, labels = sample()
    focal = build("focal", {"gamma": 0.0, "class_weights": weights})(logits, labels)
    assert focal.item() == pytest.approx(build("cross_entropy", {"class_weights": weights})(logits, labels).item())


def test_focal_by_hand():
    """One pixel, p = 1/4 for its class: (1 - 1/4)^2 ln 4."""
    logits = torch.tensor([0.25, 0.75, 1e-9, 1e-9]).log().view(1, 4, 1, 1)
    assert build("focal", {"gamma": 2.0})(logits, torch.tensor([[[0]]])).item() == pytest.approx(9 / 16 * np.log(4))


def test_overlap_losses_by_hand():
    """Two pixels: class 0 is true at the first, p = (0.8, 0.4); class 1 at the second, p = (0.2, 0.6).

    Class 0: tp 0.8, fp 0.4, fn 0.2. Class 1: tp 0.6, fp 0.2, fn 0.4. Classes 2 and 3 do not occur: 0. Mean over four.
    """
    probabilities = torch.tensor([[0.8, 0.4], [0.2, 0.6], [1e-12, 1e-12], [1e-12, 1e-12]])
    logits, labels = probabilities.log()[None, :, None, :], torch.tensor([[[0, 1]]])
    dice = (1 - 1.6 / 2.2) + (1 - 1.2 / 1.8)
    jaccard = (1 - 0.8 / 1.4) + (1 - 0.6 / 1.2)
    tversky = (1 - 0.8 / (0.8 + 0.3 * 0.4 + 0.7 * 0.2)) + (1 - 0.6 / (0.6 + 0.3 * 0.2 + 0.7 * 0.4))
    for name, expected in {"dice": dice, "jaccard": jaccard, "tversky": tversky}.items():
        assert build(name, {})(logits, labels).item() == pytest.approx(expected / 4, rel=1e-5)


def test_lovasz_of_a_hard_prediction_is_one_minus_mean_iou():
    """On the corners of the cube the Lovasz extension is the set function itself: the mean over classes of 1 - IoU."""
    _, labels = sample(3)
    predicted = torch.randint(CLASSES, labels.shape, generator=torch.Generator().manual_seed(4))
    logits = 1000 * functional.one_hot(predicted, CLASSES).movedim(-1, 1).float()
    valid = labels != 255
    ious = []
    for index in range(CLASSES):
        true, found = (labels == index) & valid, (predicted == index) & valid
        if true.any():
            ious.append((true & found).sum().item() / (true | found).sum().item())
    assert build("lovasz", {})(logits, labels).item() == pytest.approx(1 - np.mean(ious), abs=1e-6)


def test_a_list_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="class_weights: 2 weights were given, the data has 4 classes"):
        build("cross_entropy", {"class_weights": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("name", "options", "path"),
    [
        ("cross_entropy", {"class_weights": "inverse"}, ("class_weights",)),
        ("cross_entropy", {"class_weights": [1.0, -1.0]}, ("class_weights", 1)),
        ("cross_entropy", {"label_smoothing": 1.5}, ("label_smoothing",)),
        ("focal", {"beta": 1.0}, ("beta",)),
        ("dice", {"smoth": 1.0}, ("smoth",)),
    ],
)
def test_wrong_settings_are_found_before_training(name, options, path):
    with pytest.raises(SettingError) as caught:
        registry.choose("loss", name, options)
    assert caught.value.path == path


def gradient_weights(loss) -> np.ndarray:
    """Return how much a pixel of each class weighs: with equal logits, gradients differ in length by it alone."""
    logits = torch.zeros(1, CLASSES, 1, CLASSES, requires_grad=True)
    loss(logits, torch.arange(CLASSES)[None, None]).backward()
    length_C = logits.grad.norm(dim=1).flatten().double().numpy()
    return length_C / length_C.sum()


RULES = ["inverse_frequency", "median_frequency", "effective_number", [1.0, 2.0, 0.5, 3.0]]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", [part.name for part in shipped_parts("loss") if "class_weights" in part.own])
def test_a_loss_with_class_weights_says_which_it_has(name, rule):
    loss = build(name, {"class_weights": rule, **({"beta": 0.9} if rule == "effective_number" else {})})
    assert isinstance(loss, ClassWeighted)
    np.testing.assert_allclose(loss.weights_C / loss.weights_C.sum(), gradient_weights(loss), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_as_it_is_by_default_weighs_all_classes_alike_and_says_nothing_else(name):
    loss = build(name, {})
    assert not isinstance(loss, ClassWeighted)
    np.testing.assert_allclose(gradient_weights(loss), 1 / CLASSES, rtol=1e-5)
