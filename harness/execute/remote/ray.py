"""Other machines as nodes of a Ray cluster. No other file knows Ray; `driver` says what travels, and who keeps what.

Each remote run is a Ray task whose results are a stream: its messages. Files travel in it as chunks, through Ray's
object store, as do the files that a remote run starts from. Ray retries nothing by itself: it would repeat the stream.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import: no telemetry unless the user turns it on
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # warnings of its native part would break the progress display

import ray
from ray import exceptions

from harness.errors import HarnessError, InputError
from harness.execute.events import Event
from harness.execute.remote.driver import RunClosed, execute_remote
from harness.execute.remote.transfer import Chunk, FolderReceiver, cut
from harness.execute.remote.worker import Message, RemoteRun, RunTaken, WorkerDied, carry_out, scratch_folder
from harness.execute.time_limits import STATED, TimeLimits
from harness.execute.worker import Failure
from harness.records import Machine, Run
from harness.runs.folder import RunFolder

UNREAD = 4
"""Messages of a task that wait to be read at most; then its next files wait, but the run itself goes on."""
CONNECT_S = 10.0
CANCEL_S = 5.0


@dataclass(frozen=True)
class Cluster:
    """Which cluster, and what each run gets of it."""

    address: str | None = None
    """`HOST:PORT` of a head node; `auto` for the cluster that this machine is a node of; `local` for one that is made
    on this machine and ends with the command; None for $RAY_ADDRESS, or `auto` where that is not set."""
    cpus_per_run: float | None = None
    """None for as many as the run has threads."""
    gpus_per_run: float | None = None
    """None for one where the cluster has any and `device` lets the runs use it."""
    device: str = "auto"


def execute_ray(
    runs: Sequence[Run], folders: Mapping[str, RunFolder], cluster: Cluster, patience: TimeLimits = STATED
) -> Iterator[Event]:
    """Execute runs, given with each after the run it starts from, on a Ray cluster. Yields what happens.

    Closing the iterator, or an interrupt, cancels every task; what has arrived from them stays.

    Raises:
        InputError: there is no such cluster, or no node of it has what a run asks for.
    """
    if not runs:
        return
    with _connected(cluster.address):
        if cluster.gpus_per_run is None:
            has_gpus = cluster.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1
            cluster = replace(cluster, gpus_per_run=1.0 if has_gpus else 0.0)
        for needs in {tuple(_needs(run, cluster).items()) for run in runs}:
            _require_room(dict(needs))
        device = ("cuda" if cluster.gpus_per_run else "cpu") if cluster.device == "auto" else cluster.device
        machines = _RayMachines(cluster)
        try:
            yield from execute_remote(runs, folders, Machine(device), machines, patience)
        finally:
            machines.close()


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, unless the caller is connected already, and leave it again."""
    if ray.is_initialized():
        yield
        return
    at = address or os.environ.get("RAY_ADDRESS") or "auto"
    _require_reachable(at)
    on_terminate = signal.getsignal(signal.SIGTERM)
    own: dict[str, Any] = {"include_dashboard": False} if at == "local" else {}
    try:
        ray.init(address=at, log_to_driver=False, logging_level="ERROR", **own)
    except (exceptions.RayError, ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--address {at}: {_first_line(error).rstrip('.')}; `ray start --head` starts a cluster, --address local "
            "makes one on this machine that ends with the command; a cluster with token authentication wants the same "
            "RAY_AUTH_MODE and RAY_AUTH_TOKEN here (docs/cluster.md)"
        ) from None
    signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it for itself
    try:
        yield
    finally:
        ray.shutdown()


def _require_reachable(at: str) -> None:
    """Refuse an address at which nobody answers: Ray would wait for minutes."""
    if at.startswith("ray://"):
        raise InputError(
            f"--address {at}: Ray Client cannot stream; run harness on a node of the cluster with --address auto, for "
            "instance by: ray job submit -- harness run SPEC --on ray"
        )
    if found := re.fullmatch(r"(?P<host>[^/]+):(?P<port>\d+)", at):
        try:
            socket.create_connection((found["host"].strip("[]"), int(found["port"])), CONNECT_S).close()
        except OSError as error:
            raise InputError(f"--address {at}: no Ray cluster answers there ({error.strerror or error})") from None


def _needs(run: Run, cluster: Cluster) -> dict[str, float]:
    cpus = run.config.train.threads if cluster.cpus_per_run is None else cluster.cpus_per_run
    return {"CPU": cpus, "GPU": cluster.gpus_per_run or 0}


