"""Steps of `benchmarks.gpu` that fail, die, hang, find something, or are wrong."""

import os
import time

from benchmarks.gpu.record import PARTS
from benchmarks.gpu.steps import Found, Step


def fail(rig):
    raise ValueError("no such kernel\non this device")


def die(rig):
    os._exit(3)


def hang(rig):
    time.sleep(600)


def find(rig):
    return Found("1.5 times faster", {"times": 1.5, "noise": float("nan")})


def be_wrong(rig):
    return Found("counts differ", right=False)


MADE = [Step(PARTS[0], work.__name__, work, 2.0) for work in (fail, die, hang, find, be_wrong)]
