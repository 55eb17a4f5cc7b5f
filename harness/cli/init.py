"""`harness init`: from a folder of pictures to a first study that runs."""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import registry
from harness.data import open_whole
from harness.data.layouts import recognise
from harness.data.recognised import Layout, tell_guesses
from harness.data.source import Source
from harness.errors import InputError
from harness.files import write_text

CPU_SIDE_PX, GPU_SIDE_PX = 256, 1024
"""The longer side of the pictures that a model sees, at most."""
STEPS = 1500
"""Steps of one run that are aimed at on a CPU: enough for a small network to tell the classes apart."""
CORE_S_PER_MPX = 5.0
"""Seconds that one core of 2020 takes to train U-Net with 16 channels on a million pixels, measured roughly."""
SEEDS = 2
_COMMENT = 36
"""Column of the comments on data settings."""
_STEP_PX = 16
"""What sizes are multiples of: the U-Net halves them four times."""
_READ_OTHERWISE = ("yes", "no", "on", "off", "y", "n", "true", "false", "null")
"""Texts that YAML 1.1 takes for something else."""
_TEMPLATE = string.Template("""\
$head
study: $study
question: Does augmentation help a small network that is trained from random weights?
base:
  data:
$data
    $size# height, width that the model sees; scores are taken at the labels' own size
  model: {name: unet, base_channels: 16} # the others: harness parts model
  loss: {cross_entropy: {}}             # terms are summed: {cross_entropy: {}, dice: {}} is possible
  augment: {}
  optimizer: {name: adam, lr: 1.0e-3}
  schedule: {name: poly}
  train: {epochs: $epochs, batch_size: $batch_size}
variants:
  plain: {}
  augmented:
    components:                         # harness data show draws what they make of the pictures
      flips: {augment.flip: {p: 0.5}}
      colours: {augment.colour: {}}
seeds: $seeds                           # two show the scatter; a verdict needs more, such as [0, 1, 2, 3, 4]
compare: {reference: plain, margin: 0.005}
profiles:
  gpu:                                  # harness run $out --profile gpu
    set:
      data.size: $large
      model: {name: deeplabv3_resnet50} # from random weights; backbone_weights: default fetches ImageNet's
      train: {epochs: $gpu_epochs, batch_size: $gpu_batch}
    seeds: [0, 1, 2]
""")


def init_spec(root: Path, out: Path) -> list[Layout]:
    """Write a first study on the data in a folder; return what the folder may hold, first what the study uses.

    The first one's guesses are all that was taken for granted.

    Raises:
        InputError: `out` exists already, or no data set is recognised in the folder.
    """
    if out.exists():
        raise InputError(f"{out}: exists already and is left as it is; give another name with --out, or remove it")
    layout, *others = recognise(root)
    source = open_whole(registry.choose("data", layout.name, layout.settings))
    height, width = source.splits["train"].read_image(0).shape[:2]
    seen = _fit((height, width), CPU_SIDE_PX)
    sizes = f"the model sees pictures at {seen[0]}x{seen[1]} (height x width); the first is {height}x{width}"
    depth = {"inputs": "pictures alone; there is depth, too"} if _has_depth(source) else {}
    layout = replace(layout, guesses={**tell_guesses(layout, source), "size": sizes, **depth})
    name = root.resolve().name if layout.name == "folder" else layout.name
    study = f"{re.sub('[^A-Za-z0-9]+', '-', name).strip('-').lower() or 'data'}-augmentation"
    write_text(out, _make_spec(layout, source, (height, width), study=study, out=out))
    return [layout, *others]


def _has_depth(source: Source) -> bool:
    return all(split.read_depth is not None for split in source.splits.values())


