"""Permits that this process has of a server, and a thread that tells it so again and again."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from secrets import token_bytes
from types import TracebackType
from typing import Any

from ...errors import IpcqError
from ...pacing import check_limit, check_name, check_waited
from ..liveness import own_identity
from .channels import PATIENCE, Channels
from .frames import Verb

__all__ = ["Permits", "PipePermit"]

_TICK = 0.25  # seconds between two lists


class PipePermit:
    """One of so many permits. Fulfils `Permit`."""

    def __init__(self, permits: Permits, number: int) -> None:
        self._permits = permits
        self._number = number

    def __repr__(self) -> str:
        return f"<PipePermit {self._number} of {self._permits!r}>"

    def release(self) -> None:
        """Give it back; the server is told by another thread."""
        self._permits.release(self._number)

    def __enter__(self) -> PipePermit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Permits:
    """What this process has.

    The server gets whole lists, each with a number, so that one that is lost costs nothing, one that comes
    late is dropped, and the next server knows as much as the last one. They are sent as long as there is a
    permit, or something that no server has heard of. The thread ends when there is nothing to tell for a
    while.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._pid = os.getpid()
        self._me: list[Any] = [token_bytes(12), list(own_identity())]
        self._mutex = threading.RLock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._next = 1
        self._asked: set[int] = set()
        self._held: dict[int, list[Any]] = {}
        self._lists = 0
        self._changes = self._known = 0  # how often it changed, and the last change that a server knows of
        self._closed = False

    def __repr__(self) -> str:
        return f"<Permits of {self._channels.endpoint!r} [{'closed' if self._closed else len(self._held)}]>"

    def take(self, name: str, limit: int, waited: float = 0.0) -> PipePermit | None:
        """One of ``limit`` permits, or None."""
        wanted = [0, check_name(name), check_limit(limit)]
        check_waited(waited)
        number = 0
        try:
            with self._mutex:
                number = wanted[0] = self._next
                self._next += 1
                self._asked.add(number)
            given = self._channels.call(Verb.TAKE_PERMIT, *self._me, wanted, waited).body
            with self._mutex:
                if given:
                    self._held[number] = wanted
                    self._change()
                self._asked.discard(number)
            return PipePermit(self, number) if given else None
        except BaseException:  # it may have been given all the same
            with self._mutex:
                self._held.pop(number, None)
                self._asked.discard(number)
                self._change()
            raise

    def release(self, number: int) -> None:
        """Give one back; nothing where it was given back, or in a forked child."""
        if self._pid == os.getpid():
            with self._mutex:
                if self._held.pop(number, None) is not None:
                    self._change()

    def _change(self) -> None:
        """Have the thread tell it at once; with the mutex."""
        self._changes += 1
        self._news.set()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="ipcq-permits", daemon=True)
            self._thread.start()

    def close(self, *, patience: float) -> None:
        """Give all back. The thread ends when the channels are closed, too.

        Args:
            patience: seconds to wait for a server.
        """
        with self._mutex:
            self._closed = True
            self._held.clear()
            untold = self._changes != self._known
            self._news.set()
        if untold or self._thread is not None:
            with suppress(IpcqError):  # the server is gone, and gave all back
                self._tell(patience)

    def join(self) -> None:
        """Wait for the thread's end."""
        thread = self._thread
        if thread is not None:
            thread.join()

    # --- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._goes_on(self._news.wait(_TICK)):
            try:
                self._tell(PATIENCE)
            except IpcqError:  # no server for half a minute, or its queue is gone: there may be one again
                if self._channels.closed:
                    return

    def _goes_on(self, woken: bool) -> bool:
        """Whether there may be something to tell; where not, the next change starts another thread."""
        with self._mutex:
            self._news.clear()
            over = not (woken or self._held or self._changes != self._known)
            if over or self._closed:
                self._thread = None
                return False
            return True

    def _tell(self, patience: float) -> None:
        """Send a list of what there is."""
        with self._mutex:
            self._lists += 1
            changes = self._changes
            told = [self._lists, self._next, list(self._held.values()), sorted(self._asked)]
        self._channels.call(Verb.KEEP_PERMITS, *self._me, *told, patience=patience)
        with self._mutex:
            self._known = max(self._known, changes)
