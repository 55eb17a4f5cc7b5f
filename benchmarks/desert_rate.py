"""How many scenes of `desert` one core draws in a second: `python -m benchmarks.desert_rate`.

Each round reads image and label of 50 other scenes at 128x128; the median round counts.
"""

from __future__ import annotations

import os
import statistics
import time

from harness.data.desert import make_split

ROUNDS, IMAGES, SIZE = 9, 50, (128, 128)


def measure_rates() -> list[float]:
    """Return the rate of each round, images/s; the round before the first pays for the noise textures."""
    split = make_split("train", ROUNDS * IMAGES, SIZE)
    split.read_image(0)
    rates = []
    for first in range(0, ROUNDS * IMAGES, IMAGES):
        start = time.perf_counter()
        for index in range(first, first + IMAGES):
            split.read_image(index)
            split.read_label(index)
        rates.append(IMAGES / (time.perf_counter() - start))
    return rates


def main() -> None:
    """Print the median."""
    rates = measure_rates()
    print(f"desert {SIZE[0]}x{SIZE[1]}: {statistics.median(rates):.0f} images/s (median of {ROUNDS} rounds)")
    print(f"slowest {min(rates):.0f}, fastest {max(rates):.0f}; load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
