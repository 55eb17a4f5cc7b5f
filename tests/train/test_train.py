"""Training: what a run promises, on tiny scenes."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_runs import make_config, make_setup, same, weights_of, without_speed

from harness.errors import InputError, RunFailed
from harness.predictions import unpack
from harness.records import Progress
from harness.registry import choose
from harness.settings import EarlyStop, EvaluateSettings, TrainSettings
from harness.train.batches import cut, make_batch, training_order
from harness.train.checkpoint import Checkpoint, copy_weights, load_newest, save_state, save_weights
from harness.train.evaluate import evaluate, evaluate_in_detail
from harness.train.loop import stops_early, train
from harness.train.regions import count_confusion
from harness.train.setup import prepare_process


def test_a_process_is_prepared_for_one_order_of_sums_on_a_gpu_and_a_users_own_workspace_stays(monkeypatch):
    for own, deterministic, then in ((None, True, ":4096:8"), (None, False, None), (":16:8", True, ":16:8")):
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        if own:
            monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", own)
        prepare_process(make_config(train=TrainSettings(deterministic=deterministic)))
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == then
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert torch.empty(2**16).isnan().sum() < 2**16  # nothing is filled only to be overwritten


def test_twice_is_bit_identical_and_another_seed_is_not():
    first, second, other = make_setup(), make_setup(), make_setup(make_config(seed=1))
    histories = [list(train(setup)) for setup in (first, second, other)]
    assert same(weights_of(first), weights_of(second))
    assert [without_speed(p) for p in histories[0]] == [without_speed(p) for p in histories[1]]
    assert not same(weights_of(first), weights_of(other))


@pytest.mark.parametrize("model", [("unet", {"base_channels": 4}), ("lraspp_mobilenet_v3_large", {})])
def test_resumed_at_an_epoch_it_is_the_run_it_would_have_been(tmp_path, model):
    """LRASPP has dropout: its noise depends on seed and epoch, not on how often the generator was used before."""
    config = make_config(model=choose("model", *model))
    whole = make_setup(config)
    history = list(train(whole))
    broken = make_setup(config)
    done = []
    for progress in train(broken):
        done.append(progress)
        checkpoint = Checkpoint(tuple(done), copy_weights(broken.state.network), 1.5)
        save_state(tmp_path / "state.pt", tmp_path / "before.pt", broken.state, checkpoint)
        if progress.epoch == 2:
            break
    resumed = make_setup(config)
    loaded = load_newest([tmp_path / "state.pt"], resumed.state)
    assert loaded.seconds == 1.5
    assert [item.epoch for item in loaded.history] == [1, 2]
    rest = list(train(resumed, loaded.history))
    assert [item.epoch for item in rest] == [3]
    assert without_speed(rest[0]) == without_speed(history[2])
    assert same(weights_of(whole), weights_of(resumed))


def test_warm_start_judges_the_parents_weights_as_epoch_zero(tmp_path):
    parent = make_setup()
    last = list(train(parent))[-1]
    save_weights(tmp_path / "best.pt", copy_weights(parent.state.network))
    child = make_setup(make_config(optimizer=choose("optimizer", "sgd", {"lr": 1e-9})), start=tmp_path / "best.pt")
    zero = next(iter(train(child)))
    assert zero.epoch == 0
    assert zero.metrics["val/miou_dataset"] == last.metrics["val/miou_dataset"]
    assert not zero.improved


def test_a_start_is_never_the_best_epoch_unless_nothing_is_trained(tmp_path):
    """A rate that destroys the weights: the best epoch is one of the run's own, though each is worse than the start."""
    parent = make_setup(make_config(train=TrainSettings(epochs=12, batch_size=4)))
    start = list(train(parent))[-1].metrics["val/miou_dataset"]
    save_weights(tmp_path / "best.pt", copy_weights(parent.state.network))
    ruinous = make_config(optimizer=choose("optimizer", "sgd", {"lr": 20.0}))
    zero, *own = train(make_setup(ruinous, start=tmp_path / "best.pt"))
    scores = [item.metrics["val/miou_dataset"] for item in own]
    assert max(scores) < start == zero.metrics["val/miou_dataset"]
    assert not zero.improved
    assert own[0].improved
    assert max(item.epoch for item in own if item.improved) == 1 + scores.index(max(scores))
    untrained = replace(ruinous, train=TrainSettings(epochs=0, batch_size=4))
    (only,) = train(make_setup(untrained, start=tmp_path / "best.pt"))
    assert only.improved


