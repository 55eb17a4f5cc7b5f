"""A chosen run as a live model: its network with its weights, built without the data set. Letters: B, C, H, W."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from harness.apply.choose import ChosenRun
from harness.data.source import Image
from harness.errors import InputError
from harness.models.network import Network
from harness.records import RunConfig
from harness.train.batches import Batch, Normalizer, Preprocessing, make_normalizer
from harness.train.setup import build_network, has_bfloat16, memory_format, prepare_process, resolve_device


@dataclass(frozen=True)
class Model:
    """What turns pictures into logits."""

    config: RunConfig
    num_classes: int
    device: torch.device
    network: Network
    normalize: Normalizer

    @property
    def size(self) -> tuple[int, int] | None:
        """Return the height and width that every picture is resized to; None where pictures keep their own."""
        size = self.config.data.size
        return None if size == "native" else size

    @torch.inference_mode()
    def __call__(self, images: Sequence[Image]) -> torch.Tensor:
        """Return logits_BCHW, float32, of pictures [H, W, 3] of one size, at that size."""
        images_BCHW = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
        no_labels = torch.empty((len(images), 0, 0), dtype=torch.uint8)
        inputs_BCHW = self.normalize(Batch(images_BCHW, no_labels, None).to(self.device))
        with self._precision():
            logits_BCHW, _ = self.network.read(self.network.module(inputs_BCHW))
        return logits_BCHW.float()

    def _precision(self) -> AbstractContextManager[object]:
        """Return the context of the forward pass: the run's own, float32 where the device has no bfloat16."""
        if self.config.train.precision == "bfloat16" and has_bfloat16(self.device):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()


def load_model(chosen: ChosenRun, *, device: str = "auto", threads: int | None = None) -> Model:
    """Return a chosen run's model in evaluation mode; sets this process's threads, by default to those of the run.

    Raises:
        InputError: the weights cannot be read or do not fit, the run's record lacks how pictures become what the model
            sees (an older one does), or the model sees depth.
    """
    config, where = chosen.config, resolve_device(device)
    prepare_process(config)
    if threads is not None:
        torch.set_num_threads(threads)
    record = chosen.result.provenance.get("preprocessing")
    if record is None:
        raise InputError(f"{chosen.folder.provenance}: holds no preprocessing; the model's inputs cannot be made")
    preprocessing = Preprocessing(
        tuple(record["inputs"]), tuple(record["mean"]), tuple(record["std"]), record["depth_mean"], record["depth_std"]
    )
    if "depth" in preprocessing.inputs:
        raise InputError(
            f"{chosen.label} sees depth (data.inputs: [{', '.join(preprocessing.inputs)}]), which picture files do not "
            "show; choose a run with data.inputs: [rgb]"
        )
    network, _ = build_network(config, len(chosen.classes), preprocessing.channels, chosen.weights)
    network.module.to(where).to(memory_format=memory_format(config))
    network.module.eval()
    normalize = make_normalizer(preprocessing, config.train.memory_format, where)
    return Model(config, len(chosen.classes), where, network, normalize)