def _make_spec(layout: Layout, source: Source, first_size: tuple[int, int], *, study: str, out: Path) -> str:
    """Return a commented study: the same training without and with augmentation."""
    size, large = _fit(first_size, CPU_SIDE_PX), _fit(first_size, GPU_SIDE_PX)
    num_train = len(source.splits["train"].names)
    batch_size = max(2, min(8, num_train // 4))
    epochs = max(4, min(60, round(STEPS * batch_size / num_train)))
    core_s = CORE_S_PER_MPX * size[0] * size[1] / 1e6 * num_train * epochs * 2 * SEEDS
    return _TEMPLATE.substitute(
        head=_head(layout, source, first_size, out, core_s),
        study=study,
        data="\n".join(f"    {line}" for line in _data_lines(layout, source)),
        size=f"size: {list(size)}".ljust(_COMMENT),
        epochs=epochs,
        batch_size=batch_size,
        seeds=list(range(SEEDS)),
        out=shlex.quote(str(out)),
        large=list(large),
        gpu_epochs=max(epochs, 40),
        gpu_batch=min(4, batch_size),
    )


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return a size of nearly the same shape whose sides are multiples of 16 and at most `longest`."""
    factor = min(1.0, longest / max(size))
    height, width = (max(2 * _STEP_PX, round(side * factor / _STEP_PX) * _STEP_PX) for side in size)
    return height, width


def _head(layout: Layout, source: Source, first_size: tuple[int, int], out: Path, core_s: float) -> str:
    counted = ", ".join(f"{len(split.names):,} {name}" for name, split in source.splits.items())
    height, width = first_size
    file = shlex.quote(str(out))
    time = f"{core_s / 3600:.0f} hours" if core_s > 5400 else f"{max(1, round(core_s / 60))} min"
    commands = {
        f"harness data show {file} --variant augmented": "what training sees, as a picture",
        f"harness plan {file}": "the runs",
        f"harness run {file}": f"trains them: roughly {time} of one CPU core",
        f"harness run {file} --set train.epochs=1": "a trial",
        "harness schema > study.schema.json": "lets your editor complete and check keys here",
    }
    wide = max(map(len, commands))
    lines = [
        "yaml-language-server: $schema=study.schema.json",
        f"A first study, written by harness init: {layout.name} in {layout.settings['root']}",
        f"Found: {layout.why}.",
        f"Pictures: {counted}; the first is {height}x{width} (height x width); {len(source.taxonomy.classes)} classes.",
        f"Units of val that can be resampled: {len(set(source.splits['val'].groups))}.",
        *(f"Guessed, {topic}: {told}." for topic, told in layout.guesses.items()),
        *(f"Know that {note}." for note in source.notes),
        "",
        *(f"{command:<{wide}}  {told}" for command, told in commands.items()),
        "",
        "Paths are seen from the folder that harness is started in. Sizes, epochs and model are small, for a CPU;",
        "the profile gpu below is of the size that papers use.",
    ]
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _data_lines(layout: Layout, source: Source) -> list[str]:
    settings = {key: value for key, value in layout.settings.items() if key != "classes"}
    lines = [f"name: {layout.name}"]
    for key, value in settings.items():
        told = f"# {_count(layout.pixels, value)}; not counted, unless you name it a class" if key == "ignore" else ""
        lines.append((f"{key}: {_flow(value)}".ljust(_COMMENT) + told).rstrip())
    if "classes" in layout.settings:
        # each class with the share of the pixels that its ids have in the masks that were read
        unnamed = all(name.startswith("class_") for name in layout.settings["classes"])
        hint = "; give them their names" if unnamed else ""
        lines.append("classes:".ljust(_COMMENT) + f"# name: id, or name: [ids]{hint}")
        for name, ids in layout.settings["classes"].items():
            share = _count(layout.pixels, ids if isinstance(ids, list) else [ids])
            lines.append(f"  {_flow(name)}: {_flow(ids)}".ljust(_COMMENT) + f"# {share}")
    if source.listed:
        told = f"# left out: {len(source.listed)} without a counterpart, first {source.listed[0].told}"
        lines.append("on_bad_image: skip".ljust(_COMMENT) + told)
    if _has_depth(source):
        lines.append("inputs: [rgb]".ljust(_COMMENT) + "# there is depth: [rgb, depth] and [depth] are possible")
    return lines


def _count(pixels: Mapping[int, int], ids: Sequence[int]) -> str:
    number, total = sum(pixels.get(raw, 0) for raw in ids), sum(pixels.values())
    return f"{number:,} px, {100 * number / total:.2f} %"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line; texts that YAML may read otherwise are quoted."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if re.fullmatch(r"[A-Za-z_/][A-Za-z0-9_./-]*", str(value)) and str(value).lower() not in _READ_OTHERWISE:
        return str(value)
    return json.dumps(value, ensure_ascii=False)