def test_checkpoint_is_the_plain_models_own_state(tmp_path):
    setup = make_setup(make_config(model=choose("model", "lraspp_mobilenet_v3_large", {})))
    save_weights(tmp_path / "best.pt", copy_weights(setup.state.network))
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    plain = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=10)
    plain.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))


def test_frozen_backbone_does_not_move():
    config = make_config(model=choose("model", "unet", {"base_channels": 4, "freeze": "backbone"}))
    setup = make_setup(config)
    before = weights_of(setup)
    list(train(setup))
    moved = {name for name, value in weights_of(setup).items() if not torch.equal(value, before[name])}
    assert moved
    assert not [name for name in moved if name.startswith(setup.state.network.backbone)]


def test_accumulated_steps_equal_one_large_step():
    """Without BatchNorm's batch statistics (frozen) 2 x 4 images are one batch of 8: same gradient, up to rounding."""
    results = []
    for size, accumulate in ((8, 1), (4, 2)):
        config = make_config(
            model=choose("model", "unet", {"base_channels": 4, "freeze": "all_but_classifier"}),
            data=choose("data", "desert", {"size": [32, 32], "train_images": 8, "normalize": "unit"}),
            optimizer=choose("optimizer", "sgd", {"lr": 0.1}),
            train=TrainSettings(epochs=1, batch_size=size, accumulate=accumulate),
        )
        setup = make_setup(config)
        list(train(setup))
        results.append(weights_of(setup))
    for name in results[0]:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-4, atol=1e-6)


def test_loss_that_is_not_finite_names_epoch_step_and_rate():
    setup = make_setup(make_config(optimizer=choose("optimizer", "sgd", {"lr": 1e30})))
    with pytest.raises(RunFailed, match=r"loss is (nan|inf) at epoch 1, step \d of 2, learning rate backbone \S+, "):
        list(train(setup))


def test_one_image_left_over_joins_the_batch_before():
    assert cut(range(9), 4) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert cut(range(3), 1) == [[0], [1], [2]]
    assert cut(range(1), 4) == [[0]]


def test_a_picture_depends_on_seed_epoch_and_name_alone():
    setup = make_setup()
    seen = {}
    for batch_size in (2, 5):
        for places in training_order(len(setup.data.splits["train"]), batch_size, seed=3, epoch=2):
            batch = make_batch(setup.data.splits["train"], places, setup.data.augment, seed=3, epoch=2)
            for image, label in zip(batch.images_BCHW, batch.labels_BHW, strict=True):
                seen.setdefault(batch_size, set()).add((image.numpy().tobytes(), label.numpy().tobytes()))
    assert seen[2] == seen[5]


def test_counts_cover_every_counted_pixel():
    setup = make_setup()
    counts = evaluate(setup, "val").counts
    assert counts.confusion_NCC().sum(axis=(1, 2)).tolist() == [32 * 32] * 4
    assert counts.images == setup.data.splits["val"].names


def test_evaluated_closely_it_is_the_same_and_its_regions_add_up():
    setup = make_setup()
    counts, (same, by_region, kept) = evaluate(setup, "val").counts, evaluate_in_detail(setup, "val", keep=3)
    whole = counts.confusion_NCC()
    assert (same.confusion_NCC() == whole).all()
    regions = {name: item.confusion_NCC() for name, item in by_region.items()}
    assert (regions["border"] + regions["interior"] == whole).all()
    assert (regions["top"] + regions["middle"] + regions["bottom"] == whole).all()
    assert [regions[name].sum() for name in ("top", "middle", "bottom")] == [4 * 11 * 32, 4 * 10 * 32, 4 * 11 * 32]
    assert 0 < regions["border"].sum() < whole.sum()
    names = setup.data.splits["val"].names
    assert kept.names == tuple(names[place] for place in (0, 2, 3))
    seen = unpack(kept, names[2])
    assert (seen.label == setup.data.splits["val"].judged_label(2)).all()
    assert (count_confusion(seen.prediction, seen.label, 10) == whole[2]).all()


