"""Time and memory of planning ten thousand runs, as `harness plan` does it: `python -m benchmarks.plan_scale`.

Two studies: a factorial of ten components with ten seeds (1025 variants), and a thousand settings written one by one,
which no design divides, so that each is searched for steps that lead to it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.setting import harness_command

HEAD = """
study: {name}
question: How long does a plan of ten thousand runs take?
base:
  data: {{name: desert}}
  model: {{name: unet}}
  loss: {{cross_entropy: {{}}}}
  optimizer: {{name: adam, lr: 1.0e-3}}
seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
variants:
  baseline: {{}}
"""
COMPONENTS = {
    "dice": "loss.dice: {weight: 1.0}",
    "weights": "loss.cross_entropy.class_weights: inverse_frequency",
    "flips": "augment.flip: {p: 0.5}",
    "crop": "augment.crop: {size: [48, 48]}",
    "fast": "optimizer.lr: 1.0e-2",
    "decay": "optimizer.weight_decay: 1.0e-4",
    "clip": "train.clip_norm: 1.0",
    "small": "train.batch_size: 4",
    "poly": "schedule: {name: poly}",
    "long": "train.epochs: 20",
}
FACTORIAL = "  all:\n    design: factorial\n    components:\n" + "".join(
    f"      {name}: {{{change}}}\n" for name, change in COMPONENTS.items()
)
GRID = "".join(
    f"  v{index}: {{set: {{optimizer.lr: {1e-4 * (1 + index // 10):.4f}, train.batch_size: {2 + index % 10}}}}}\n"
    for index in range(999)
)


def main() -> None:
    """Print wall time, processor time and peak memory of each plan."""
    for name, variants in (("factorial", FACTORIAL), ("grid", GRID)):
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "study.yaml").write_text(HEAD.format(name=name) + variants)
            began = time.perf_counter()
            command = harness_command("plan", "study.yaml")
            with (Path(place) / "out").open("wb") as out:
                process = subprocess.Popen(
                    command, cwd=place, stdout=out, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
                )
                _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            last = next(
                line for line in (Path(place) / "out").read_text().splitlines() if " to do" in line and "runs" in line
            )
        print(
            f"{name}: {last}; {seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of a processor,"
            f" {used.ru_maxrss / 1024:.0f} MiB at most (exit code {os.waitstatus_to_exitcode(status)})"
        )


if __name__ == "__main__":
    main()
