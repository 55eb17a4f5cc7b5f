"""An exported ONNX file as an MLflow model that needs neither harness nor torch to answer."""

from __future__ import annotations

import base64
import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL.Image

from harness.apply.choose import ChosenRun
from harness.apply.export.export import Export
from harness.tracking.mlflow_models import LoggedModel, ModelFiles, log_model, register
from harness.tracking.protocol import Store

NEEDED = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow")
"""What `served.py` imports."""


def log_export(
    chosen: ChosenRun, made: Export, store: Store, *, name: str | None = None, alias: str | None = None
) -> LoggedModel:
    """Log an exported ONNX file with its run in the tracking store, and register it where `name` is given.

    Model and version carry the tags `harness.id`, `harness.study`, `harness.variant`, `harness.seed` and
    `harness.checkpoint`; the first leads back to the run.

    Raises:
        InputError: the store has no such run.
        StoreError: the store does not take the model.
    """
    package = ModelFiles(
        code=Path(__file__).with_name("served.py"),
        onnx=made.path,
        column="image",
        example=make_example(),
        requirements=tuple(f"{package}=={version(package)}" for package in NEEDED),
    )
    tags = {f"harness.{key}": made.metadata[f"harness.{key}"] for key in ("study", "variant", "seed", "checkpoint")}
    logged = log_model(store, chosen.run_id, chosen.study, package, tags)
    return register(store, logged, name, alias) if name else logged


def make_example() -> str:
    """Return a small picture as base64 text of a PNG: drawn, so that no picture of the data leaves with the model."""
    height, width = 48, 64
    image_HWC = np.zeros((height, width, 3), np.uint8)
    image_HWC[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)
    image_HWC[..., 1] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    file = io.BytesIO()
    PIL.Image.fromarray(image_HWC).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
