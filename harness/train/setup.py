"""RunConfig + Machine -> live objects. Nothing here trains; loop and evaluation use what stands on the bench."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from harness import registry
from harness.cores import require_device
from harness.data import open_source
from harness.data.prepared import PreparedSplit
from harness.data.source import IGNORE, Source
from harness.data.subsets import hold_out
from harness.environment import OWN
from harness.errors import InputError, name_some
from harness.models.network import Network, freeze, group_of, keep_still, kept_against
from harness.models.weights import load_weights
from harness.parts.augment import Augment
from harness.parts.losses import ClassWeighted, Loss
from harness.parts.schedules import Schedule, with_warmup
from harness.records import Machine, RunConfig
from harness.settings import ModelChoice
from harness.spec.conflicts import find_clash, find_small_batch
from harness.train.batches import Batch, Normalizer, make_normalizer, measure_preprocessing
from harness.train.compiled import check_compile, compile_network
from harness.train.feature_cache import KeptFeatures, keep_features
from harness.train.gpu_dataset import ResidentSplit, keep_resident, spare_bytes
from harness.train.pulse import Pulse
from harness.train.seeding import seed_torch

GROUPS: tuple[Literal["backbone", "head"], ...] = ("backbone", "head")
SHOWN = 5
"""Images that a note names before it only counts."""


@dataclass(frozen=True)
class AtOnce:
    """Most images that go through the network together, where memory holds no more; None: the batch as it is set."""

    train: int | None = None
    evaluate: int | None = None


@dataclass(frozen=True)
class Bench:
    """All live objects of one run. The record is frozen; the weights and the optimizer's state in it change."""

    config: RunConfig
    device: torch.device
    source: Source
    splits: Mapping[str, PreparedSplit]
    network: Network
    loss: tuple[tuple[float, Loss], ...]
    """Weight and function of each term."""
    pixels_IC: npt.NDArray[np.int64]
    """Pixels of each class in each image of the training split, at input size and before augmentation."""
    class_weights_C: npt.NDArray[np.float64] | None
    """Those of the first loss term that says how it weighs classes; None where none does."""
    augment: tuple[Augment, ...]
    optimizer: torch.optim.Optimizer
    base_lr: Mapping[str, float]
    """Learning rate of each parameter group before the schedule."""
    schedule: Schedule
    normalize: Normalizer
    warm: bool
    """Whether the weights are another run's."""
    selects_on: str
    """The split that chooses the best epoch: `val`, or `select`, which is held out of it."""
    notes: tuple[str, ...]
    """What was done while building that a reader of the results should know."""
    kept: Mapping[str, KeptFeatures] = field(default_factory=dict)
    """Split -> what frozen layers make of its images, where that is the same in every epoch."""
    resident: Mapping[str, ResidentSplit] = field(default_factory=dict)
    """Split -> its images on the device, where it is a GPU that has room for them."""
    at_once: AtOnce = AtOnce()
    pulse: Pulse = field(default_factory=Pulse)


def open_splits(config: RunConfig) -> Source:
    """Open the data of a run, with the split that chooses the best epoch where one is held out for it.

    Raises:
        InputError: the data cannot be read, or val has too few groups to hold any out.
    """
    source = open_source(config.data, config.seed)
    return hold_out(source) if config.evaluate.select_split == "held_out" else source


def build_bench(config: RunConfig, machine: Machine, *, start: Path | None, source: Source | None = None) -> Bench:
    """Build a run's live objects; `start` is the weights file of the run it starts from.

    `source` stands in for the data that the config names, as `open_splits` opens them.

    Raises:
        InputError: data or weights cannot be read, or the settings do not go together.
    """
    device = resolve_device(machine.device)
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # else what asks for "the" GPU takes memory of the first one
    source = source or open_splits(config)
    splits = {
        name: PreparedSplit(
            split,
            source.taxonomy,
            config.data.size,
            config.evaluate.size,
            with_depth="depth" in config.data.inputs,
            cached=machine.cache,
        )
        for name, split in source.splits.items()
    }
    num_classes = len(source.taxonomy.classes)
    preprocessing = measure_preprocessing(config.data.normalize, config.data.inputs, splits["train"])
    network, notes = build_network(config, num_classes, preprocessing.channels, start)
    network.module.to(device).to(memory_format=memory_format(config))
    compile_network(config, network)
    optimizer, base_lr = _build_optimizer(config, network)
    schedule = registry.build("schedule", config.schedule, epochs=config.train.epochs)
    _check(config, network, device, len(splits["train"]))
    pixels_IC = count_class_pixels(splits["train"], num_classes)
    source = replace(source, notes=(*source.notes, *_note_unlabelled(splits["train"].names, pixels_IC)))
    selects_on = "select" if "select" in splits else "val"
    kept = keep_features(config, network, splits, selects_on) if device.type == "cpu" else {}
    loss = _build_loss(config, pixels_IC)
    return Bench(
        config=config,
        device=device,
        source=source,
        splits=splits,
        network=network,
        loss=loss,
        pixels_IC=pixels_IC,
        class_weights_C=_find_class_weights(loss, num_classes),
        augment=tuple(registry.build("augment", step) for step in config.augment),
        optimizer=optimizer,
        base_lr=base_lr,
        schedule=with_warmup(schedule, config.schedule.warmup, config.schedule.floor),
        normalize=make_normalizer(preprocessing, config.train.memory_format, device),
        warm=start is not None,
        selects_on=selects_on,
        notes=(
            *network.notes,
            *notes,
            *_note_unsaid_weights(config, loss),
            *(f"features of frozen layers: computed once ({name})" for name in kept),
        ),
        kept=kept,
        resident=keep_resident(config, splits, device, spare_bytes(device)) if machine.resident else {},
    )


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
        choice = choice.with_settings(**dict.fromkeys(registry.find_part("model", choice.name).locations, "none"))
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


