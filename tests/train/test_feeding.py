"""Where images lie, and who makes a batch, changes no number; one sampling is a setting of the run."""

import time
import weakref
from dataclasses import replace
from functools import partial

import PIL.Image
import pytest
import torch

from harness.errors import InputError, RunFailed
from harness.execute import run
from harness.execute.events import Warned
from harness.execute.run import run_one
from harness.records import Machine, Run, RunConfig
from harness.registry import choose
from harness.runs.folder import RunFolder, load_result
from harness.settings import EvaluateSettings, TrainSettings
from harness.spec.plan import run_id
from harness.train import gpu_dataset, loop, setup
from harness.train import prefetch as prefetching
from harness.train.batches import Batch, Preprocessing, make_normalizer, read_sample, stack, training_order
from harness.train.evaluate import evaluate
from harness.train.forward import total_loss
from harness.train.gpu_dataset import load_gpu_datasets
from harness.train.loop import train_epoch
from harness.train.metrics import count_shown
from harness.train.prefetch import prefetch, read_ahead
from harness.train.setup import build_setup, check_compile, prepare_process

AUGMENT = (choose("augment", "rotate", {"degrees": 20.0}), choose("augment", "flip", {}))
ROOM = 2**30
DEVICES = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]


def make_config(augment=(), **train) -> RunConfig:
    scenes = {"size": [48, 64], "train_images": 7, "val_images": 3, "normalize": "centered"}
    return RunConfig(
        data=choose("data", "desert", scenes),
        model=choose("model", "unet", {"base_channels": 4}),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=augment,
        optimizer=choose("optimizer", "adam", {"lr": 1e-3}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=1, batch_size=3, **train),
        evaluate=EvaluateSettings(),
        seed=5,
    )


def build(config: RunConfig, device: str = "cpu"):
    prepare_process(config)
    return build_setup(config, Machine(device), start=None)


def with_images_on_device(setup):
    held = load_gpu_datasets(setup.config, setup.data.splits, setup.device, ROOM)
    return replace(setup, data=replace(setup.data, gpu_datasets=held))


def batches(setup, epoch=1):
    return prefetch(setup.config, setup.data, setup.device, epoch)


def trained(setup):
    measured = train_epoch(setup, 1)
    del measured["train/images_per_s"]
    counts = evaluate(setup, "val").counts
    return measured, counts.confusion_CC().tolist(), setup.state.network.module.state_dict()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("config", [make_config(), make_config(AUGMENT, augment_as="one_sampling")], ids=str)
def test_images_on_the_device_change_no_bit(config, device):
    setup = with_images_on_device(build(config, device))
    assert set(setup.data.gpu_datasets) == {"train", "val", "test"}
    plain = build(config, device)
    (measured, counts, weights), other = (
        trained(setup),
        trained(replace(plain, data=replace(plain.data, gpu_datasets={}))),
    )
    assert (measured, counts) == other[:2]
    assert all(torch.equal(weights[name], other[2][name]) for name in weights)


def test_images_that_are_augmented_on_the_host_stay_there():
    assert set(with_images_on_device(build(make_config(AUGMENT))).data.gpu_datasets) == {"val", "test"}


def test_what_does_not_fit_is_read_and_sent():
    setup = build(make_config())
    image_bytes = 48 * 64 * 4
    few = len(setup.data.splits["val"]) * image_bytes
    assert set(load_gpu_datasets(setup.config, setup.data.splits, setup.device, few)) == {"val"}
    assert not load_gpu_datasets(setup.config, setup.data.splits, setup.device, few - 1)


def test_one_sampling_is_part_of_the_id_and_its_default_is_not():
    plain = make_config(AUGMENT)
    assert "augment_as" not in str(plain.to_dict()) or run_id(plain, {}, None) == run_id(make_config(AUGMENT), {}, None)
    assert run_id(make_config(AUGMENT, augment_as="one_sampling"), {}, None) != run_id(plain, {}, None)


def test_one_sampling_shows_other_pixels_of_the_same_draws():
    by_steps, together = (
        next(batches(build(make_config(AUGMENT, augment_as=how)))) for how in ("steps", "one_sampling")
    )
    near = (by_steps.images_BCHW.int() - together.images_BCHW.int()).abs() <= 1
    assert 0.9 < near.float().mean() < 1


