"""Where a server listens; with few descriptors left it closes all connections, and listens anew.

ZeroMQ lets in whoever comes, and has no way to close one connection. Clients of ours connect again.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from ...errors import StorageError
from .gate import FAILED_HANDSHAKES, Refusals

__all__ = ["Listening"]

_SPARE = (32, 256)  # descriptors that connections leave, at least and at the most; else an eighth
_PAUSE = 5.0  # seconds between two times that all connections are closed, at the least
_UNSEEN = 16  # connections that are let in before descriptors are counted
_TOGETHER = 256  # events that are counted before something else is done


class Listening:
    """One socket's place.

    Attributes:
        endpoint: where it is; with the port that was found.
    """

    def __init__(self, socket: zmq.Socket[Any], endpoint: str, refusals: Refusals) -> None:
        self._socket = socket
        self._refusals = refusals
        self._watch = socket.get_monitor_socket(zmq.EVENT_ACCEPTED | FAILED_HANDSHAKES)
        self._new = 0
        self._closed = -_PAUSE
        self.listens = False
        self.endpoint = endpoint

    def __repr__(self) -> str:
        return f"<Listening at {self.endpoint!r} [{'open' if self.listens else 'closed'}]>"

    @contextmanager
    def entered(self) -> Iterator[zmq.Socket[Any]]:
        """Listen; what it gives can be polled for when `look` has something to do."""
        try:
            self._bind()
            self.endpoint = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
            yield self._watch
        finally:
            self._socket.disable_monitor()
            self._watch.close(linger=0)

    def _bind(self) -> None:
        try:
            self._socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            raise StorageError(f"cannot serve at {self.endpoint!r}: {error.strerror}") from error
        self.listens = True

    def look(self) -> None:
        """Count who came, and who was not let in; listen no more where there are too many."""
        for _ in range(_TOGETHER):
            if not self._watch.poll(0):
                break
            event = int(recv_monitor_message(self._watch)["event"])
            if event == zmq.EVENT_ACCEPTED:
                self._new += 1
            else:
                self._refusals.note("connections", f"the handshake failed: {zmq.Event(event).name}")
        if self._new >= _UNSEEN or not self.listens:
            self.tend(time.monotonic())

    def tend(self, now: float) -> None:
        """Close all connections where few descriptors are left; then listen again."""
        self._new = 0
        left, spare = _descriptors()
        if self.listens:
            if left < spare and now - self._closed >= _PAUSE:
                self._close(now, left)
        elif left >= spare:
            with suppress(StorageError):  # ZeroMQ closes when it has time: once more, soon
                self._bind()

    def _close(self, now: float, left: int) -> None:
        self._refusals.note("connections", f"all were closed: {left} descriptors were left; see ulimit -n")
        with suppress(zmq.ZMQError):
            self._socket.unbind(self.endpoint)
            self._closed, self.listens = now, False


def _descriptors() -> tuple[int, int]:
    """How many this process may still open, and how many connections are to leave."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    least, enough = _SPARE
    spare = min(max(most // 8, least), enough)
    try:
        return most - len(os.listdir("/proc/self/fd")), spare
    except FileNotFoundError:  # not Linux: they are not counted
        return most, spare
    except OSError:
        return 0, spare  # there is not even one to count with