def _require_network(choice: ModelChoice, built: Any) -> Network:
    """Refuse what a plugin's model may give back in place of a network; a prefix without a name would freeze nothing.

    Raises:
        InputError: what is wrong, and where the model is defined.
    """
    model = f"model '{choice.name}' ({registry.find_part('model', choice.name).place})"
    if not isinstance(built, Network):
        raise InputError(
            f"{model}: it returned a {type(built).__name__}; a model returns harness.models.network.Network("
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


def _build_loss(config: RunConfig, pixels_IC: npt.NDArray[np.int64]) -> tuple[tuple[float, Loss], ...]:
    supplied: dict[str, Any] = {"num_classes": pixels_IC.shape[1], "class_pixels": pixels_IC}
    return tuple((term.weight, registry.build("loss", term, **supplied)) for term in config.loss)


def _find_class_weights(loss: Sequence[tuple[float, Loss]], num_classes: int) -> npt.NDArray[np.float64] | None:
    """Return the class weights of the first term that says them.

    Raises:
        InputError: there are not as many as classes.
    """
    found = next((np.asarray(term.weights_C, np.float64) for _, term in loss if isinstance(term, ClassWeighted)), None)
    if found is not None and found.shape != (num_classes,):
        raise InputError(f"loss: ClassWeighted has weights of shape {found.shape}; the data has {num_classes} classes")
    return found


def _note_unsaid_weights(config: RunConfig, loss: Sequence[tuple[float, Loss]]) -> tuple[str, ...]:
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
            f" teach nothing: {name_some(empty, SHOWN)}"
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
    if clash := find_clash(config):
        raise InputError(f"train.{clash.key}: {clash.problem}")
    check_compile(config, device)
    if config.train.precision == "bfloat16" and not has_bfloat16(device):
        raise InputError(f"train.precision: bfloat16 has no hardware support on {device}; use float32")


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has hardware for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def memory_format(config: RunConfig) -> torch.memory_format:
    """Return the order of a tensor's elements that a run asks for."""
    return torch.channels_last if config.train.memory_format == "channels_last" else torch.contiguous_format


def mixed_precision(bench: Bench) -> AbstractContextManager[object]:
    """Return the context in which the forward pass runs."""
    if bench.config.train.precision == "bfloat16":
        return torch.autocast(bench.device.type, dtype=torch.bfloat16)
    return nullcontext()


def forward(bench: Bench, images_BCHW: torch.Tensor) -> tuple[torch.Tensor, Sequence[tuple[float, torch.Tensor]]]:
    """Return logits_BCHW at input size, and weighted logits of auxiliary heads (none in evaluation)."""
    return bench.network.read(bench.network.module(images_BCHW))


def forward_batch(
    bench: Bench, split_name: str, batch: Batch
) -> tuple[torch.Tensor, Sequence[tuple[float, torch.Tensor]]]:
    """Do what `forward` does with a batch of a split; what frozen layers make of it is computed once, if it is kept."""
    bench.pulse.beat()
    kept = bench.kept.get(split_name) if batch.places else None
    if kept is None:
        return forward(bench, bench.normalize(batch))
    height, width = batch.labels_BHW.shape[1:]
    return bench.network.read(kept.output(batch.places, lambda: bench.normalize(batch), (height, width)))


def total_loss(
    bench: Bench,
    logits_BCHW: torch.Tensor,
    auxiliary: Sequence[tuple[float, torch.Tensor]],
    labels_BHW: torch.Tensor,
) -> torch.Tensor:
    """Return the weighted sum of all terms, on the main logits and on those of auxiliary heads."""
    heads = [(1.0, logits_BCHW), *auxiliary]
    terms = [
        scaled(term(logits.float(), labels_BHW), share * weight)
        for share, logits in heads
        for weight, term in bench.loss
    ]
    total = torch.stack(terms) if len(terms) > 1 else terms[0]
    return total.sum() if total.ndim else total


def scaled(loss: torch.Tensor, factor: float) -> torch.Tensor:
    """Return factor * loss. By 1, as most are, the loss itself: each operation has a backward of its own."""
    return loss if factor == 1 else factor * loss
