"""A plugin of tests: networks that take no step where they are given what they do not like."""

import os
import subprocess
import time
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from harness.models.network import Network
from harness.registry import part


class Fussy(nn.Module):
    """One convolution, and a complaint."""

    def __init__(self, in_channels: int, num_classes: int, about: str) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(in_channels, num_classes, 1)
        self.norm = nn.BatchNorm2d(num_classes)
        self.about = about

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits, or raise."""
        logits_BCHW = self.classifier(images_BCHW)
        if self.about == "size" and images_BCHW.shape[2] % 64:
            raise RuntimeError(f"height {images_BCHW.shape[2]} is not a multiple of 64\nsecond line")
        if self.about == "batch":
            return logits_BCHW + self.norm(logits_BCHW.mean((2, 3), keepdim=True))
        if self.about == "memory" and self.training:
            raise MemoryError
        if self.about == "life" and self.training:
            os._exit(9)
        if self.about == "time" and self.training:
            Path(f"helper-{subprocess.Popen(['sleep', '600'], start_new_session=True).pid}").touch()
            time.sleep(600)
        return logits_BCHW


@part("model")
def fussy(
    num_classes: int,
    in_channels: int,
    /,
    *,
    about: Literal["nothing", "size", "batch", "memory", "life", "time"] = "nothing",
) -> Network:
    """Complains about what it is told to complain about."""
    torch.zeros(1)
    module = Fussy(in_channels, num_classes, about)
    return Network(module, read=lambda logits: (logits, ()), backbone=("norm.",), classifier=("classifier.",))
