"""RunConfig + Machine -> Setup: the live objects of one run. Nothing here trains."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from harness import registry
from harness.data import open_source
from harness.data.prepared import PreparedSplit
from harness.data.source import IGNORE, Source
from harness.data.subsets import divide_val
from harness.environment import OWN, require_device
from harness.errors import InputError, name_some
from harness.models.network import Network, freeze, group_of, keep_still, kept_against
from harness.models.weights import load_weights
from harness.parts.augment import Augment
from harness.parts.losses import ClassWeighted, Loss
from harness.parts.schedules import Schedule, with_warmup
from harness.records import Machine, RunConfig
from harness.settings import ModelChoice
from harness.spec.conflicts import find_conflict, find_small_batch
from harness.train.batch_counter import BatchCounter
from harness.train.batches import Batch, Normalizer, make_normalizer, measure_preprocessing, read_images
from harness.train.feature_cache import FeatureCache, make_feature_caches
from harness.train.gpu_dataset import GpuDataset, load_gpu_datasets, spare_bytes
from harness.train.memory import MicroBatch
from harness.train.seeding import seed_torch

GROUPS: tuple[Literal["backbone", "head"], ...] = ("backbone", "head")
MOST_NAMED = 5
"""Images that a note names before it only counts."""
MOST_SIZES = 64
"""Batch sizes, in training and in evaluation, for each of which the network is compiled."""

LossTerms = tuple[tuple[float, Loss], ...]
"""Weight and function of each term."""


@dataclass(frozen=True)
class TrainState:
    """What is trained, and by what. The record is frozen; the weights and the optimizer's state in it change."""

    network: Network
    loss: LossTerms
    class_weights_C: npt.NDArray[np.float64] | None
    """Those of the first loss term that says how it weighs classes; None where none does."""
    optimizer: torch.optim.Optimizer
    base_lr: Mapping[str, float]
    """Learning rate of each parameter group before the schedule."""
    schedule: Schedule


@dataclass(frozen=True)
class TrainData:
    """What a run is fed with, and what its images go through before the network."""

    source: Source
    splits: Mapping[str, PreparedSplit]
    selects_on: str
    """The split that chooses the best epoch: `val`, or `select`, which is held out of it."""
    pixels_IC: npt.NDArray[np.int64]
    """Pixels of each class in each image of the training split, at input size and before augmentation."""
    augment: tuple[Augment, ...]
    normalize: Normalizer
    feature_caches: Mapping[str, FeatureCache] = field(default_factory=dict)
    """Split -> what frozen layers make of its images, where that is the same in every epoch."""
    gpu_datasets: Mapping[str, GpuDataset] = field(default_factory=dict)
    """Split -> its images on the device, where it is a GPU that has room for them."""

    def batch(self, split_name: str, places: Sequence[int], device: torch.device) -> Batch:
        """Return some images of a split as they are, on the device."""
        if (on_gpu := self.gpu_datasets.get(split_name)) is not None:
            return on_gpu.batch(places)
        return read_images(self.splits[split_name], places).to(device)


@dataclass(frozen=True)
class Setup:
    """A run, ready to train: its config, what is trained, what it is fed with, and how."""

    config: RunConfig
    device: torch.device
    state: TrainState
    data: TrainData
    warm: bool
    """Whether the weights are another run's."""
    notes: tuple[str, ...]
    """What was done while building that a reader of the results should know."""
    micro_batch: MicroBatch = field(default_factory=MicroBatch)
    counter: BatchCounter = field(default_factory=BatchCounter)


def open_splits(config: RunConfig) -> Source:
    """Open the data of a run, with the split that chooses the best epoch where one is held out for it.

    Raises:
        InputError: the data cannot be read, or val has too few groups to hold any out.
    """
    return divide_val(open_source(config.data, config.seed), config.evaluate)


