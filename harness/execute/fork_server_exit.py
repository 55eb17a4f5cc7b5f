"""What the server that forks runs does beside that; it imports this module when it starts, and nothing else does.

The server is parent to what runs have left behind. When the command that it works for is killed, it ends every run,
whatever the run is doing; otherwise it lets the command decide: a signal to all processes of a terminal, or of a batch
job, must not end the server before the command has ended its runs.
"""

from __future__ import annotations

import os
import signal
import warnings

from harness.execute.fork_server import adopt_orphans, die_with_parent, end_all, orphans

PATIENCE_S = 5.0
_COMMAND = os.getppid()


def _end_all(signum: int, frame: object) -> None:
    """End what is left when the command is gone; it is not where only the thread that started the server has ended."""
    end_all(lambda: orphans(os.getpid()) if os.getppid() != _COMMAND else set(), PATIENCE_S)


warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
for _name in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_name, signal.SIG_IGN)
signal.signal(signal.SIGUSR2, _end_all)
adopt_orphans()
die_with_parent(signal.SIGUSR2)
