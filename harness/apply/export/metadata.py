"""What an exported file says of itself: texts by key, JSON where a value has parts. `served.py` reads it, too."""

from __future__ import annotations

import json
from typing import Any

from harness.apply.choose import Chosen
from harness.apply.export.graph import Program
from harness.apply.export.options import Licences
from harness.apply.export.parity import Parity
from harness.apply.model import Model

VERSION = 1


def make_metadata(chosen: Chosen, model: Model, program: Program, parity: Parity, licences: Licences) -> dict[str, str]:
    """Return the metadata of an exported file; its keys begin with `harness.`."""
    taxonomy = chosen.taxonomy
    parts: dict[str, Any] = {
        "version": VERSION,
        "id": chosen.run_id,
        "study": chosen.study,
        "variant": chosen.variant,
        "seed": chosen.config.seed,
        "checkpoint": chosen.which,
        "model": chosen.config.model.name,
        "taxonomy": taxonomy.name,
        "classes": taxonomy.classes,
        "colours": taxonomy.colours,
        "class_of": sorted(taxonomy.class_of.items()),
        "input": _describe_input(model, program),
        "preprocessing": _describe_preprocessing(model),
        "output": {
            "name": "logits",
            "type": "float32",
            "axes": "batch class height width",
            "labels": "interpolate bilinearly (align_corners false) to the picture's size, then argmax over class",
        },
        "parity": parity.to_dict(),
        "quantization": {"weights": "float32"},
        "licence": licences.to_dict(),
    }
    return {f"harness.{key}": value if isinstance(value, str) else _to_text(value) for key, value in parts.items()}


def _describe_input(model: Model, program: Program) -> dict[str, Any]:
    return {
        "name": "image",
        "type": "uint8",
        "axes": "batch height width channel",
        "channels": "red green blue",
        "batch": "any",
        "size": program.size or ("any" if program.multiple == 1 else f"multiples of {program.multiple}"),
        "least_size": program.least,
        "resize_to": model.size,
        "resize_how": "bilinear with antialiasing, as Pillow's Image.resize" if model.size else "not resized",
    }


def _describe_preprocessing(model: Model) -> dict[str, Any]:
    preprocessing = model.normalize.preprocessing
    return {
        "where": "within the graph: do not normalise the pictures",
        "scale": "1/255",
        "mean": preprocessing.mean,
        "std": preprocessing.std,
    }


def _to_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
