"""The parts that a spec can name: importing this package enters them into the catalog (data sets: `harness.data`).

No module here imports torch, torchvision or segmentation_models_pytorch before one of its parts is built.
"""

from harness.models import catalog
from harness.parts import augment, losses, optimizers, schedules

__all__ = ["augment", "catalog", "losses", "optimizers", "schedules"]
