"""Who and what was not let in: counted, and told by the log, however much there is of it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from .frames import LARGEST_MESSAGE, MOST_BLOBS

__all__ = ["FAILED_HANDSHAKES", "Refusals", "failed_handshakes", "receive"]

log = logging.getLogger("ipcq.pipe")

FAILED_HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVERY = 1.0  # seconds between two lines of the log about the same reason


class Refusals:
    """What one server dropped.

    Attributes:
        counts: how much, by its reason.
    """

    def __init__(self, endpoint: str) -> None:
        self.counts: Counter[str] = Counter()
        self._endpoint = endpoint
        self._told: dict[str, tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"<Refusals: {dict(self.counts)}>"

    def note(self, reason: str, what: str) -> None:
        """One more; a line in the log, once a second at the most, tells of those since the last, too."""
        self.counts[reason] += 1
        now = time.monotonic()
        last, count = self._told.get(reason, (0.0, 0))
        if now - last >= _EVERY:
            since = self.counts[reason] - count
            self._told[reason] = now, self.counts[reason]
            log.warning("server at %s dropped %d %s: %s", self._endpoint, since, reason, what)


def receive(socket: zmq.Socket[Any]) -> tuple[bytes, list[bytes] | None]:
    """Who sent a message, and its frames, taken one by one; `zmq.Again` where there is none now.

    Returns:
        None for frames that are more, or more bytes, than any message of ours has: those are not kept.
    """
    who: bytes = socket.recv(zmq.NOBLOCK)
    frames, room = list[bytes](), LARGEST_MESSAGE
    while socket.getsockopt(zmq.RCVMORE):
        if room < 0 or len(frames) > MOST_BLOBS:
            _drop_rest(socket)
            return who, None
        frames.append(socket.recv())
        room -= len(frames[-1])
    return who, frames if room >= 0 else None


def _drop_rest(socket: zmq.Socket[Any]) -> None:
    while socket.getsockopt(zmq.RCVMORE):
        socket.recv(copy=False)


def failed_handshakes(monitor: zmq.Socket[Any]) -> list[int]:
    """The failures that a socket's monitor saw since it was asked last."""
    found = list[int]()
    while monitor.poll(0):
        found.append(int(recv_monitor_message(monitor)["event"]))
    return found
