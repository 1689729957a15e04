"""When what was written is brought to the disk: before the call returns, within a second, or some day."""

from __future__ import annotations

import threading

from ...errors import StorageError
from .logfile import LogFile, sync_directory, sync_file

__all__ = ["INTERVAL", "POLICIES", "Syncer"]

POLICIES = ("always", "interval", "never")
INTERVAL = 1.0
"""Seconds within which ``interval`` brings to the disk what was written."""


class Syncer:
    """One policy on one log. Threads that write at the same time share one trip to the disk."""

    def __init__(self, policy: str, interval: float = INTERVAL) -> None:
        """
        Args:
            policy: one of `POLICIES`.
            interval: seconds.
        """
        if policy not in POLICIES:
            raise ValueError(f"fsync must be one of {', '.join(map(repr, POLICIES))}, not {policy!r}")
        self.policy = policy
        self._interval = interval
        self._mutex = threading.Lock()
        self._synced: tuple[LogFile | None, int] = None, 0
        self._dirty: tuple[LogFile, int] | None = None
        self._timer: threading.Timer | None = None
        self._failure: StorageError | None = None

    def __repr__(self) -> str:
        state = "failed" if self._failure else "dirty" if self._dirty else "clean"
        return f"<Syncer {self.policy!r} [{state}]>"

    def check(self) -> None:
        """Raise if a sync failed: the kernel tells it once, and what it dropped is not written later."""
        if self._failure is not None:
            raise StorageError(
                f"nothing more is written: {self._failure}; open the queue again"
            ) from self._failure

    def written(self, log: LogFile, end: int) -> None:
        """What ends at ``end`` was appended to ``log``; the lock may be free again."""
        if self.policy == "always":
            with self._mutex:
                self._bring(log, end)
        elif self.policy == "interval":
            with self._mutex:
                self._dirty = log, end
                self._start()

    def retire(self, log: LogFile) -> None:
        """Close a log that was written anew, as soon as nobody syncs it."""
        with self._mutex:
            log.close()

    def close(self) -> None:
        """Bring to the disk what waits for it."""
        with self._mutex:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()
        self._flush()

    def _start(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._interval, self._flush)
            self._timer.daemon = True  # whoever wants the last second on the disk closes the queue
            self._timer.start()

    def _flush(self) -> None:
        with self._mutex:
            self._timer = None
            dirty, self._dirty = self._dirty, None
            if dirty is None:
                return
            try:
                self._bring(*dirty)
            except StorageError:
                pass  # the next write tells it

    def _bring(self, log: LogFile, end: int) -> None:
        """With the mutex. A closed log was written anew: all of it is on the disk but maybe its name."""
        synced, upto = self._synced
        if synced is log and upto >= end:
            return
        try:
            if log.fd < 0:
                sync_directory(log.path)
            else:
                size = log.size()
                sync_file(log.fd, log.path)
                self._synced = log, size
        except StorageError as error:
            self._failure = error
            raise
