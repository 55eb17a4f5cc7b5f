"""Runs on other machines, with machines of which we decide what they do: deaths, retries, locks, full disks."""

import hashlib
import json

import pytest

from harness import api
from harness.execute.events import Advanced, Ended, Started, Warned
from harness.execute.remote import driver
from harness.execute.remote.driver import RunClosed, execute_remote
from harness.execute.remote.transfer import Chunk
from harness.execute.remote.worker import RunSent, RunTaken, WorkerDied
from harness.execute.worker import Failure
from harness.files import locked, write_text
from harness.records import Machine, Progress, RunResult
from harness.runs.folder import is_finished, run_folder, save_result


class Machines:
    """Machines that do what a script says: run label -> what comes from each of its remote runs."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.sent = []
        self.forgotten = []
        self.cancelled = []
        self._coming = {}

    def send(self, remote_run, own, start):
        self.sent.append((remote_run.run.label, {piece.file: piece.data for piece in own}, start))
        script = self.scripts.get(remote_run.run.label) or [finishing]
        self._coming[remote_run.run.id] = iter(
            script.pop(0)(remote_run.run) if len(script) > 1 else script[0](remote_run.run)
        )

    def forget(self, start):
        self.forgotten.append(start)

    def receive(self, seconds):
        arrived = []
        for run_id in list(self._coming):
            message = next(self._coming[run_id], RunClosed())
            arrived.append((run_id, message))
            if isinstance(message, RunClosed):
                del self._coming[run_id]
        return arrived

    def cancel(self, run_id):
        self.cancelled.append(run_id)
        self._coming.pop(run_id, None)

    def shortage(self):
        return "they sleep"


def epoch(number):
    return Progress(number, 3, {"val/miou_dataset": 0.1}, True, number)


def file(name, text):
    return Chunk(name, text.encode(), is_last=True)


def working(run):
    """Take the run up and finish two epochs."""
    yield RunTaken("elsewhere")
    for number in (1, 2):
        yield file("checkpoints/best.pt", f"best {number}")
        yield file("checkpoints/state.pt", f"state {number}")
        yield epoch(number)


def finishing(run):
    yield from working(run)
    sums = {"checkpoints/best.pt": hashlib.sha256(b"best 2").hexdigest()}
    yield file("result.json", json.dumps({**RESULT, "run_id": run.id, "model_sha256": sums}))
    yield RunSent(("best.pt",))


RESULT = {
    "version": 1,
    "status": "finished",
    "reason": "",
    "best_epoch": 1,
    "splits": [],
    "colours": [],
    "seconds": 1.0,
}


def dying(run):
    yield from working(run)
    yield Chunk("checkpoints/state.pt", b"cut", is_last=False)
    yield RunClosed(WorkerDied("its node died"))


def dying_at_once(run):
    yield RunClosed(WorkerDied("its node died"))


def failing(run):
    yield RunTaken("elsewhere")
    yield Failure("the loss is nan")


@pytest.fixture
def plan(workplace):
    return api.make_plan(api.load_spec("tiny.yaml", seeds=[0]))


@pytest.fixture
def folders(plan, workplace):
    return {run.id: run_folder(workplace / "mlruns", run.id) for run in plan.runs}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Let time run a thousand times as fast."""
    real = driver.time.monotonic
    monkeypatch.setattr(driver.time, "monotonic", lambda: 1000 * real())


def execute(plan, folders, scripts):
    machines = Machines(scripts)
    return machines, list(execute_remote(plan.runs, folders, Machine("cpu"), machines))


def ends(events):
    return {event.run.label: event.result for event in events if isinstance(event, Ended)}


def test_a_study_is_made_elsewhere_in_the_order_of_its_runs(plan, folders):
    machines, events = execute(plan, folders, {})
    assert [label for label, *_ in machines.sent] == ["baseline/seed0", "finetune/seed0"]
    assert {label: result.status for label, result in ends(events).items()} == {
        "baseline/seed0": "finished",
        "finetune/seed0": "finished",
    }
    parent = folders[plan.runs[0].id]
    assert machines.sent[1][2] == parent.best
    assert machines.forgotten == [parent.best]
    assert not parent.state.exists()
    assert [type(event) for event in events[:4]] == [Started, Advanced, Advanced, Ended]