def test_batch_size_one_with_aspp_says_why_not():
    config = make_config(
        model=choose("model", "deeplabv3_mobilenet_v3_large", {}), train=TrainSettings(epochs=1, batch_size=1)
    )
    with pytest.raises(InputError, match=r"train\.batch_size is 1, but deeplabv3_mobilenet_v3_large .* use at least 2"):
        make_setup(config)


def test_batch_size_one_works_where_it_can():
    setup = make_setup(make_config(train=TrainSettings(epochs=1, batch_size=1)))
    assert np.isfinite(next(iter(train(setup))).metrics["train/loss"])


def test_bfloat16_without_hardware_is_refused_or_runs():
    config = make_config(train=TrainSettings(epochs=1, batch_size=4, precision="bfloat16"))
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        assert np.isfinite(next(iter(train(make_setup(config)))).metrics["train/loss"])
    else:
        with pytest.raises(InputError, match="bfloat16 has no hardware support on cpu"):
            make_setup(config)


def progress(epoch: int, score: float) -> Progress:
    return Progress(epoch, 9, {"val/miou_dataset": score}, improved=False, time_ms=0)


@pytest.mark.parametrize(
    ("scores", "stops"),
    [([0.1, 0.2, 0.3], False), ([0.3, 0.2, 0.2], True), ([0.3, 0.305, 0.306], True), ([0.3, 0.2], False)],
)
def test_early_stop_waits_for_a_rise_of_min_delta(scores, stops):
    rule = EarlyStop(patience=2, min_delta=0.01)
    assert stops_early([progress(1 + i, score) for i, score in enumerate(scores)], rule) is stops


def test_early_stop_does_not_look_at_the_start():
    """A run that falls from its start and then rises is trained as long as one that rises from nothing."""
    rule, rising = EarlyStop(patience=2), [progress(1 + i, score) for i, score in enumerate([0.1, 0.2, 0.3, 0.4])]
    for start in (0.0, 0.9):
        history = [progress(0, start), *rising]
        assert not any(stops_early(history[:known], rule) for known in range(1, 6))
        assert stops_early([*history, progress(5, 0.3), progress(6, 0.4)], rule)


def test_learning_rates_follow_groups_and_schedule():
    config = make_config(
        optimizer=choose("optimizer", "adam", {"lr": 1e-3, "multipliers": {"backbone": 0.1}}),
        schedule=choose("schedule", "constant", {"warmup": 2}),
    )
    rates = [(p.metrics["lr/backbone"], p.metrics["lr/head"]) for p in train(make_setup(config))]
    assert [head for _, head in rates] == sorted(head for _, head in rates)
    assert rates[-1] == pytest.approx((1e-4, 1e-3))
    assert all(backbone == pytest.approx(head / 10) for backbone, head in rates)


def test_a_held_out_third_of_val_chooses_the_epoch_and_is_not_reported():
    config = make_config(
        data=choose("data", "desert", {"size": [32, 32], "train_images": 6, "val_images": 9, "test_images": 2}),
        evaluate=EvaluateSettings(select_split="held_out"),
    )
    setup = make_setup(replace(config, data=config.data.with_settings(normalize="unit")))
    select, val = setup.data.splits["select"], setup.data.splits["val"]
    assert (len(select), len(val)) == (3, 6)
    assert not set(select.groups) & set(val.groups)
    (first, *_) = train(setup)
    assert setup.data.selects_on == "select"
    assert first.metrics["val/miou_dataset"] >= 0
    assert evaluate(setup, "val").counts.images == val.names


def test_too_few_groups_cannot_be_held_out():
    config = make_config(evaluate=EvaluateSettings(select_split="held_out"))
    with pytest.raises(InputError, match="val has 2 groups of images, too few"):
        make_setup(replace(config, data=config.data.with_settings(val_images=2)))