def build_setup(config: RunConfig, machine: Machine, *, start: Path | None, source: Source | None = None) -> Setup:
    """Build a run's live objects; `start` is the weights file of the run it starts from.

    `source` stands in for the data that the config names, as `open_splits` opens them.

    Raises:
        InputError: data or weights cannot be read, or the settings do not go together.
    """
    # In this order, since each needs the one before: data say how many classes and channels there are, by which the
    # network is built, whose weights the optimizer moves. Only the weights are drawn, from the seed alone.
    device = resolve_device(machine.device)
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # else what asks for "the" GPU takes memory of the first one
    source = source or open_splits(config)
    splits = {name: prepare_split(config, source, name, cached=machine.cache) for name in source.splits}
    num_classes = len(source.taxonomy.classes)
    preprocessing = measure_preprocessing(config.data.normalize, config.data.inputs, splits["train"])
    network, notes = build_network(config, num_classes, preprocessing.channels, start)
    network.module.to(device).to(memory_format=memory_format(config))
    compile_network(config, network)
    optimizer, base_lr = _build_optimizer(config, network)
    schedule = registry.build("schedule", config.schedule, epochs=config.train.epochs)
    schedule = with_warmup(schedule, config.schedule.warmup, config.schedule.floor)
    _check(config, network, device, len(splits["train"]))
    pixels_IC = count_class_pixels(splits["train"], num_classes)
    selects_on = "select" if "select" in splits else "val"
    caches = make_feature_caches(config, network, splits, selects_on) if device.type == "cpu" else {}
    known: dict[str, Any] = {"num_classes": num_classes, "class_pixels": pixels_IC}
    loss = tuple((term.weight, registry.build("loss", term, **known)) for term in config.loss)
    return Setup(
        config=config,
        device=device,
        state=TrainState(network, loss, _find_class_weights(loss, num_classes), optimizer, base_lr, schedule),
        data=TrainData(
            source=replace(source, notes=(*source.notes, *_note_unlabelled(splits["train"].names, pixels_IC))),
            splits=splits,
            selects_on=selects_on,
            pixels_IC=pixels_IC,
            augment=tuple(registry.build("augment", step) for step in config.augment),
            normalize=make_normalizer(preprocessing, config.train.memory_format, device),
            feature_caches=caches,
            gpu_datasets=load_gpu_datasets(config, splits, device, spare_bytes(device)) if machine.resident else {},
        ),
        warm=start is not None,
        notes=(
            *network.notes,
            *notes,
            *_note_unsaid_weights(config, loss),
            *(f"features of frozen layers: computed once ({name})" for name in caches),
        ),
    )


def prepare_split(config: RunConfig, source: Source, name: str, *, cached: bool) -> PreparedSplit:
    """Return a split as a run reads it."""
    size, with_depth = config.data.size, "depth" in config.data.inputs
    split, judged_size = source.splits[name], config.evaluate.size
    return PreparedSplit(split, source.taxonomy, size, judged_size, with_depth=with_depth, cached=cached)


def prepare_process(config: RunConfig) -> None:
    """Set what torch keeps for the whole process: threads and deterministic algorithms.

    cuBLAS adds in one order only with a workspace of a fixed size. Memory handed out empty is not filled: that decides
    no number, and takes a pass over the output of each convolution.
    """
    torch.set_num_threads(config.train.threads)
    torch.use_deterministic_algorithms(config.train.deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if config.train.deterministic:
        for name, value in OWN.items():
            os.environ.setdefault(name, value)
    torch.backends.cudnn.benchmark = False


def resolve_device(name: str) -> torch.device:
    """Return the device; `auto` is the first GPU if torch can use one, else the CPU.

    Raises:
        InputError: there is no such device, or torch cannot use it.
    """
    require_device(name)
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name}: torch {torch.__version__} sees no GPU here; use --device cpu")
    return device


def build_network(
    config: RunConfig, num_classes: int, channels: int, start: Path | None
) -> tuple[Network, tuple[str, ...]]:
    """Return a run's network on the CPU, and notes; with `start`, with the weights of that file and no others.

    Raises:
        InputError: weights cannot be read, or do not fit.
    """
    choice, notes = config.model, []
    if start is not None:  # the parent's weights replace all others: do not read (or fetch) those first
        choice = without_weights(choice)
    seed_torch(config.seed, "weights")
    supplied = {"num_classes": num_classes, "in_channels": channels}
    network = keep_still(_require_network(choice, registry.build("model", choice, **supplied)))
    if start is not None:
        load_weights(network.module, start, optional=())
        notes.append("weights: those of the run it starts from")
    freeze(network, config.model.freeze)
    if kept := kept_against(network, config.model.freeze):
        total = len(list(network.module.parameters()))
        notes.append(f"{len(kept)} of {total} tensors stay as they are: the model itself was built with them frozen")
    return network, tuple(notes)


def without_weights(model: ModelChoice) -> ModelChoice:
    """Return a model that is built with random weights."""
    return model.with_settings(**dict.fromkeys(registry.find_part("model", model.name).locations, "none"))


def _require_network(choice: ModelChoice, built: Any) -> Network:
    """Refuse what a plugin's model may give back in place of a network; a prefix without a name would freeze nothing.

    Raises:
        InputError: what is wrong, and where the model is defined.
    """
    model = f"model '{choice.name}' ({registry.find_part('model', choice.name).place})"
    if not isinstance(built, Network):
        raise InputError(
            f"{model}: it returned a {type(built).__name__}; a model returns harness.plugin.Network("
            "module, read, backbone, classifier)"
        )
    names = [name for name, _ in built.module.named_parameters()]
    for kind in ("backbone", "classifier"):
        prefixes = getattr(built, kind)
        if prefixes and not any(name.startswith(prefixes) for name in names):
            raise InputError(f"{model}: no parameter's name begins with {' or '.join(prefixes)}, its {kind}")
    if choice.freeze == "backbone" and not built.backbone:
        raise InputError(f"model.freeze: backbone: {model} has no backbone; write none or all_but_classifier")
    return built


def _find_class_weights(loss: LossTerms, num_classes: int) -> npt.NDArray[np.float64] | None:
    """Return the class weights of the first term that says them.

    Raises:
        InputError: there are not as many as classes.
    """
    found = next((np.asarray(term.weights_C, np.float64) for _, term in loss if isinstance(term, ClassWeighted)), None)
    if found is not None and found.shape != (num_classes,):
        raise InputError(f"loss: ClassWeighted has weights of shape {found.shape}; the data has {num_classes} classes")
    return found