def test_a_run_whose_node_dies_goes_on_from_what_has_arrived(plan, folders):
    machines, events = execute(plan, folders, {"baseline/seed0": [dying, finishing]})
    first, again, _ = machines.sent
    assert first[1] == {}
    assert again[1] == {"checkpoints/best.pt": b"best 2", "checkpoints/state.pt": b"state 2"}
    assert all(result.status == "finished" for result in ends(events).values())
    assert [event.text for event in events if isinstance(event, Warned)] == [
        "baseline/seed0: its node died (on elsewhere); it is sent again and goes on from its last checkpoint"
    ]
    epochs = [e.progress.epoch for e in events if isinstance(e, Advanced) and e.run.variant == "baseline"]
    assert epochs == [1, 2]
    assert sum(isinstance(event, Started) for event in events) == 2


def test_a_run_whose_workers_die_again_and_again_has_failed_and_its_children_are_skipped(plan, folders):
    machines, events = execute(plan, folders, {"baseline/seed0": [dying_at_once]})
    assert len(machines.sent) == driver.DEATHS
    results = ends(events)
    assert results["baseline/seed0"].status == "failed"
    assert "its workers died 4 times" in results["baseline/seed0"].reason
    assert results["finetune/seed0"].status == "skipped"


def test_deaths_are_counted_from_the_last_new_epoch(plan, folders):
    def further(run):
        yield RunTaken("elsewhere")
        yield epoch(3)
        yield WorkerDied("its process ended by SIGKILL")

    script = [dying_at_once, dying_at_once, dying, dying_at_once, dying_at_once, further, dying_at_once, finishing]
    machines, events = execute(plan, folders, {"baseline/seed0": script})
    assert ends(events)["baseline/seed0"].status == "finished"
    assert len(machines.sent) == 8 + 1


def test_a_run_that_cannot_go_on_is_not_sent_again(plan, folders):
    machines, events = execute(plan, folders, {"baseline/seed0": [failing]})
    assert len(machines.sent) == 1
    assert ends(events)["baseline/seed0"].reason == "the loss is nan"
    assert json.loads(folders[plan.runs[0].id].result.read_text())["status"] == "failed"


def test_a_run_that_another_process_works_on_is_left_to_it(plan, folders):
    parent = folders[plan.runs[0].id]
    other = locked(parent.lock)
    other.__enter__()

    class Patient(Machines):
        def receive(self, seconds):
            if not is_finished(parent):  # the other process ends while we wait
                assert not self.sent
                write_text(parent.best, "weights")
                save_result(parent, RunResult(plan.runs[0].id, "finished"))
                other.__exit__(None, None, None)
            return super().receive(seconds)

    machines = Patient({})
    events = list(execute_remote(plan.runs, folders, Machine("cpu"), machines))
    assert [label for label, *_ in machines.sent] == ["finetune/seed0"]
    assert ends(events)["baseline/seed0"].status == "finished"


def test_an_interrupt_recalls_every_run_and_frees_its_folder(plan, folders):
    machines = Machines({"baseline/seed0": [working]})
    events = execute_remote(plan.runs, folders, Machine("cpu"), machines)
    next(events)
    with locked(folders[plan.runs[0].id].lock, wait=False) as held:
        assert not held
    events.close()
    assert machines.cancelled == [plan.runs[0].id]
    with locked(folders[plan.runs[0].id].lock, wait=False) as held:
        assert held


def test_a_full_disk_here_fails_the_run_and_says_where(plan, folders, monkeypatch):
    def no_room(self, piece):
        raise OSError(28, "No space left on device", "checkpoints/state.pt")

    monkeypatch.setattr(driver.FolderReceiver, "take", no_room)
    machines, events = execute(plan, folders, {})
    assert ends(events)["baseline/seed0"].reason == "checkpoints/state.pt: No space left on device"
    assert machines.cancelled == [plan.runs[0].id]


def test_weights_that_are_gone_are_named(plan, folders):
    def without_weights(run):
        yield file("result.json", json.dumps({**RESULT, "run_id": run.id}))

    _, events = execute(plan, folders, {"baseline/seed0": [without_weights]})
    assert f"are gone: {folders[plan.runs[0].id].best}" in ends(events)["finetune/seed0"].reason


def test_when_no_machine_takes_up_a_run_the_user_is_told_why(plan, folders):
    def asleep(run):
        for _ in range(200):
            driver.time.sleep(0.001)
            yield None
        yield from finishing(run)

    class Sleepy(Machines):
        def receive(self, seconds):
            return [(run_id, message) for run_id, message in super().receive(seconds) if message is not None]

    machines = Sleepy({"baseline/seed0": [asleep]})
    events = list(execute_remote(plan.runs, folders, Machine("cpu"), machines))
    warned = [event.text for event in events if isinstance(event, Warned)]
    assert warned
    assert set(warned) == {"no machine has taken up a run for 60 s: they sleep"}
