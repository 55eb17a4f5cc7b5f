"""Runs on this machine: which device and when, what is said of memory, and what an interrupt leaves behind."""

import json
import os
from collections import Counter
from dataclasses import replace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import TINY

from harness import api
from harness.errors import InputError
from harness.execute import machine
from harness.execute.device_slots import Capacity, DeviceSlots, make_device_slots
from harness.execute.events import Ended, Started, Warned
from harness.execute.local import execute_in
from harness.execute.machine import GIB, MemoryNeeds, RunningRun, guess, memory_of, read_cores, read_memory
from harness.records import Machine
from harness.runs.folder import run_folder

FOUR = ("cuda:0", "cuda:1", "cuda:2", "cuda:3")


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    return api.make_plan(api.load_spec(tmp_path / "tiny.yaml"))


@pytest.mark.parametrize(
    ("offer", "device", "share", "places"),
    [
        (Capacity(2), "auto", None, DeviceSlots(2, ("auto",), 2)),
        (Capacity(9, threads=4), "cpu", None, DeviceSlots(2, ("cpu",), 2)),
        (Capacity(1, threads=4), "cpu", None, DeviceSlots(1, ("cpu",), 1)),
        (Capacity(16, FOUR), "auto", None, DeviceSlots(4, FOUR, 1)),
        (Capacity(16, FOUR), "cuda", 0.25, DeviceSlots(16, FOUR, 4)),
        (Capacity(3, FOUR), "auto", 0.25, DeviceSlots(3, FOUR, 4)),
        (Capacity(16, FOUR), "cuda:2", 0.3, DeviceSlots(3, ("cuda:2",), 3)),
        (Capacity(16, FOUR), "cuda:2", 0.1, DeviceSlots(10, ("cuda:2",), 10)),
        (Capacity(16, FOUR), "cpu", None, DeviceSlots(16, ("cpu",), 16)),
        (Capacity(16), "cuda:0", None, DeviceSlots(16, ("cuda:0",), 16)),
    ],
)
def test_places_on_a_machine(offer, device, share, places):
    assert make_device_slots(offer, device, gpus_per_run=share) == places


def test_more_jobs_than_the_gpus_hold_are_not_placed():
    assert make_device_slots(Capacity(16, FOUR), "auto", jobs=9).jobs == 4
    assert make_device_slots(Capacity(16, FOUR), "auto", jobs=9, gpus_per_run=0.5).jobs == 8
    assert make_device_slots(Capacity(1), "cpu", jobs=9).jobs == 9


@pytest.mark.parametrize(
    ("offer", "device", "share", "message"),
    [
        (Capacity(4, FOUR), "auto", 2, "--gpus-per-run 2: a run uses one GPU"),
        (Capacity(4, FOUR), "auto", 1.5, "--gpus-per-run 1.5: a run uses one GPU"),
        (Capacity(4, FOUR), "auto", 0, "--gpus-per-run 0: give 1, or a fraction"),
        (Capacity(4, FOUR), "auto", float("nan"), "--gpus-per-run nan: give 1"),
        (Capacity(4, FOUR), "cpu", 0.5, "the runs are not on a GPU"),
        (Capacity(4), "auto", 1, "the runs are not on a GPU"),
        (Capacity(4), "mps", None, "--device mps: Apple's GPUs lack the float64 that harness computes with"),
        (Capacity(4), "gpu", None, "--device gpu: no such device; use auto, cpu, cuda or cuda:N"),
        (Capacity(4, FOUR), "cuda:7", None, "--device cuda:7: this machine has cuda:0, cuda:1"),
    ],
)
def test_shares_and_devices_that_cannot_be_are_refused(offer, device, share, message):
    with pytest.raises(InputError, match=message):
        make_device_slots(offer, device, gpus_per_run=share)


@given(
    gpus=st.integers(1, 8),
    per_device=st.integers(1, 10),
    jobs=st.integers(1, 40),
    moves=st.lists(st.one_of(st.none(), st.integers(0, 100)), max_size=60),
)
def test_no_device_is_given_to_more_runs_than_it_holds_nor_kept_from_one(gpus, per_device, jobs, moves):
    """Runs come (None) and go (which); every time a device is given, it is one of the emptiest, if any has room."""
    places = DeviceSlots(jobs, tuple(f"cuda:{index}" for index in range(gpus)), per_device)
    taken: list[str] = []
    for move in moves:
        if move is not None:
            taken = [device for index, device in enumerate(taken) if index != move % max(len(taken), 1)]
            continue
        device = places.choose(taken)
        counts = {name: Counter(taken)[name] for name in places.devices}
        full = min(counts.values()) == per_device or len(taken) == jobs
        assert (device is None) == full
        if device is not None:
            assert counts[device] == min(counts.values()) < per_device
            taken.append(device)


def test_each_run_is_told_its_device(plan, tmp_path):
    """Two devices that torch takes for the CPU stand in for GPUs."""
    folders = {run.id: run_folder(tmp_path, run.id) for run in plan.runs}
    places = DeviceSlots(2, ("cpu:0", "cpu:1"), 1)
    events = list(execute_in(places, plan.runs[:2], folders, Machine()))
    asked = {json.loads(folders[run.id].provenance.read_text())["device_asked"] for run in plan.runs[:2]}
    assert asked == {"cpu:0", "cpu:1"}
    assert [event.result.status for event in events if isinstance(event, Ended)] == ["finished"] * 2


