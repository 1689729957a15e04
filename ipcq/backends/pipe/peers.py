"""Clients' sockets as the server knows them: the last request of each, and what that was answered with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ...errors import StorageError
from .failures import pack_failure
from .frames import Outcome, Reply, write_reply

__all__ = ["Peer", "Peers"]

_MOST_PEERS = 16_384  # sockets whose last request is remembered
_MOST_KEPT = 256 << 20  # bytes of all answers that are kept, beside the last one
_LARGE = 1 << 14  # bytes of an answer that is worth dropping
_SILENCE = 60.0  # seconds after which a socket's last request is forgotten


class Peer:
    """A client's socket: it has one request at a time.

    Attributes:
        number: of its last request.
        reply: what that was answered with; None as long as it was not, or where it may be done once more.
        waits: whether it is to be answered yet.
    """

    __slots__ = ("heard", "number", "reply", "waits")

    def __init__(self) -> None:
        self.number = -1
        self.reply: Sequence[bytes] | None = None
        self.waits = False
        self.heard = 0.0


class Peers:
    """All sockets, those heard of last at the end; there is a bound for how many, and for their answers.

    Where it is reached, those that are silent for longest are forgotten, or their answers are.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[bytes, Peer] = OrderedDict()
        self._kept = 0

    def __repr__(self) -> str:
        return f"<Peers: {len(self._all)}, {self._kept} bytes kept>"

    def __len__(self) -> int:
        return len(self._all)

    def get(self, who: bytes) -> Peer | None:
        """The socket of that name, if it is known."""
        return self._all.get(who)

    def heard(self, who: bytes, now: float) -> Peer:
        """The same, made where it is new; heard of at this moment, by `time.monotonic`."""
        peer = self._all.get(who)
        if peer is None:
            peer = self._all[who] = Peer()
            if len(self._all) > _MOST_PEERS:
                self._drop(next(iter(self._all)))
        else:
            self._all.move_to_end(who)
        peer.heard = now
        return peer

    def begin(self, peer: Peer, number: int) -> None:
        """It has another request; what the last one was answered with is of no use any more."""
        self._kept -= _size(peer.reply)
        peer.number, peer.reply, peer.waits = number, None, True

    def keep(self, who: bytes, peer: Peer, reply: Sequence[bytes] | None) -> None:
        """It was answered."""
        peer.reply, peer.waits = reply, False
        self._kept += _size(reply)
        if self._kept > _MOST_KEPT:
            self._make_room(who)

    def _make_room(self, who: bytes) -> None:
        for name, peer in self._all.items():
            size = _size(peer.reply)
            if size > _LARGE and name != who:
                peer.reply = write_reply(Reply(peer.number, Outcome.FAILED, pack_failure(_dropped(size))))
                self._kept += _size(peer.reply) - size
                if self._kept <= _MOST_KEPT // 2:  # so that this is not done for each answer
                    return

    def _drop(self, who: bytes) -> None:
        self._kept -= _size(self._all.pop(who).reply)

    def forget_silent(self, now: float) -> None:
        """Forget those of whom nothing was heard for long: nobody asks for their answers any more."""
        while self._all:
            who, peer = next(iter(self._all.items()))
            if now - peer.heard < _SILENCE:
                return
            self._drop(who)


def _dropped(size: int) -> StorageError:
    return StorageError(
        f"the request was done, but its answer of {size} bytes was lost with a connection, and dropped:"
        f" the server keeps {_MOST_KEPT} bytes for all clients together"
    )


def _size(reply: Sequence[bytes] | None) -> int:
    return sum(map(len, reply)) if reply else 0