def _note_unsaid_weights(config: RunConfig, loss: LossTerms) -> tuple[str, ...]:
    """Return that a term has class weights and does not say which: what training records of the others is then less."""
    return tuple(
        f"loss {choice.name}: its class weights are not known to harness (it returns no ClassWeighted), so their share "
        "in the gradient is not recorded"
        for choice, (_, term) in zip(config.loss, loss, strict=True)
        if choice.own.get("class_weights", "none") not in ("none", None) and not isinstance(term, ClassWeighted)
    )


def count_class_pixels(split: PreparedSplit, num_classes: int) -> npt.NDArray[np.int64]:
    """Return each class's pixels in each image of a split, at input size and before augmentation, [I, C]."""
    rows = [np.bincount(split.pair(i)[1].ravel(), minlength=IGNORE + 1)[:num_classes] for i in range(len(split))]
    return np.array(rows, np.int64)


def _note_unlabelled(names: Sequence[str], pixels_IC: npt.NDArray[np.int64]) -> Iterator[str]:
    """Yield which training images have no pixel with a class: training on them moves no weight."""
    empty = [name for name, pixels_C in zip(names, pixels_IC, strict=True) if not pixels_C.any()]
    if empty:
        yield (
            f"{len(empty)} of {len(names)} training images have no pixel with a class (every label is ignored), and"
            f" teach nothing: {name_some(empty, MOST_NAMED)}"
        )


def _build_optimizer(config: RunConfig, network: Network) -> tuple[torch.optim.Optimizer, dict[str, float]]:
    """Make one parameter group for each of `backbone` and `head` that has weights to move.

    Raises:
        InputError: no weight moves, or none of a group that a multiplier is written for; a fused step is asked for, and
            the optimizer has none.
    """
    members: dict[str, list[torch.nn.Parameter]] = {name: [] for name in GROUPS}
    for name, parameter in network.module.named_parameters():
        if parameter.requires_grad:
            members[group_of(network, name)].append(parameter)
    multipliers, lr = config.optimizer.multipliers, config.optimizer.lr
    base_lr: dict[str, float] = {name: lr * multipliers.get(name, 1.0) for name in GROUPS if members[name]}
    if not base_lr:
        raise InputError(f"model '{config.model.name}': none of its weights moves: it is built frozen as a whole")
    if idle := [name for name in multipliers if name not in base_lr]:
        raise InputError(
            f"optimizer.multipliers.{idle[0]}: it has no effect: no weight of the {idle[0]} of model "
            f"'{config.model.name}' moves; leave it out"
        )
    fused = config.train.optimizer_step == "fused"
    kernel = {"fused": True, "foreach": False} if fused else {}
    groups = [{"params": members[name], "lr": base_lr[name], "name": name, **kernel} for name in base_lr]
    optimizer: torch.optim.Optimizer = registry.build("optimizer", config.optimizer, groups=groups)
    if fused and "fused" not in optimizer.defaults:
        raise InputError(f"train.optimizer_step: {config.optimizer.name} has no fused step; use plain")
    return optimizer, base_lr


def _check(config: RunConfig, network: Network, device: torch.device, images: int) -> None:
    if problem := find_small_batch(config, images, network.min_batch):
        raise InputError(problem)
    if clash := find_conflict(config):
        raise InputError(f"train.{clash.key}: {clash.problem}")
    check_compile(config, device)
    if config.train.precision == "bfloat16" and not has_bfloat16(device):
        raise InputError(f"train.precision: bfloat16 has no hardware support on {device}; use float32")


def check_compile(config: RunConfig, device: torch.device) -> None:
    """Refuse what cannot be compiled.

    Raises:
        InputError: a compiler is missing: that of C++, or, on a GPU, that of C, by which Triton starts its kernels.
    """
    if config.train.compile == "none":
        return
    variable, usual = ("CXX", ["g++"]) if device.type == "cpu" else ("CC", ["gcc", "clang"])
    compilers = shlex.split(os.environ.get(variable, ""))[:1] or usual
    if not any(map(shutil.which, compilers)):
        names = " or ".join(compilers)
        raise InputError(f"train.compile: {config.train.compile} needs the compiler {names}; install it, or use none")


def compile_network(config: RunConfig, network: Network) -> None:
    """Have the network compiled when it is first used, for each size of batch anew.

    One program for all sizes, made when the second size is met, would compute full batches in another way from then on:
    a run that goes on after an interruption would not be the one that it would have been.
    """
    if config.train.compile == "none":
        return
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MOST_SIZES
    network.module.compile(mode=config.train.compile, dynamic=None if config.data.size == "native" else False)


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has hardware for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def memory_format(config: RunConfig) -> torch.memory_format:
    """Return the order of a tensor's elements that a run asks for."""
    return torch.channels_last if config.train.memory_format == "channels_last" else torch.contiguous_format