@pytest.mark.parametrize("augment", [(), AUGMENT], ids=["plain", "augmented"])
def test_the_pixels_shown_are_those_of_the_batches(augment, monkeypatch):
    setup, seen = build(make_config(augment)), []
    monkeypatch.setattr(loop, "measure_shown", lambda classes, shown, *held: seen.extend(shown) or {})
    train_epoch(setup, 1)
    for shown_C, batch in zip(seen, batches(setup), strict=True):
        assert torch.equal(shown_C, count_shown(batch.labels_BHW, len(shown_C)))


@pytest.mark.parametrize("room", [1, 2 * 3 * 48 * 64 * 4, 2**20], ids=["one", "two", "all"])
def test_batches_read_together_are_those_read_one_by_one(room, monkeypatch):
    monkeypatch.setattr(prefetching, "BYTES_AT_ONCE", room)
    setup = build(make_config())
    fed, order = list(batches(setup, 2)), training_order(7, 3, seed=5, epoch=2)
    assert [list(item.places) for item in fed] == order
    for item, places in zip(fed, order, strict=True):
        samples = [read_sample(setup.data.splits["train"], place) for place in places]
        alone = stack(samples, [""] * len(places))
        assert torch.equal(item.images_BCHW, alone.images_BCHW)
        assert torch.equal(item.labels_BHW, alone.labels_BHW)


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_normalising_does_not_ask_how_images_lie_in_memory(memory_format):
    draw = torch.Generator().manual_seed(0)
    stored_BHWC = torch.randint(0, 256, (2, 5, 7, 3), generator=draw, dtype=torch.uint8)
    labels_BHW, depths_BHW = torch.zeros(2, 5, 7, dtype=torch.uint8), torch.rand(2, 5, 7, generator=draw)
    preprocessing = Preprocessing(("rgb", "depth"), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.4, 0.2)
    normalize = make_normalizer(preprocessing, memory_format, torch.device("cpu"))
    as_stored = stored_BHWC.permute(0, 3, 1, 2)
    batches = [Batch(images, labels_BHW, depths_BHW) for images in (as_stored, as_stored.contiguous())]
    for few in (None, depths_BHW):
        found, other = (normalize(batch._replace(depths_BHW=few)) for batch in batches)
        assert torch.equal(found, other)
        assert found.stride() == other.stride()
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (preprocessing.mean, preprocessing.std))
    assert torch.equal(found[:, :3], (as_stored.float() / 255 - mean) / std)


def test_images_of_two_sizes_are_no_batch(tmp_path):
    for folder, mode in (("images", "RGB"), ("masks", "L")):
        (tmp_path / folder).mkdir()
        for name in range(8):
            size = (64, 48) if name % 2 else (48, 64)
            PIL.Image.new(mode, size, name * 20 if mode == "RGB" else 0).save(tmp_path / folder / f"{name}.png")
    scenes = {"root": str(tmp_path), "size": "native", "normalize": "centered", "classes": ["one"]}
    setup = build(replace(make_config(), data=choose("data", "folder", scenes)))
    with pytest.raises(RunFailed, match=r"'\d' is \(\d\d, \d\d\), '\d' is \(\d\d, \d\d\) .*; set data.size, or crop"):
        train_epoch(setup, 1)


def test_threads_read_ahead_in_order():
    def make(place: int) -> int:
        time.sleep(0.01 * (place % 3))
        return place

    assert list(read_ahead([partial(make, place) for place in range(20)], threads=4)) == list(range(20))


def test_an_error_in_a_thread_comes_out_where_its_batch_would():
    def make(place: int) -> int:
        if place == 3:
            raise InputError("image 3 cannot be read")
        return place

    found = []
    with pytest.raises(InputError, match="image 3"):
        for item in read_ahead([partial(make, place) for place in range(20)], threads=2):
            found.append(item)
    assert found == [0, 1, 2]


def test_batches_that_nobody_wants_are_not_made():
    made = []

    def make(place: int) -> int:
        time.sleep(0.05)
        made.append(place)
        return place

    reading = read_ahead([partial(make, place) for place in range(20)], threads=1)
    assert next(reading) == 0
    reading.close()
    assert len(made) <= 3


