"""`harness ui` ends the server that it has started, and the server's processes, whichever signal ends it."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from tiny_study import hear_signals

PROGRAM = """
import sys
from harness.tracking import server
from harness.cli.app import main

SERVER = '''
import os, signal, time
if os.fork() == 0:  # a worker, which does not want to end
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(600)
'''
server.END_S = 1.0
server.make_server_command = lambda *ignored: ([sys.executable, "-c", SERVER], {})
server.refuse_taken_port = lambda port: None
sys.argv = ["harness", "ui"]
main()
"""


def test_a_hangup_that_nohup_ignores_ends_nothing():
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.terminate()
    assert process.wait(30) == 130


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_ui_ends_its_server_and_the_workers_of_that(signum):
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_signals
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    until = time.monotonic() + 5
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))
