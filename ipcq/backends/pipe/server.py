"""The server's thread: requests from a ROUTER socket, each answered when it can be."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from secrets import token_bytes
from types import TracebackType
from typing import Any

import zmq

from ...errors import IpcqError, NotSupported
from .asked import is_repeatable
from .desk import A_TASK, ROOM, ROOM_FOR_A_VALUE, Desk, Waiting
from .endpoints import check_codec, check_endpoint, holding
from .failures import pack_failure
from .frames import (
    LARGEST_BLOB,
    FrameError,
    Outcome,
    Reply,
    Request,
    read_request,
    write_reply,
)
from .gate import Refusals, receive
from .keys import ServerKeys
from .listening import Listening
from .parking import Parked, Parking
from .peers import Peers
from .wire import Passing

__all__ = ["Server"]

log = logging.getLogger("ipcq.pipe")

DEAD_AFTER = 10.0
"""Seconds of silence after which a worker on another machine is dead."""

_GLANCE = 0.02  # seconds between two looks for those who wait: others may use the queue without this server
_RARE_GLANCE = 0.05  # the same, after a second in which nothing happened
_QUIET = 1.0
_TICK = 0.5  # seconds: the pace of housekeeping
_MOST_WAITING = 8  # messages of one connection that lie here unread: a client of ours has one at a time
_MOST_UNHEARD = 4  # answers of one connection that lie here unsent; more are dropped, and asked for again
_HANDSHAKE = 5.0  # seconds that a connection has to say who it is, before it is closed
_PULSE, _STILL = 15, 60  # seconds between two questions whether a connection lives, and to answer one
_AT_ONCE = 64  # requests that are answered before those who wait are looked after
_MOST_PARKED = 256 << 20  # bytes of payloads that wait for room, beside the last one


class Server:
    """Serves a backend at an endpoint while it is entered; made by `Pipe.serve`.

    Attributes:
        endpoint: where it listens; with the port that was found for ``tcp://127.0.0.1:*``.
        refusals: what was not let in, counted by its reason.
    """

    def __init__(
        self,
        backend: Any,
        endpoint: str,
        *,
        dead_after: float = DEAD_AFTER,
        keys: str | os.PathLike[str] | None = None,
        clients: str | os.PathLike[str] | None = None,
    ) -> None:
        """
        Raises:
            NotSupported: the backend cannot be served.
            ValueError, StorageError: as the endpoint, or the queue's codec over it.
        """
        if (keys is None) != (clients is None):
            raise ValueError(
                "keys= is the server's own key, and clients= the directory of its clients': give both"
            )
        self.endpoint = check_endpoint(endpoint, keys=keys is not None)
        self._keys = ServerKeys(os.fspath(keys), os.fspath(clients)) if keys and clients else None
        self.refusals = Refusals(endpoint)
        if not hasattr(backend, "reopened"):
            raise NotSupported("Pipe.serve", backend)
        self._codec = str(backend.config["codec"])
        check_codec(endpoint, self._codec)
        self._given, self._dead_after = backend, dead_after
        self._peers = Peers()
        self._parking = Parking(self._attempt)
        self._token = token_bytes(12)  # tells clients whether this is the server that they knew
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._stack = ExitStack()
        self._tended = self._busy = 0.0
        self._read_keys: Callable[[], list[str]] = _no_keys

    def __repr__(self) -> str:
        state = f"{len(self._peers)} sockets, {len(self._parking)} wait" if self._thread else "not serving"
        return f"<Server of {self._given!r} at {self.endpoint!r} [{state}]>"

    def __enter__(self) -> Server:
        with ExitStack() as stack:
            stack.enter_context(holding(self.endpoint))
            self._backend = self._given.reopened(Passing(self._codec))
            stack.callback(self._backend.close)
            context = stack.enter_context(zmq.Context())
            if self._keys is not None:
                self._read_keys = stack.enter_context(self._keys.admitting(context))
                self._tend_keys()
            self._socket = stack.enter_context(context.socket(zmq.ROUTER))
            self._protect()
            self._listening = Listening(self._socket, self.endpoint, self.refusals)
            self._watch = stack.enter_context(self._listening.entered())
            self.endpoint = self._listening.endpoint
            self._ours, self._theirs = (stack.enter_context(context.socket(zmq.PAIR)) for _ in range(2))
            self._theirs.bind("inproc://stop")
            self._ours.connect("inproc://stop")
            self._desk = Desk(self._backend, self._codec, self._dead_after)
            stack.callback(self._desk.close)
            self._thread = threading.Thread(target=self._serve, name="ipcq-pipe", daemon=True)
            self._thread.start()
            self._pid = os.getpid()
            self._stack = stack.pop_all()
        return self

    def _protect(self) -> None:
        socket = self._socket
        socket.linger = 0
        if self._keys is not None:
            self._keys.protect(socket)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a client that reconnects is the same one
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_BLOB)
        socket.setsockopt(zmq.RCVHWM, _MOST_WAITING)
        socket.setsockopt(zmq.SNDHWM, _MOST_UNHEARD)
        socket.setsockopt(zmq.HANDSHAKE_IVL, round(_HANDSHAKE * 1000))
        socket.setsockopt(zmq.HEARTBEAT_IVL, _PULSE * 1000)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _STILL * 1000)

    def close(self) -> None:
        """Stop serving; what clients' workers had is given back. The backend that was given stays open."""
        thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():  # a forked child has neither thread nor socket
            self._ours.send(b"")
            thread.join()
            self._stack.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- in the server's thread -----------------------------------------------------------------------

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._theirs, zmq.POLLIN)
        poller.register(self._watch, zmq.POLLIN)  # ZeroMQ itself waits where a thousand failures lie there
        while True:
            ready = dict(poller.poll(self._pause()))
            if ready:
                self._busy = time.monotonic()
            if self._theirs in ready:
                return
            try:
                self._turn()
            except Exception:  # the server goes on, whatever one request or the backend did
                log.error("server at %s: a turn failed: %s", self.endpoint, traceback.format_exc())

    def _pause(self) -> int:
        """Milliseconds until it looks up, if nothing comes."""
        if self._listening.listens and not self._parking:
            return round(_TICK * 1000)
        quiet = time.monotonic() - self._busy > _QUIET
        return round((_RARE_GLANCE if quiet else _GLANCE) * 1000)

    def _turn(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                who, frames = receive(self._socket)
            except zmq.Again:
                break
            if frames is None:
                self.refusals.note("malformed messages", "more frames or bytes than a message has")
            else:
                self._receive(who, frames)
        self._listening.look()
        self._look_after_waiting()
        now = time.monotonic()
        if now - self._tended >= _TICK:
            self._tend_keys()
            self._listening.tend(now)
            self._tended = now
            self._desk.tend(now)
            self._peers.forget_silent(now)

    def _tend_keys(self) -> None:
        for wrong in self._read_keys():
            self.refusals.note("keys", wrong)

    def _receive(self, who: bytes, frames: list[bytes]) -> None:
        if frames == [b""]:  # a new connection
            self._send(who, write_reply(Reply(0, Outcome.WELCOME, self._token)))
            return
        try:
            request = read_request(frames)
        except FrameError as error:
            self.refusals.note("malformed messages", str(error))
            return
        peer = self._peers.heard(who, time.monotonic())
        if request.number < peer.number:
            self.refusals.note("replayed requests", f"number {request.number} after {peer.number}")
        elif request.number > peer.number or not (peer.waits or peer.reply):
            self._peers.begin(peer, request.number)
            self._begin(who, request)
        elif peer.reply:  # sent again: the answer was lost with a connection
            self._send(who, peer.reply)

    def _begin(self, who: bytes, request: Request) -> None:
        keep = not is_repeatable(request.verb)
        try:
            answer = self._desk.handle(request, client_of(who))
            if isinstance(answer, Waiting):
                full = self._parking.size + answer.size > _MOST_PARKED and self._parking.size > 0
                now = answer.attempt(full or answer.until <= time.monotonic())
                if now is None:
                    self._parking.add(Parked(who, request.number, answer))
                    return
                answer = now
            self._answer(who, Reply(request.number, Outcome.DONE, answer.body, answer.blobs), keep=keep)
        except Exception as error:
            self._refuse(who, request.number, error)

    def _look_after_waiting(self) -> None:
        """Answer who can be answered, and whose time is over; in the order in which they came."""
        if self._parking:
            news = self._desk.awaited.look()
            if news:
                self._busy = time.monotonic()
            self._parking.look((A_TASK, ROOM, *news))
            self._parking.look((ROOM_FOR_A_VALUE,), each=True)
            self._parking.end(time.monotonic())

    def _attempt(self, parked: Parked, over: bool) -> bool:
        """Answer one who waits, if there is something, or its time is over; whether it waits no more."""
        peer = self._peers.get(parked.who)
        if peer is None or peer.number != parked.number:
            return True  # nobody would hear the answer
        try:
            answer = parked.waiting.attempt(over)
            if answer is None:
                return False
            self._answer(parked.who, Reply(parked.number, Outcome.DONE, answer.body, answer.blobs))
        except Exception as error:
            self._refuse(parked.who, parked.number, error)
        return True

    def _answer(self, who: bytes, reply: Reply, *, keep: bool = True) -> None:
        frames = write_reply(reply)
        peer = self._peers.get(who)
        if peer is not None and peer.number == reply.number:
            self._peers.keep(who, peer, frames if keep else None)
            self._send(who, frames)

    def _send(self, who: bytes, frames: Sequence[bytes]) -> None:
        """Dropped by ZeroMQ where too many lie unsent: it counts anew when it is asked for its events."""
        self._socket.getsockopt(zmq.EVENTS)
        self._socket.send_multipart([who, *frames])

    def _refuse(self, who: bytes, number: int, error: Exception) -> None:
        if isinstance(error, FrameError):
            self.refusals.note("senseless requests", str(error))
        elif not isinstance(error, (IpcqError, ValueError, TypeError)):
            trace = "".join(traceback.format_exception(error))  # text: a record must not keep the backend
            log.error("server at %s: a request failed: %s", self.endpoint, trace)
        self._answer(who, Reply(number, Outcome.FAILED, pack_failure(error)))


def client_of(who: bytes) -> bytes:
    """Whose socket that is: a client's have one name, and a number of 4 bytes each."""
    return who[:-4]


def _no_keys() -> list[str]:
    return []