def test_where_memory_runs_out_images_leave_the_device_first(tmp_path, monkeypatch):
    """A GPU is played by the CPU; the first step of a network whose images lie there finds no memory."""
    config = make_config()
    undisturbed = run_alone(config, tmp_path / "undisturbed")
    monkeypatch.setattr(setup, "spare_bytes", lambda device: ROOM)
    steps, real = [], loop.add_gradient

    def add_gradient(setup, batch, batches):
        steps.append(set(setup.data.gpu_datasets))
        if setup.data.gpu_datasets:
            raise torch.OutOfMemoryError("out of memory")
        return real(setup, batch, batches)

    networks = []

    def build_alone(*given, **named):
        assert not any(network() for network in networks), "the network before it still takes memory"
        setup = build_setup(*given, **named)
        module = setup.state.network.module
        module.__dict__["itself"] = module.forward  # as a compiled one refers to itself
        networks.append(weakref.ref(module))
        return setup

    monkeypatch.setattr(loop, "add_gradient", add_gradient)
    monkeypatch.setattr(run, "build_setup", build_alone)
    told = []
    assert run_alone(config, tmp_path / "disturbed", told.append) == undisturbed
    assert len(networks) == 2
    assert steps[0] == {"train", "val", "test"}
    assert not any(steps[1:])
    [warned] = [item for item in told if isinstance(item, Warned)]
    assert warned.text.endswith("memory ran out on cpu; images are read from the main memory from now on")


def test_a_device_that_is_full_after_all_leaves_images_in_the_main_memory(monkeypatch):
    def full(split, device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(gpu_dataset, "GpuDataset", full)
    assert not with_images_on_device(build(make_config())).data.gpu_datasets


def run_alone(config, place, tell=lambda event: None):
    run_one(Run("id", "v", 0, config, {}), RunFolder(place), Machine("cpu"), None, tell)
    return load_result(RunFolder(place)).counts["val"].confusion_CC().tolist()


@pytest.mark.parametrize("more", [{"accumulate": 2}, {"on_oom": "accumulate"}], ids=str)
def test_whole_steps_are_not_replayed_where_gradients_are_added_up(more):
    """A trial's drawn values meet here first; what a study says is refused when it is planned."""
    with pytest.raises(InputError, match=r"train\.compile: reduce-overhead replays whole steps"):
        build(make_config(compile="reduce-overhead", **more))


@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=str)
def test_a_loss_that_is_no_scalar_is_summed_however_many_terms_there_are(shape):
    logits_BCHW, labels_BHW = torch.ones(3, 2, 4, 5), torch.zeros(3, 4, 5, dtype=torch.int64)
    term = (0.5, lambda logits_BCHW, labels_BHW: torch.ones(shape))
    for times in (1, 2):
        total = total_loss((term,) * times, logits_BCHW, (), labels_BHW)
        assert total.shape == ()
        assert total == times * 0.5 * max(sum(shape), 1)


def test_compiling_without_a_compiler_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InputError, match=r"train.compile: default needs the compiler g\+\+; install it, or use none"):
        build(make_config(compile="default"))


def test_compiling_for_a_gpu_needs_a_compiler_of_c(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    config, gpu = make_config(compile="default"), torch.device("cuda", 0)
    with pytest.raises(InputError, match=r"train.compile: default needs the compiler gcc or clang; install it"):
        check_compile(config, gpu)
    (tmp_path / "clang").touch(0o755)
    check_compile(config, gpu)


@pytest.mark.slow
def test_a_compiled_network_trains_to_nearly_the_same_and_takes_full_batches_alike_before_and_after_a_smaller_one():
    plain, setup = trained(build(make_config())), build(make_config(compile="default"))
    compiled = trained(setup)  # of 7 images, the last batch has one of three
    assert compiled[0]["train/loss"] == pytest.approx(plain[0]["train/loss"], rel=1e-4)
    assert list(compiled[2]) == list(plain[2])
    images = torch.randn(3, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    setup.state.network.module.eval()
    with torch.inference_mode():
        first, _, again = (setup.state.network.module(images[:count]) for count in (3, 2, 3))
    assert torch.equal(first, again)
