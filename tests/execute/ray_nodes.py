"""A Ray cluster as its admin starts it: real `ray start` processes on this machine, each a node that can be killed."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's workers are nicer than anything else on the machine unless they are told
    "PYTHONPATH": str(REPOSITORY),
}
START_S = 120


@dataclass(frozen=True)
class Node:
    """A node's `ray start --block`; its processes are its children."""

    process: subprocess.Popen
    log: Path

    def wait(self, text):
        """Return the first match of a text in what the node has printed."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(text, self.log.read_text()):
                return found
            time.sleep(0.1)
        raise TimeoutError(f"no {text!r} in: {self.log.read_text()}")

    def processes(self):
        try:
            whole = psutil.Process(self.process.pid)
            return [whole, *whole.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def workers(self):
        """Return name of the run -> Ray worker, of the tasks that the node works on."""
        found = {}
        for process in self.processes():
            try:
                title = process.cmdline()[0]
            except (psutil.Error, IndexError):
                continue
            if title.startswith("ray::") and "/seed" in title:
                found[title.removeprefix("ray::").rstrip("\0 ")] = process
        return found

    def kill(self):
        """End it as a power cut does: SIGKILL for every process of the node."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)


def start_head(place, cpus):
    """Start a cluster's first node; return it and the cluster's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = _start(
        place / "head.log",
        cpus,
        "--head",
        "--include-dashboard=false",
        "--port",
        str(port),
        "--temp-dir",
        str(place / "ray"),
    )
    host = head.wait(r"Local node IP: (\S+)")[1]
    head.wait("Ray runtime started")
    return head, f"{host}:{port}"


def start_node(place, cpus, address):
    """Start another node of a cluster."""
    node = _start(place / f"node{time.monotonic_ns()}.log", cpus, "--address", address)
    node.wait("Ray runtime started")
    return node


def _start(log, cpus, *arguments):
    ray = str(Path(sys.executable).with_name("ray"))
    options = [f"--num-cpus={cpus}", f"--object-store-memory={100 * 2**20}", *arguments]
    command = [ray, "start", "--block", "--disable-usage-stats", *options]
    with log.open("w") as file:
        process = subprocess.Popen(command, env={**os.environ, **SETTINGS}, stdout=file, stderr=file)
    return Node(process, log)
