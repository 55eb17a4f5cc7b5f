"""What may be asked of an export, and where it goes. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.apply.choose import Chosen

Target = Literal["onnx", "torch-export", "mlflow"]
ENDINGS: Mapping[Target, str] = {"onnx": ".onnx", "torch-export": ".pt2", "mlflow": ".onnx"}


@dataclass(frozen=True)
class Licences:
    """Under which terms data and weights may be used, as their user states it."""

    data: str = ""
    weights: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return both, with `not stated` where nothing is stated."""
        return {"data": self.data or "not stated", "weights": self.weights or "not stated"}


@dataclass(frozen=True)
class Options:
    """How a run is exported."""

    target: Target = "onnx"
    """`mlflow` makes an ONNX file too, which an MLflow model is then made of."""
    images: Path | None = None
    """Folder of pictures for the check; None takes those of the data set, or those kept with the run."""
    int8: bool = False
    """Whether an ONNX file in 8-bit integers is written beside the other."""
    margin: float = 0.005
    """Differences of miou_dataset smaller than this do not matter (fraction)."""
    licences: Licences = field(default_factory=Licences)


def default_path(chosen: Chosen, target: Target) -> Path:
    """Return where a run is exported to when nobody says where."""
    return Path("exports") / f"{re.sub(r'[/@]', '-', chosen.label)}{ENDINGS[target]}"
