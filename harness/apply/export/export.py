"""A chosen run as a file that other programs run: traced, checked on real pictures, described, and only then kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness.apply.card.write import Licences
from harness.apply.choose import ChosenRun
from harness.apply.export.formats import Artifact, Format, make_artifact, require_onnx
from harness.apply.export.graph import Program, trace
from harness.apply.export.parity import Parity, Pictures, check_parity, find_pictures
from harness.apply.export.quantize import Quantized, open_val, quantize_and_judge
from harness.apply.model import Model, load_model
from harness.errors import HarnessError, InputError
from harness.files import write_whole

Target = Literal["onnx", "torch-export", "mlflow"]
ENDINGS: Mapping[Target, str] = {"onnx": ".onnx", "torch-export": ".pt2", "mlflow": ".onnx"}
MULTIPLES = (1, 16, 32)
"""Sides are tried to be multiples of these, in turn: most models halve a picture four or five times."""


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


@dataclass(frozen=True)
class Export:
    """What an export has made."""

    path: Path
    parity: Parity
    note: str
    """Which sizes of pictures it takes, and why not any; empty where any will do."""
    metadata: Mapping[str, str]
    int8_path: Path | None = None
    quantized: Quantized | None = None


@dataclass(frozen=True)
class Checked:
    """A model in a format that has passed its check."""

    program: Program
    artifact: Artifact
    parity: Parity
    note: str = ""


def export_run(chosen: ChosenRun, options: Options, out: Path, tell: Callable[[str], None]) -> Export:
    """Write a run's model to `out`, and with int8 to `<out's name>.int8.onnx`, after checking it on real pictures.

    `tell` is told each step. Nothing is written before all checks are passed.

    Raises:
        InputError: the options do not go together, a package is missing, or there are no pictures.
        HarnessError: the model cannot be exported, or the export does not give what the original gives.
    """
    fmt: Format = "torch-export" if options.target == "torch-export" else "onnx"
    if options.int8 and options.target != "onnx":
        raise InputError(f"--int8 makes ONNX files: use it with --format onnx, not {options.target}")
    if fmt == "onnx":
        require_onnx()
    split = open_val(chosen) if options.int8 else None
    pictures = find_pictures(chosen, options.images)
    model = load_model(in_float32(chosen), device="cpu")
    checked = make_checked(model, fmt, pictures, tell)
    about = make_metadata(chosen, model, checked.program, checked.parity, options.licences)
    content = checked.artifact.pack(about)
    made = Export(out, checked.parity, checked.note, about)
    if split is not None:
        tell(f"quantising it, and judging that on the {len(split)} pictures of the val split")
        artifact, quantized = quantize_and_judge(chosen, content, split, options.margin)
        path = out.with_name(f"{out.stem}.int8.onnx")
        packed = artifact.pack({**about, "harness.quantization": json.dumps(quantized.to_dict())})
        write_whole(path, lambda file: file.write(packed))
        made = replace(made, int8_path=path, quantized=quantized)
    write_whole(out, lambda file: file.write(content))
    return made


def in_float32(chosen: ChosenRun) -> ChosenRun:
    """Return the run as it computes without autocast: an exported model is float32 throughout."""
    train = chosen.config.train.model_copy(update={"precision": "float32"})
    return replace(chosen, config=replace(chosen.config, train=train))


def make_checked(model: Model, fmt: Format, pictures: Pictures, tell: Callable[[str], None]) -> Checked:
    """Return the model in a format, for pictures of as many sizes as it can be shown to take.

    That it can be traced for any size is no proof. In ONNX some models stop at sizes other than the one traced with;
    torch.export guards what it saw while tracing, such as that sides could be halved evenly.
    """
    tell(f"making {fmt} of {model.config.model.name}, and checking it on {len(pictures.names)} pictures")
    reasons: list[str] = []
    try:
        program = trace(model, any_size=True)
        artifact = make_artifact(program, fmt, model.config.train.threads)
    except HarnessError as error:
        reasons.append(str(error))
    else:
        # The weakest claim last: any size, then multiples of what most models halve.
        fitting = (m for m in MULTIPLES if model.size is None or all(side % m == 0 for side in model.size))
        for multiple in fitting:
            try:
                return _with_note(_check(model, replace(program, multiple=multiple), artifact, pictures), reasons, tell)
            except HarnessError as error:
                reasons.append(str(error))
    if model.size is None:
        raise HarnessError(reasons[0])
    program = trace(model, any_size=False)
    artifact = make_artifact(program, fmt, model.config.train.threads)
    return _with_note(_check(model, program, artifact, pictures), reasons, tell)


def _check(model: Model, program: Program, artifact: Artifact, pictures: Pictures) -> Checked:
    """Return the model with its parity.

    Raises:
        HarnessError: it cannot be trusted at the sizes that the program claims to take.
    """
    parity = check_parity(model, artifact, pictures, program)
    if not parity.passed:
        raise HarnessError(f"it does not give what the run's own model gives, and is not kept: {parity.describe()}")
    return Checked(program, artifact, parity)


def _with_note(checked: Checked, reasons: list[str], tell: Callable[[str], None]) -> Checked:
    if not reasons:
        return checked
    note = f"it takes pictures {checked.program.takes}: made for any size, {reasons[0]}"
    tell(note)
    return replace(checked, note=note)


VERSION = 1


def make_metadata(
    chosen: ChosenRun, model: Model, program: Program, parity: Parity, licences: Licences
) -> dict[str, str]:
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
        "input": {
            "name": "image",
            "type": "uint8",
            "axes": "batch height width channel",
            "channels": "red green blue",
            "batch": "any",
            "size": program.size or ("any" if program.multiple == 1 else f"multiples of {program.multiple}"),
            "least_size": program.least,
            "resize_to": model.size,
            "resize_how": "bilinear with antialiasing, as Pillow's Image.resize" if model.size else "not resized",
        },
        "preprocessing": {
            "where": "within the graph: do not normalise the pictures",
            "scale": "1/255",
            "mean": model.normalize.preprocessing.mean,
            "std": model.normalize.preprocessing.std,
        },
        "output": {
            "name": "logits",
            "type": "float32",
            "axes": "batch class height width",
            "labels": "interpolate bilinearly (align_corners false) to the picture's size, then argmax over class",
        },
        "parity": asdict(parity),
        "quantization": {"weights": "float32"},
        "licence": licences.to_dict(),
    }
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in parts.items() if not isinstance(value, str)}
    return {f"harness.{key}": text for key, text in {**parts, **texts}.items()}
