"""How a worker sends: at once or hardly later, or not at all; what is left out is counted, and told."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from .address import connect, is_own
from .messages import Origin, dump_dropped

__all__ = ["Channel", "Channels", "Patience"]

_LONGEST = 0.1  # seconds that a full receiver may hold a worker up
_SHARE = 0.02  # of the time that passes may be spent so again
_MOST = 8  # receivers that a worker keeps a socket to, though no run of theirs goes on


class Patience:
    """How long a sender may wait: a tenth of a second, and from then on a fiftieth of the time.

    So a burst of records reaches a receiver that is a little slower, and one that is stopped, or always
    slower, costs tasks 2 % of their time and no more.

    Args:
        clock: seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._at = _LONGEST, clock()

    def __repr__(self) -> str:
        return f"<Patience: {self._left:.3f} s>"

    def left(self) -> float:
        """Seconds that it may wait now."""
        now = self._clock()
        self._left = min(_LONGEST, self._left + (now - self._at) * _SHARE)
        self._at = now
        return self._left

    def spent(self, seconds: float) -> None:
        """It waited so long."""
        self._left -= seconds
        self._at = self._clock()


class Channel:
    """A worker's socket to one receiver; any thread may send.

    Nothing is locked: the kernel takes a message whole, and an exception may break in anywhere.

    Attributes:
        gone: the receiver is not there any more.
        own: it is in this process.
        dropped: messages that it was not told to have lost yet.
        runs: how many go on whose messages it is for.
    """

    def __init__(self, sock: socket.socket, patience: Patience | None = None) -> None:
        self._socket = sock
        self._patience = patience or Patience()
        self.own = is_own(sock)
        self.gone = False
        self.dropped = self.runs = 0
        self._origin: Origin | None = None

    def __repr__(self) -> str:
        return f"<Channel {'to nobody' if self.gone else 'open'}: {self.dropped} dropped>"

    def send(self, origin: Origin, data: bytes) -> None:
        """Send a message, or count it as dropped."""
        if self.gone:
            return
        self._origin = origin
        if self.dropped:
            self.settle()
        if self.dropped or not self._sent(data, self._patience.left()):
            self.dropped += 1

    def settle(self, patience: float = 0.0) -> None:
        """Tell what was dropped, if there is room for that by now, or in so many seconds."""
        count, origin = self.dropped, self._origin
        if count and origin and not self.gone and self._sent(dump_dropped(origin, count), patience):
            self.dropped -= count

    def close(self) -> None:
        """Send nothing more than what was dropped."""
        self.settle(self._patience.left())
        self.gone = True
        with suppress(OSError):  # a handler closed it, as `os.closerange` does
            self._socket.close()

    def _sent(self, data: bytes, patience: float) -> bool:
        """Whether it went out, within so many seconds."""
        if self._tried(data):
            return True
        begun = time.monotonic()
        waited, sent = 0.0, False
        while not sent and not self.gone and waited < patience:
            _wait_for_room(self._socket, patience - waited)
            sent = self._tried(data)
            waited = time.monotonic() - begun
        if waited:
            self._patience.spent(waited)
        return sent

    def _tried(self, data: bytes) -> bool:
        try:
            self._socket.send(data, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError as error:  # but for these two it is this message that the system has no room for
            self.gone = self.gone or isinstance(error, ConnectionError) or error.errno == errno.EBADF
            return False
        return True


def _wait_for_room(sock: socket.socket, seconds: float) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    poll.poll(seconds * 1000)


class Channels:
    """The sockets of one worker, to those receivers that its last tasks named."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Channel] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Channels: {len(self._open)}>"

    def get(self, name: str) -> Channel | None:
        """To the receiver of that name; None where it is gone."""
        found = self._open.get(name)
        if found is None or found.gone:
            self._drop(name)
            sock = connect(name)
            if sock is None:
                return None
            found = self._open[name] = Channel(sock)
        self._open.move_to_end(name)
        idle = [each for each, channel in self._open.items() if not channel.runs and channel is not found]
        for each in idle[: max(0, len(self._open) - _MOST)]:
            self._drop(each)
        return found

    def _drop(self, name: str) -> None:
        channel = self._open.pop(name, None)
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Close them all."""
        for name in list(self._open):
            self._drop(name)
