"""A simulated study: a plan, and results whose counts come from known confusion rates. No training, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from harness.counts import make_counts
from harness.records import Counts, Examples, Plan, Progress, Run, RunConfig, RunResult, Start
from harness.registry import choose
from harness.scores import all_scores, iou_class
from harness.settings import AugmentChoice, EvaluateSettings, LossChoice, OptimizerChoice, ScheduleChoice, TrainSettings
from harness.spec.plan import differences

DESERT = {
    "Trees": (34, 110, 50),
    "Lush Bushes": (90, 170, 60),
    "Dry Grass": (215, 190, 110),
    "Dry Bushes": (150, 120, 60),
    "Ground Clutter": (120, 90, 80),
    "Flowers": (230, 90, 170),
    "Logs": (95, 55, 25),
    "Rocks": (130, 130, 135),
    "Landscape": (205, 150, 95),
    "Sky": (130, 185, 235),
}
SHARES = np.array([0.03, 0.04, 0.16, 0.05, 0.05, 0.006, 0.0, 0.04, 0.32, 0.304])
EPOCHS = 10
CONTRACT = {"version": 1, "splits": {"val": "a" * 64, "test": "b" * 64}, "size": "native", "taxonomy": "desert"}


@dataclass(frozen=True)
class Study:
    plan: Plan
    results: Mapping[str, RunResult]


Simulate = Callable[..., Study]


@pytest.fixture(scope="session")
def simulate() -> Simulate:
    """Make a study: variant -> skill (share of pixels that are predicted right, roughly). It names val as primary."""
    return simulate_study


@pytest.fixture(scope="session")
def study() -> Study:
    """Four variants x three seeds, ten classes of which Logs never occurs, warm starts, a failed and a skipped run."""
    skills = {"baseline": 0.72, "head-only": 0.70, "gentle-backbone": 0.78, "phase3": 0.81}
    made = simulate_study(skills, seeds=(0, 1, 2), warm=True)
    results = dict(made.results)
    for variant, status, reason in (
        ("gentle-backbone", "failed", "the loss is nan at epoch 4, step 3 of 20, learning rate head 0.1"),
        ("phase3", "skipped", "it starts from gentle-backbone/seed2, which failed"),
    ):
        run = next(run for run in made.plan.runs if run.label == f"{variant}/seed2")
        history = results[run.id].history[:4] if status == "failed" else ()
        results[run.id] = RunResult(run.id, status, reason, history, seconds=20.0 if history else 0.0)
    return Study(made.plan, results)


def simulate_study(
    skills: Mapping[str, float],
    seeds: tuple[int, ...] = (0, 1, 2),
    *,
    colours: Mapping[str, tuple[int, int, int]] = DESERT,
    shares: np.ndarray | None = None,
    splits: tuple[str, ...] = ("val", "test"),
    warm: bool = False,
) -> Study:
    shares = SHARES if shares is None else shares
    runs: list[Run] = []
    results: dict[str, RunResult] = {}
    names = list(skills)
    for place, name in enumerate(names):
        for seed in seeds:
            parent = runs[-len(seeds)].id if warm and place else None
            run = _make_run(name, seed, place, names, parent)
            runs.append(run)
            results[run.id] = _make_result(run, skills[name], colours, shares, splits)
    plan = Plan(
        study="phase3",
        question="Do class weights, Dice, random crop and flips help on top of gentle backbone fine-tuning?",
        reference=names[0],
        margin=0.005,
        split="val",
        runs=tuple(runs),
        spec_text="study: phase3\nquestion: Do class weights help?\n",
        command="harness run ablations/phase3.yaml",
    )
    return Study(plan, results)


def _make_run(name: str, seed: int, place: int, names: list[str], parent: str | None) -> Run:
    configs = _configs(seed)
    before, config = configs[max(place - 1, 0) % len(configs)], configs[place % len(configs)]
    return Run(
        id=f"{place:06x}{seed:06x}",
        variant=name,
        seed=seed,
        config=config,
        inputs={"data": "c" * 64},
        start=Start(parent, "best") if parent else None,
        settings_from=names[place - 1] if place else "",
        changed=differences(before, config) if place else {},
    )


def _configs(seed: int) -> list[RunConfig]:
    """The configs of baseline, head-only, gentle-backbone and phase3; each changes the one before it."""
    cross_entropy = LossChoice.of("cross_entropy", {"class_weights": "none", "weight": 1.0})
    base = RunConfig(
        data=choose("data", "desert", {"normalize": "centered"}),
        model=choose("model", "deeplabv3_mobilenet_v3_large", {}),
        loss=(cross_entropy,),
        augment=(),
        optimizer=OptimizerChoice.of("adam", {"lr": 0.001, "multipliers": {}}),
        schedule=ScheduleChoice.of("constant", {"warmup": 0}),
        train=TrainSettings(epochs=EPOCHS),
        evaluate=EvaluateSettings(),
        seed=seed,
    )
    frozen = replace(base, model=choose("model", base.model.name, {"freeze": "backbone"}))
    gentle = replace(base, optimizer=OptimizerChoice.of("adam", {"lr": 0.0001, "multipliers": {"backbone": 0.1}}))
    last = replace(
        gentle,
        loss=(cross_entropy, LossChoice.of("dice", {"weight": 1.0})),
        augment=(AugmentChoice.of("crop", {"size": [64, 64]}), AugmentChoice.of("flip", {"p": 0.5})),
    )
    return [base, frozen, gentle, last]


def _make_result(run: Run, skill: float, colours: Mapping, shares: np.ndarray, splits: tuple[str, ...]) -> RunResult:
    rng = np.random.default_rng(int(run.id, 16))
    first = 0 if run.start else 1
    rises = [skill - 0.35 * np.exp(-0.45 * (epoch + 4 * bool(run.start))) for epoch in range(EPOCHS + 1)]
    history, best = [], (-1.0, 0)
    for epoch in range(first, EPOCHS + 1):
        counts = _make_counts(rises[epoch] + rng.normal(0, 0.012), rng, colours, shares, "val")
        scores = all_scores(counts)
        improved = epoch > 0 and scores["miou_dataset"] > best[0]
        best = (scores["miou_dataset"], epoch) if improved else best
        loss = 2.2 * (1 - rises[epoch])
        metrics = {"val/loss": 1.1 * loss} | {f"val/{key}": value for key, value in scores.items()}
        metrics |= dict(zip([f"val/iou/{c}" for c in colours], iou_class(counts.confusion_CC()), strict=True))
        if epoch:
            metrics |= {"train/loss": loss + rng.normal(0, 0.02), "lr/head": 1e-3, "lr/backbone": 1e-4}
            metrics["train/images_per_s"] = 40 + rng.normal(0, 1)
        history.append(Progress(epoch, EPOCHS, metrics, improved, 1_700_000_000_000 + epoch))
    counts = {
        split: _make_counts(skill - 0.12 * (split == "test") + rng.normal(0, 0.01), rng, colours, shares, split)
        for split in splits
    }
    examples = _make_examples(skill, rng, colours)
    start, last = (
        {split: _make_counts(level - 0.12 * (split == "test"), rng, colours, shares, split) for split in splits}
        for level in (rises[0], skill - 0.01)
    )
    return RunResult(
        run_id=run.id,
        status="finished",
        history=tuple(history),
        best_epoch=best[1],
        counts=counts,
        last_counts=counts if best[1] == EPOCHS else last,
        start_counts=start if run.start else {},
        contract=CONTRACT,
        examples=examples,
        colours=tuple(colours.values()),
        provenance={
            "commit": "c7be814",
            "packages": {"torch": "2.15.0"},
            "device": {"name": "cpu"},
            "run": {"id": run.id},
        },
        seconds=55.0 + run.seed,
    )


def _make_counts(skill: float, rng: np.random.Generator, colours: Mapping, shares: np.ndarray, split: str) -> Counts:
    """Twenty images of 9216 pixels, the same for all runs; rare classes are harder, errors go to the frequent ones."""
    right_C = np.clip(skill - 0.25 * (shares < 0.05), 0.02, 0.99)
    share_C = shares / shares.sum()
    rates_CC = (1 - right_C)[:, None] * share_C + np.diag(right_C)
    true_NC = np.stack([_true_pixels(index, len(split), tuple(share_C)) for index in range(20)])
    confusions = list(rng.multinomial(true_NC, rates_CC / rates_CC.sum(axis=1, keepdims=True)))
    images = [f"{split}-{index:03d}" for index in range(20)]
    return make_counts(confusions, images, [f"block{index // 5}" for index in range(20)], list(colours))


@cache
def _true_pixels(image: int, split: int, share_C: tuple[float, ...]) -> np.ndarray:
    return np.random.default_rng([image, split]).multinomial(9216, share_C)


def _make_examples(skill: float, rng: np.random.Generator, colours: Mapping) -> Examples:
    num, height, width = len(colours), 72, 96
    palette = np.array(list(colours.values()), np.uint8)
    names, images, labels, predictions = [], [], [], []
    for index in range(4):
        truth = np.full((height, width), min(8, num - 1), np.uint8)
        truth[: 24 + 4 * index] = num - 1
        for blob in range(9):
            y, x, r = 30 + (blob * 13 + index * 7) % 36, (blob * 29 + index * 11) % 90, 3 + blob % 5
            truth[y - r : y + r, x : x + 2 * r] = (blob * 3 + index) % num
        shade = np.linspace(0.75, 1.1, height)[:, None, None]
        images.append(np.clip(palette[truth] * shade, 0, 255).astype(np.uint8))
        predicted = np.where(rng.random(truth.shape) < skill, truth, rng.integers(0, num, truth.shape)).astype(np.uint8)
        truth[-6:, :30] = 255
        labels.append(truth)
        predictions.append(predicted)
        names.append(f"val-{index * 13:03d}")
    return Examples(tuple(names), tuple(images), tuple(labels), tuple(predictions))
