"""Bringing a tracking store up to date beside the training, which never waits for it."""

from __future__ import annotations

import threading

from harness.errors import InputError
from harness.records import Plan, Run
from harness.runs.folder import RunFolder
from harness.tracking.protocol import Shown, Store, StoreError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""How long a store that fails is left alone: twice as long each time."""


class BackgroundSync:
    """One thread that mirrors runs. It keeps the last status told of each run, so a slow store makes no backlog.

    A run whose delivery fails is delivered later, after a pause that grows; what it is to hold comes from its folder.
    """

    def __init__(self, store: Store, plan: Plan, *, opened: bool) -> None:
        self._store, self._plan, self._opened = store, plan, opened
        self._waiting: dict[str, tuple[Run, RunFolder, Shown]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._failing = not opened
        self._news: list[str] = []
        # A thread, not a process: it mostly waits for a server. A daemon, for a server that never answers must not keep
        # a command that was interrupted from ending.
        self._thread = threading.Thread(target=self._work, name="background-sync", daemon=True)
        self._thread.start()

    def tell(self, run: Run, folder: RunFolder, status: Shown) -> None:
        """Have a run shown with this status and all that its folder holds. Returns at once."""
        with self._changed:
            self._waiting[run.id] = (run, folder, status)
            self._changed.notify()

    def news(self) -> list[str]:
        """Return what a user should know about the store and was not told yet."""
        with self._changed:
            news, self._news = self._news, []
        return news

    def close(self, patience_s: float | None = None) -> None:
        """Deliver the rest, with one last attempt where the store fails; give up after `patience_s` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience_s)

    @property
    def behind(self) -> int:
        """Return the number of runs of which the store lacks something."""
        return len(self._waiting) + self._thread.is_alive()

    def _work(self) -> None:
        pause = 0.0
        while self._next(pause):
            try:
                self._deliver()
                pause = 0.0
            except StoreError as error:
                pause = min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
                if not self._failing:
                    self._failing = True
                    self._say(
                        f"{error}; the results are safe on this disk, and the store is tried again from time to time"
                    )
                if self._closing:  # that was the last attempt; what is left is counted in `behind`
                    return
            except InputError as error:  # not the store's fault, and no better the next time
                self._say(str(error))
                if not self._opened:
                    return

    def _next(self, pause: float) -> bool:
        """Wait for something to deliver, at least `pause` seconds unless it is the last attempt; false at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, pause)
            self._changed.wait_for(lambda: self._closing or bool(self._waiting))
            return bool(self._waiting)

    def _deliver(self) -> None:
        if not self._opened:
            self._store.open_study(self._plan)
            self._opened = True
        # Taken out first, and delivered without the lock: who tells the next status does not wait for the store, and
        # what is told meanwhile is not lost.
        with self._changed:
            run, folder, status = self._waiting.pop(next(iter(self._waiting)))
        try:
            self._store.mirror(run, folder, status)
        except InputError:
            raise
        except Exception:
            with self._changed:
                self._waiting.setdefault(run.id, (run, folder, status))  # what was told in the meantime is newer
            raise
        if self._failing:
            self._failing = False
            self._say("the tracking store answers again, and is brought up to date")

    def _say(self, text: str) -> None:
        with self._changed:
            self._news.append(text)
