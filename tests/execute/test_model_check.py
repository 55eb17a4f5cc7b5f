"""Before the first run, a step of each kind of network is tried: what fails is refused whole, with what would work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from tiny_study import harness_command, harness_here, hear_signals

from harness import api
from harness.errors import InputError
from harness.execute import model_check
from harness.execute.model_check import check_models
from harness.records import Machine

HERE = Path(__file__).parent
STUDY = """
study: fussy
question: What takes a step?
plugins: [fussy_models]
base:
  data: {name: desert, size: [32, 32], train_images: %d, val_images: 2, test_images: 1}
  model: {name: fussy}
  loss: {cross_entropy: {}}
  train: {epochs: 1, batch_size: 2}
variants:
  plain: {}
  one: {set: {model.about: %s}}
  slow: {like: one, set: {optimizer.lr: 1.0e-4}}
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Have this process and those it starts find the plugin."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))


def plan_of(workplace, about, images=4):
    path = workplace / "fussy.yaml"
    path.write_text(STUDY % (images, about))
    return api.make_plan(api.load_spec(path))


@pytest.mark.parametrize(
    ("about", "images", "told"),
    [
        (
            "size",
            4,
            "model fussy (about size) on 32x32: RuntimeError: height 32 is not a multiple of 64; it works at 64x64"
            " (data.size, augment.crop)",
        ),
        (
            "batch",
            1,
            "model fussy (about batch) on 32x32: ValueError: Expected more than 1 value per channel when training, got"
            " input size torch.Size([1, 10, 1, 1]); it works with two images a step",
        ),
    ],
)
def test_what_takes_no_step_is_told_with_what_would_work(about, images, told, workplace):
    with pytest.raises(InputError) as caught:
        check_models(plan_of(workplace, about, images).runs, Machine("cpu"))
    assert str(caught.value).splitlines()[1:] == [f"  one, slow: {told}"]


@pytest.mark.parametrize(("about", "images"), [("nothing", 1), ("batch", 4), ("memory", 4), ("life", 4)])
def test_what_works_or_cannot_be_told_goes_on(about, images, workplace):
    """Memory that runs out is for train.on_oom, and a process that dies may do so of what lies beside it."""
    check_models(plan_of(workplace, about, images).runs, Machine("cpu"))


@pytest.mark.slow
def test_a_step_without_end_is_given_up_with_what_it_started(workplace):
    check_models(plan_of(workplace, "time").runs, Machine("cpu"), patience_s=8.0)
    assert_no_helper_left(workplace)


@pytest.mark.slow
def test_an_interrupt_waits_for_no_step(workplace):
    plan_of(workplace, "time")
    command = [*harness_command("run", "fussy.yaml", "--jobs", "1")]
    process = subprocess.Popen(command, cwd=workplace, stderr=subprocess.PIPE, text=True, preexec_fn=hear_signals)
    while not list(workplace.glob("helper-*")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 130
    assert_no_helper_left(workplace)


def assert_no_helper_left(workplace):
    helpers = [int(path.name.partition("-")[2]) for path in workplace.glob("helper-*")]
    assert helpers
    assert not [pid for pid in helpers if psutil.pid_exists(pid)]


def test_the_whole_study_is_refused_and_nothing_is_begun(workplace):
    plan_of(workplace, "size")
    done = harness_here("run", "fussy.yaml")
    assert done.returncode == 2
    assert "one, slow: model fussy (about size) on 32x32: RuntimeError" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workplace / "mlruns" / "runs").exists()
    probed = harness_here("plan", "fussy.yaml", "--probe")
    assert (probed.returncode, "one, slow: model fussy" in probed.stderr) == (2, True)
    assert harness_here("plan", "fussy.yaml").returncode == 0


def test_a_small_u_net_on_one_small_picture(workplace):
    """Its bottleneck has one pixel at 16x16, which no part declares: only a step tells."""
    text = (STUDY % (1, "nothing")).replace("plugins: [fussy_models]\n", "").replace("[32, 32]", "[16, 16]")
    text = text.replace("{name: fussy}", "{name: unet, base_channels: 2}").partition("  one:")[0]
    (workplace / "small.yaml").write_text(text)
    runs = api.make_plan(api.load_spec(workplace / "small.yaml")).runs
    with pytest.raises(InputError, match=r"more than 1 value per channel.*works with two images a step"):
        check_models(runs, Machine("cpu"))


def test_what_worked_is_not_tried_again(workplace, monkeypatch):
    runs = api.make_plan(api.load_spec(workplace / "tiny.yaml")).runs
    asked = []
    monkeypatch.setattr(model_check, "_try_apart", lambda run, *_: asked.append(run) or model_check.WORKS)
    check_models(runs, Machine("cpu"))
    assert len(asked) == 1  # variants differ in the loss, and seeds do not count
    check_models(runs, Machine("cpu"))
    assert len(asked) == 1
    check_models([replace(run, inputs={"data": "another"}) for run in runs], Machine("cpu"))
    assert len(asked) == 2


def test_a_plugin_is_tried_each_time_as_its_code_may_have_changed(workplace, monkeypatch):
    runs = plan_of(workplace, "nothing").runs[:1]
    asked = []
    monkeypatch.setattr(model_check, "_try_apart", lambda run, *_: asked.append(run) or model_check.WORKS)
    for _ in range(2):
        check_models(runs, Machine("cpu"))
    assert len(asked) == 2


def test_a_step_of_images_without_known_depth_is_no_reason_to_refuse(workplace, monkeypatch):
    """Depth may be known in other images than the few that are tried."""
    from harness.data import desert

    made = desert.make_split

    def unknown(*given):
        split = made(*given)
        return replace(split, read_depth=lambda index: np.full_like(split.read_depth(index), np.nan))

    monkeypatch.setattr(desert, "make_split", unknown)
    spec = api.load_spec(workplace / "tiny.yaml", overrides=["data.inputs=[rgb, depth]"])
    assert model_check.try_step(api.make_plan(spec).runs[0], Machine("cpu")) == model_check.WORKS