def largest_together(events):
    together = largest = 0
    for event in events:
        together += isinstance(event, Started) - isinstance(event, Ended)
        largest = max(largest, together)
    return largest


@pytest.mark.slow
def test_where_memory_holds_one_run_the_others_wait_and_it_is_said_once(plan, tmp_path):
    folders = {run.id: run_folder(tmp_path, run.id) for run in plan.runs}
    runs = plan.runs[:2]
    places = DeviceSlots(2, ("cpu",), 2)
    events = list(execute_in(places, runs, folders, Machine(), available=lambda: 0))
    said = [event.text for event in events if isinstance(event, Warned)]
    assert largest_together(events) == 1
    assert len(said) == 1
    assert f"{runs[1].label} waits for memory: it needs about 1.0 GiB, and 0.0 GiB are free" in said[0]
    assert [event.result.status for event in events if isinstance(event, Ended)] == ["finished"] * 2


@pytest.mark.slow
def test_a_run_starts_as_soon_as_the_first_has_shown_how_little_its_kind_needs(plan, tmp_path, monkeypatch):
    """Guessed at 1 TiB a run, measured at less than one: the second waits for the first's first epoch, not its end."""
    monkeypatch.setattr(machine, "PROGRAM_BYTES", 1024 * GIB)
    long = tuple(
        replace(run, config=replace(run.config, train=run.config.train.model_copy(update={"epochs": 12})))
        for run in plan.runs[:2]
    )
    folders = {run.id: run_folder(tmp_path, run.id) for run in plan.runs}
    events = list(execute_in(DeviceSlots(2, ("cpu",), 2), long, folders, Machine(), available=lambda: 8 * GIB))
    assert largest_together(events) == 2
    order = [(type(event).__name__, event.run.seed) for event in events if isinstance(event, Started | Ended)]
    assert order[:2] == [("Started", 0), ("Started", 1)]
    assert sum(isinstance(event, Warned) for event in events) == 1


def test_needs_are_what_runs_of_the_kind_used_and_a_guess_before(plan):
    run, other_seed = plan.runs[0], plan.runs[1]
    larger = replace(
        run, id="larger", config=replace(run.config, train=run.config.train.model_copy(update={"batch_size": 8}))
    )
    needs, here = MemoryNeeds(), RunningRun(run, os.getpid(), "cpu")
    assert needs.of(run, "cpu") == guess(run.config, "cpu") == GIB + 8192 * 32 * 32 * 4
    needs.learn(here)
    peak = memory_of(os.getpid(), "VmHWM")
    assert peak >= psutil.Process().memory_info().rss * 0.9
    assert needs.of(other_seed, "cpu") == pytest.approx(1.1 * peak, rel=0.05)
    assert needs.of(larger, "cpu") == guess(larger.config, "cpu")
    assert needs.of(run, "cuda:0") == 4 * GIB
    assert needs.promised([here]) == pytest.approx(needs.of(run, "cpu") - memory_of(os.getpid(), "VmRSS"), abs=2**22)
    assert memory_of(2**30, "VmRSS") == memory_of(2**30, "VmHWM") == 0


def test_memory_and_cores_are_those_that_a_container_leaves(tmp_path):
    """A file tree as in a container of control groups 2: 3 MiB, of which 1 MiB is used, and half a core."""
    files = {
        "proc/self/cgroup": "0::/box/inner\n",
        "sys/fs/cgroup/box/inner/memory.max": "max\n",
        "sys/fs/cgroup/box/inner/memory.current": "5\n",
        "sys/fs/cgroup/box/memory.max": f"{3 * 2**20}\n",
        "sys/fs/cgroup/box/memory.current": f"{2**20}\n",
        "sys/fs/cgroup/box/memory.stat": f"anon 7\ninactive_file {2**18}\n",
        "sys/fs/cgroup/box/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/box/inner/cpu.max": "max 100000\n",
    }
    write_tree(tmp_path, files)
    assert read_memory(tmp_path) == 2 * 2**20 + 2**18
    assert read_cores(tmp_path) == 1


def test_control_groups_of_the_first_kind_are_read_too(tmp_path):
    """Here the path is the host's, and only the root of the group is to be seen."""
    files = {
        "proc/self/cgroup": "5:cpuset:/\n4:memory:/docker/8f\n2:cpu,cpuacct:/docker/8f\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**20}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2**19}\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 1024\ninactive_file 9\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    write_tree(tmp_path, files)
    assert read_memory(tmp_path) == 2**19 + 1024
    assert read_cores(tmp_path) == len(os.sched_getaffinity(0))


def write_tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_a_loss_that_is_not_finite_names_epoch_step_and_checkpoint_and_others_go_on(plan, tmp_path):
    """The child diverges at its first step: it has trained nothing that is good, and its start is not its own."""
    folders = {run.id: run_folder(tmp_path, run.id) for run in plan.runs}
    parent, child, other = plan.runs[0], plan.runs[2], plan.runs[1]
    optimizer = child.config.optimizer.with_settings(lr=1e30)
    hot = replace(child, config=replace(child.config, optimizer=optimizer))
    events = list(execute_in(DeviceSlots(2, ("cpu",), 2), (parent, hot, other), folders, Machine()))
    ends = {event.run.id: event.result for event in events if isinstance(event, Ended)}
    assert ends[parent.id].status == ends[other.id].status == "finished"
    assert ends[hot.id].status == "failed"
    assert "at epoch 1, step" in ends[hot.id].reason
    assert "there is no good checkpoint of its own yet" in ends[hot.id].reason
    assert not folders[hot.id].best.exists()
