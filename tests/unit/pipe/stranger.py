"""A client that nobody of ours wrote: it sends what it likes over one socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from secrets import token_bytes
from typing import Any

import zmq

from ipcq.backends.pipe.failures import unpack_failure
from ipcq.backends.pipe.frames import Outcome, Reply, Request, Verb, read_reply, write_request

PATIENCE = 20.0
ID = b"\x01" * 16
PARTS = [0.0, 0, 1, 2, None, True, b""]


class Stranger:
    """One socket that asks, with numbers that grow as they should."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self._numbers = count(1)

    def send(self, verb: Verb, body: Any, blobs: Sequence[bytes] = ()) -> None:
        """Ask, and do not wait."""
        self.socket.send_multipart(write_request(Request(next(self._numbers), verb, body, blobs)))

    def hear(self) -> Reply:
        """The next answer."""
        assert self.socket.poll(round(PATIENCE * 1000)), "no answer"
        return read_reply(self.socket.recv_multipart())

    def ask(self, verb: Verb, *body: Any, blobs: Sequence[bytes] = ()) -> Any:
        """What is answered; raises what that says."""
        self.send(verb, list(body), blobs)
        reply = self.hear()
        if reply.outcome is Outcome.FAILED:
            raise unpack_failure(reply.body)
        return reply.body


@contextmanager
def stranger(endpoint: str, name: bytes | None = None) -> Iterator[Stranger]:
    """One that is connected; as another client than all others, unless it has another's name."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.setsockopt(zmq.ROUTING_ID, name or b"x" + token_bytes(15))
        socket.connect(endpoint)
        yield Stranger(socket)
