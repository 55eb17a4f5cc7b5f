"""A page's blocks, run in order in one folder.

Lines that are commands of harness alone run in the process of the tests: a start takes seconds, and a page has up to
nine. A shell runs what is more than that, servers, and pages that enter parts of their own into the catalog.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import yaml
from pages import ROOT, Block, Page
from tiny_study import harness_here

PATIENCE_S = 300
WITH_PARTS = {"adding-parts.md"}
"""Pages whose parts would be in the catalog of the tests that come after them."""


class Place:
    """The folder in which a page is run, and the servers that it has started."""

    def __init__(self, folder: Path, page: str) -> None:
        """Put a `harness` of this source tree before all others."""
        self.folder = folder
        self.in_shell = page in WITH_PARTS
        self.printed = ""
        self._ports: dict[str, str] = {}
        self._servers: list[subprocess.Popen[bytes]] = []
        programs = folder / ".programs"
        programs.mkdir()
        (programs / "harness").write_text(
            f'#!/bin/sh\nexec {sys.executable} -c "from harness.cli.app import main; main()" "$@"\n'
        )
        (programs / "harness").chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "HARNESS_CACHE": str(folder / ".cache"),
        }

    def run(self, block: Block) -> None:
        """Do what a block says; an AssertionError says what went wrong."""
        text = block.shortened
        for port, free in self._ports.items():
            text = text.replace(port, free)
        if "file" in block.marks:
            (self.folder / block.marks["file"]).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.marks["file"]).write_text(text)
        if block.language == "yaml":
            self._check_yaml(block, text)
        elif block.language == "text":
            self._compare(block, text)
        elif "serves" in block.marks:
            self._serve(text)
        elif "file" not in block.marks:
            calls = [] if self.in_shell or block.language != "bash" else _harness_calls(text)
            done = self._call(calls) if calls else self._start(block.language, text)
            assert done.returncode == int(block.marks.get("exit", 0)), f"{text}\n{done.stdout}{done.stderr}"
            self.printed = done.stdout + done.stderr

    def _start(self, language: str, text: str) -> subprocess.CompletedProcess[str]:
        program = ["bash", "-euo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
        return subprocess.run(
            [*program, text], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=1800
        )

    def _call(self, calls: list[list[str]]) -> subprocess.CompletedProcess[str]:
        """Call the program with the words of each line, up to the first that fails, as `bash -e` does."""
        out = err = ""
        with mock.patch.dict(os.environ, self.environment):
            for words in calls:
                done = harness_here(*words, cwd=self.folder)
                out, err = out + done.stdout, err + done.stderr
                if done.returncode != 0:
                    break
        return subprocess.CompletedProcess(calls, done.returncode, out, err)

    def _check_yaml(self, block: Block, text: str) -> None:
        """Read a study, or one with the block's keys in place of its own; other files are for the commands to read."""
        content = yaml.safe_load(text)
        path = self.folder / block.marks.get("file", f"line{block.line}.yaml")
        if "in" in block.marks:
            content = {**yaml.safe_load((self.folder / block.marks["in"]).read_text()), **content}
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        elif "file" not in block.marks:
            path.write_text(text)
        if "study" in content:
            done = subprocess.run(
                [sys.executable, "-c", f"import harness; harness.load_spec({str(path)!r})"],
                cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr

    def _compare(self, block: Block, text: str) -> None:
        """Find each line of the shown output, numbers and ids aside, in what was printed."""
        printed = {_words(line) for line in self.printed.splitlines()}
        for line in text.splitlines():
            assert line.strip() in ("", "...") or _words(line) in printed, f"not printed: {line}\n{self.printed}"

    def _serve(self, text: str) -> None:
        """Start a server at a free port in place of the one written, and wait until it answers."""
        [port] = re.findall(r"--port (\d+)", text)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = self._ports[port] = str(probe.getsockname()[1])
        log = (self.folder / ".server.log").open("wb")
        server = subprocess.Popen(
            ["bash", "-c", text.replace(port, free)],
            cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        self._servers.append(server)
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(int(free)):
            assert server.poll() is None and time.monotonic() < deadline, (self.folder / ".server.log").read_text()
            time.sleep(0.5)

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


def _harness_calls(text: str) -> list[list[str]]:
    """Return the words of each line of a block that calls harness alone, without a shell's work; else nothing."""
    if "\\\n" in text:
        return []
    lines = [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]
    plain = all(words[0] == "harness" and not re.search(r"[$`|&;<>]", "".join(words)) for words in lines)
    return [words[1:] for words in lines] if plain else []


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _words(line: str) -> str:
    """Return a line without numbers, ids and the lengths of its gaps and rules."""
    return re.sub(r"\s+", " ", re.sub(r"\b[0-9a-f]{12,32}\b|[+−-]?\d[\d,.]*|[━─]+", "#", line)).strip()


@contextmanager
def placed(folder: Path, page: str) -> Iterator[Place]:
    """Return a place for a page; its servers end with it."""
    place = Place(folder, page)
    try:
        yield place
    finally:
        place.close()


def run_page(page: Page, place: Place) -> None:
    """Run all blocks of a page that are not marked as not run."""
    for block in page.blocks:
        if "not run" not in block.marks:
            place.run(block)
