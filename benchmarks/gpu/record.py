"""What the program writes: one row for each step, as a Markdown table and as JSON, whole after every step."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch

from harness.environment import count_cores, read_processor
from harness.files import write_text

Status = Literal["ok", "WRONG", "FAILED", "under way", "not reached"]
PARTS = ("Does every path run?", "Are its numbers right?", "How fast is it?")
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pillow", "pydantic", "segmentation_models_pytorch", "triton")


@dataclass(frozen=True)
class Row:
    """A step and what came of it."""

    part: str
    step: str
    status: Status = "not reached"
    """WRONG: it ran, and its numbers are outside what was stated."""
    says: str = ""
    """What was found, or the error, in a line."""
    seconds: float = 0.0
    numbers: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""
    """Of an error: the whole traceback."""
    began: float = 0.0
    """By the system's clock that never goes back, s."""


@dataclass(frozen=True)
class Record:
    """All rows, in the order in which the steps are made, and what they were made on."""

    machine: Mapping[str, Any]
    rows: tuple[Row, ...]


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return names and versions of what is measured."""
    facts: dict[str, Any] = {
        "device": "cpu",
        "processor": f"{read_processor()}, {count_cores()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }
    if device.type == "cuda":
        facts |= {
            "device": torch.cuda.get_device_name(device),
            "driver": _read_driver(),
            "memory_gib": round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1),
            "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "tf32_convolutions": torch.backends.cudnn.allow_tf32,
            "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        }
    return facts


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _read_driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    return done.stdout.splitlines()[0].strip()


def save(folder: Path, record: Record) -> None:
    """Write `gpu.json` and `gpu.md`, each whole or not at all."""
    write_text(folder / "gpu.json", json.dumps(_finite(asdict(record)), indent=1))
    write_text(folder / "gpu.md", write_table(record))


def load(folder: Path) -> Record:
    """Return what `save` has written."""
    content = json.loads((folder / "gpu.json").read_text())
    return Record(content["machine"], tuple(Row(**row) for row in content["rows"]))


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinity, which JSON does not know: as text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def write_table(record: Record) -> str:
    """Return the record as Markdown: how many steps did what, the machine, and a table for each question."""
    facts = ", ".join(f"{name} {value}" for name, value in record.machine.items() if name != "device")
    lines = [f"**{record.machine.get('device', 'device unknown')}**: {count(record.rows)}.", "", facts, ""]
    if record.machine.get("device") == "cpu":
        lines += ["The steps at toy size on a CPU: that the program works, and nothing of how fast a GPU is.", ""]
    for part in PARTS:
        rows = [row for row in record.rows if row.part == part]
        lines += [f"### {part}", "", "| step | | found | s |", "| :-- | :-- | :-- | --: |"]
        lines += [f"| {row.step} | {row.status} | {_cell(row.says)} | {row.seconds:.1f} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def count(rows: Sequence[Row]) -> str:
    """Return how many steps did what, in words."""
    seen = [row.status for row in rows]
    return ", ".join(f"{seen.count(status)} {status}" for status in dict.fromkeys(seen))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
