"""A client's sockets: each has one request at a time, which is sent again until it is answered."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from itertools import count
from math import ceil
from secrets import token_bytes
from typing import Any, NamedTuple

import zmq

from ...errors import PushError, QueueClosed, StorageError
from ..bells import Bells
from .failures import unpack_failure
from .frames import FrameError, Outcome, Reply, Request, Verb, read_reply, write_request
from .gate import FAILED_HANDSHAKES, failed_handshakes
from .keys import ClientKeys

__all__ = ["PATIENCE", "Channel", "Channels", "Response", "was_sent_to_another"]

PATIENCE = 30.0
"""Seconds that a request is sent again and again while no server answers."""

_SLICE = 0.05  # seconds between two looks at whether a wait is over
_SOON = 5  # milliseconds for which a wait has no bell, which costs more than most such waits
_RESEND = 1.0  # seconds without an answer after which a request is sent again, beside the time it may wait
_RECONNECT = (20, 500)  # milliseconds: the first and the longest pause before another try to connect


class Response(NamedTuple):
    """What the server answered.

    Attributes:
        resent: whether the request was sent to more than one server: one that is gone may have done it.
    """

    body: Any
    blobs: Sequence[bytes]
    resent: bool


def _never() -> bool:
    return False


def was_sent_to_another(failure: Exception) -> bool:
    """Of what `Channel.answer` raised: whether a server that is gone may have done the request."""
    return bool(getattr(failure, "_resent", False))


class _Sent(NamedTuple):
    """A request that is not answered yet."""

    number: int
    frames: list[bytes]
    first: float
    wait: float


class Channel:
    """One socket, used by one thread at a time.

    A server greets each new connection, so a request that went with the last one is sent again at once; and
    where the greeting is another server's, that is known, too.
    """

    def __init__(
        self, context: zmq.Context[Any], endpoint: str, name: bytes, keys: ClientKeys | None = None
    ) -> None:
        self._endpoint = endpoint
        self._pid = os.getpid()
        self._handshake = 0  # how the last one failed
        self._numbers = count(1)
        self._sent: _Sent | None = None
        self._server: bytes | None = None  # who greeted us last
        self._sent_to: bytes | None = None
        self._last = 0.0
        self._resent = False
        self.mutex = threading.Lock()
        self.closed = False
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.ROUTING_ID, name)
        self._socket.setsockopt(zmq.PROBE_ROUTER, 1)  # asks for the greeting, on every
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # new connection
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT[0])
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT[1])
        if keys is not None:
            keys.protect(self._socket)
        watched = endpoint.startswith("tcp:")
        self._watch = self._socket.get_monitor_socket(FAILED_HANDSHAKES) if watched else None
        self._socket.connect(endpoint)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "asking" if self._sent else "idle"
        return f"<Channel to {self._endpoint!r} [{state}]>"

    @property
    def asking(self) -> bool:
        """Whether a request is not answered yet."""
        return self._sent is not None

    def begin(self, verb: Verb, body: list[Any], blobs: Sequence[bytes] = (), wait: float = 0.0) -> None:
        """Send a request.

        Args:
            wait: seconds that the server may take before it answers.
        """
        number = next(self._numbers)
        try:
            frames = write_request(Request(number, verb, body, blobs))
        except FrameError as error:
            raise PushError(f"too much for one message to {self._endpoint!r}: {error}") from error
        self._sent, self._resent = _Sent(number, frames, time.monotonic(), wait), False
        self._sent_to = None
        with self.mutex:
            self._check_open()
            if self._sent.first - self._last > _SLICE and self._socket.poll(0):
                self._greeted(self._read())
            self._send(frames)

    def _send(self, frames: list[bytes]) -> None:
        """Send a request where a server is known to be; with the mutex."""
        self._last = time.monotonic()
        if self._server is None:
            return  # it greets us, and then it is sent
        self._resent = self._resent or self._sent_to not in (None, self._server)
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
            self._sent_to = self._server
        except zmq.Again:
            pass  # not connected now: the greeting is to come

    def _check_open(self) -> None:
        if self.closed:
            raise QueueClosed(f"the pipe to {self._endpoint!r} was closed; open it again")

    def answer(
        self,
        is_over: Callable[[], bool],
        patience: float = PATIENCE,
        within: float | None = None,
        bells: Bells | None = None,
    ) -> Response | None:
        """What the server answered; None where ``is_over`` before that: the answer can be asked for later.

        Args:
            patience: seconds beside the time that the server may take, after which there is none.
            within: seconds after which it is over, too.
            bells: rung after what ``is_over`` looks at has changed; without, that is seen a little later.

        Raises:
            QueueClosed: the channel was closed meanwhile.
            StorageError: no server answered.
            IpcqError, ValueError, TypeError: what the backend behind the server raised.
        """
        until = None if within is None else time.monotonic() + within
        while True:
            left = _SLICE if until is None else max(0.0, until - time.monotonic())
            reply = self._look(min(left, _SLICE), is_over, bells)
            if reply is not None:
                response = Response(reply.body, reply.blobs, self._resent)
                if reply.outcome is Outcome.FAILED:
                    failure = unpack_failure(reply.body)
                    failure.__dict__["_resent"] = self._resent
                    raise failure
                return response
            if is_over() or (until is not None and time.monotonic() >= until):
                return None
            self._send_again(patience)

    def _look(self, seconds: float, is_over: Callable[[], bool], bells: Bells | None) -> Reply | None:
        """The reply, if it comes within so long."""
        with self.mutex:  # `close` waits for it
            self._check_open()
            sent = self._sent
            if sent is None or not self._comes(seconds, is_over, bells):
                return None
            reply = self._read()
            if self._greeted(reply):
                self._send(sent.frames)
            if reply.number != sent.number:
                return None  # of a request that was answered twice
            self._sent = None
            return reply

    def _comes(self, seconds: float, is_over: Callable[[], bool], bells: Bells | None) -> bool:
        """Whether there is a message, or comes within so long, unless it is over before."""
        most = ceil(seconds * 1000)
        if bells is None or most <= _SOON:
            return bool(self._socket.poll(most))
        if self._socket.poll(_SOON):
            return True
        with bells.hung() as bell:
            poller = zmq.Poller()
            poller.register(self._socket, zmq.POLLIN)
            if bell.fileno() >= 0:
                poller.register(bell.fileno(), zmq.POLLIN)
            return self._socket in dict(poller.poll(0 if is_over() else most - _SOON))

    def _read(self) -> Reply:
        try:
            return read_reply(self._socket.recv_multipart())
        except FrameError as error:
            raise StorageError(f"{self._endpoint!r} is no server of this version of ipcq: {error}") from error

    def _greeted(self, reply: Reply) -> bool:
        """Whether this is the greeting of a server, which is known from now on."""
        if reply.outcome is not Outcome.WELCOME:
            return False
        self._server = reply.body
        return True

    def _send_again(self, patience: float) -> None:
        sent, now = self._sent, time.monotonic()
        if sent is None:
            raise StorageError(f"nothing was asked of {self._endpoint!r}")
        if self._watch is not None:
            for event in failed_handshakes(self._watch):
                self._handshake = event
        if self._handshake == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise StorageError(
                f"the server at {self._endpoint!r} refused: our public key is not among its clients'"
            )
        if now - sent.first > sent.wait + patience:
            why = "the handshake failed: do both sides have keys, and is its public key the right one?"
            raise StorageError(
                f"no server answered at {self._endpoint!r} within {now - sent.first:.0f} s;"
                f" {why if self._handshake else 'is it running?'}"
            )
        if now - self._last > sent.wait + _RESEND:
            with self.mutex:
                self._check_open()
                self._send(sent.frames)

    def close(self) -> None:
        """Close the socket, when nobody looks at it."""
        self.closed = True  # at once: who looks again and again does not begin another look
        with self.mutex:
            self._close()

    def _close(self) -> None:
        if self._socket.closed or self._pid != os.getpid():  # in a forked child it is the parent's
            return
        if self._watch is not None:
            self._socket.disable_monitor()
            self._watch.close(linger=0)
        self._socket.close()

    def __del__(self) -> None:
        if not self.closed:  # of a wait that was dropped half-way
            self._close()


class Channels:
    """All sockets of one process to one endpoint."""

    def __init__(self, endpoint: str, keys: ClientKeys | None = None) -> None:
        self.endpoint = endpoint
        self._keys = keys
        self.pid = os.getpid()
        self.closed = False
        self._context: zmq.Context[Any] = zmq.Context()
        self._name = token_bytes(12)
        self._numbers = count()
        self._idle: list[Channel] = []
        self._all: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._mutex = threading.Lock()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._all)} sockets"
        return f"<Channels to {self.endpoint!r} [{state}]>"

    def take(self) -> Channel:
        """A channel that nobody uses."""
        with self._mutex:
            if self.closed:
                raise QueueClosed(f"the pipe to {self.endpoint!r} was closed; open it again")
            if self._idle:
                return self._idle.pop()
            name = self._name + next(self._numbers).to_bytes(4, "big")
            channel = Channel(self._context, self.endpoint, name, self._keys)
            self._all.add(channel)
            return channel

    def give(self, channel: Channel) -> None:
        """Have it back; one whose request was not answered is of no use to anybody else."""
        with self._mutex:
            if not channel.asking and not self.closed:
                self._idle.append(channel)
                return
        channel.close()

    def call(
        self,
        verb: Verb,
        *body: Any,
        blobs: Sequence[bytes] = (),
        wait: float = 0.0,
        patience: float = PATIENCE,
        gives_up: Callable[[], bool] = _never,
    ) -> Response:
        """Ask, and wait for the answer.

        Args:
            gives_up: whether to wait no longer: then it is a `StorageError`, too.

        Raises:
            IpcqError, ValueError, TypeError: as `Channel.answer`.
        """
        channel = self.take()
        try:
            channel.begin(verb, list(body), blobs, wait)
            response = channel.answer(gives_up, patience)
        finally:
            self.give(channel)
        if response is None:
            raise StorageError(f"no server answered at {self.endpoint!r} in the time that was left")
        return response

    def close(self) -> None:
        """Close all; whoever waits gets `QueueClosed`."""
        with self._mutex:
            if self.closed:
                return
            self.closed = True
            channels = list(self._all)
            self._idle.clear()
        for channel in channels:
            channel.close()
        self._context.destroy(linger=0)