def _require_room(needs: Mapping[str, float]) -> None:
    """Refuse what no node has: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= amount for name, amount in needs.items()) for node in nodes):
        raise InputError(
            f"a run asks for {_name(needs)}, and no node of the cluster has so much; {_list_nodes()}; change "
            "--cpus-per-run, --gpus-per-run or train.threads"
        )


def _list_nodes() -> str:
    nodes = [_name(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return f"its nodes: {'; '.join(nodes)}" if nodes else "it has no node"


def _name(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def work(
    remote_run: RemoteRun, own: Sequence[ray.ObjectRef[Chunk]], start: Sequence[ray.ObjectRef[Chunk]]
) -> Iterator[Message]:
    """Be the task of one remote run: `own` are the run's files so far, `start` the weights that it starts from."""
    yield RunTaken(socket.gethostname())
    os.environ.pop("OMP_NUM_THREADS", None)  # Ray sets it to the CPUs asked for; a run's threads are its own setting
    with scratch_folder() as scratch:
        folder = RunFolder(scratch / "run")
        FolderReceiver(folder.path).take_all(ray.get(ref) for ref in own)
        FolderReceiver(scratch).take_all(ray.get(ref) for ref in start)
        yield from carry_out(remote_run, folder, scratch / START if start else None)


START = "start.pt"


class _RayMachines:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._task = ray.remote(num_returns="streaming", max_retries=0)(work)
        self._streams: dict[str, ray.ObjectRefGenerator] = {}
        self._weights: dict[Path, list[ray.ObjectRef[Chunk]]] = {}
        self._cancelled: list[ray.ObjectRefGenerator] = []

    def send(self, remote_run: RemoteRun, own: Iterable[Chunk], start: Path | None) -> None:
        """Submit a task; weights that several runs start from are put into the object store once."""
        if start is not None and start not in self._weights:
            self._weights[start] = [ray.put(chunk) for chunk in cut(start, START)]
        needs = _needs(remote_run.run, self._cluster)
        task = self._task.options(
            num_cpus=needs["CPU"],
            num_gpus=needs["GPU"],
            name=remote_run.run.label,
            _generator_backpressure_num_objects=UNREAD,
        )
        weights = self._weights[start] if start is not None else []
        self._streams[remote_run.run.id] = task.remote(remote_run, [ray.put(chunk) for chunk in own], weights)

    def forget(self, start: Path) -> None:
        """Let go of weights; tasks that have not read them yet keep them."""
        self._weights.pop(start, None)

    def receive(self, seconds: float) -> Sequence[tuple[str, Message | RunClosed]]:
        """Return one message of each task that has sent any."""
        if not self._streams:
            time.sleep(seconds)
            return []
        run_ids = {stream: run_id for run_id, stream in self._streams.items()}
        ray.wait(list(run_ids), num_returns=1, timeout=seconds)
        ready, _ = ray.wait(list(run_ids), num_returns=len(run_ids), timeout=0)
        found = [(run_ids[stream], _read(stream)) for stream in ready]
        for run_id, message in found:
            if isinstance(message, RunClosed):
                del self._streams[run_id]
        return found

    def cancel(self, run_id: str) -> None:
        """Cancel a task: its worker gets an interrupt, and ends the run's process."""
        stream = self._streams.pop(run_id)
        ray.cancel(stream)
        self._cancelled.append(stream)

    def shortage(self) -> str:
        """Return what the cluster has."""
        return f"the cluster is busy, or has lost nodes; {_list_nodes()}"

    def close(self) -> None:
        """Wait a little for the workers of tasks that were cancelled to clear up."""
        if self._cancelled:
            ends = [stream.completed() for stream in self._cancelled]
            ray.wait(ends, num_returns=len(ends), timeout=CANCEL_S, fetch_local=False)


def _read(stream: ray.ObjectRefGenerator) -> Message | RunClosed:
    try:
        message: Message = ray.get(next(stream))
    except StopIteration:
        return RunClosed()
    except exceptions.RayTaskError as error:
        return RunClosed(Failure(f"{type(error.cause).__name__}: {_first_line(error.cause)}"))
    except exceptions.LocalRayletDiedError:
        raise HarnessError(
            "the Ray node that this command runs on has died; the same command goes on from the last checkpoints that "
            "have arrived, once the node is back"
        ) from None
    except exceptions.NodeDiedError:
        return RunClosed(WorkerDied("its node died"))
    except exceptions.WorkerCrashedError:
        return RunClosed(WorkerDied("its Ray worker died"))
    except exceptions.OutOfMemoryError:
        return RunClosed(WorkerDied("its node ran out of memory, and Ray ended its worker"))
    except exceptions.RayError as error:
        return RunClosed(WorkerDied(_first_line(error)))
    return message
