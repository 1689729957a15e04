"""Ways to get messages from one process to one other: opened here, and pickled to the other."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from ipcq import MemoryStorage
from tasks import a_queue

__all__ = ["BATCH", "CHANNELS", "Channel", "Receive"]

BATCH = 100  # messages in one call, where a call can have many
_ROOM = 8 << 20  # bytes; about as many messages as a queue of ipcq holds

Receive = Callable[[int], Iterable[Any]]


class Channel(Protocol):
    """One way to the other process, where `receiving` is called.

    What that gives returns some of the messages that are there, waiting for the first, when it is
    told how many are still to come.
    """

    def send(self, messages: list[bytes]) -> None: ...
    def receiving(self) -> AbstractContextManager[Receive]: ...


class Ipcq:
    """A queue, and one worker's stream of tasks. All are finished when they were received."""

    def __init__(self, queue: MemoryStorage) -> None:
        self._queue = queue

    def send(self, messages: list[bytes]) -> None:
        for at in range(0, len(messages), BATCH):
            self._queue.push_bulk(messages[at : at + BATCH], keep_result=False)

    @contextmanager
    def receiving(self) -> Iterator[Receive]:
        with self._queue, self._queue.register_worker("consumer") as lease:
            stream = self._queue.poll(lease)

            def receive(_: int) -> list[Any]:
                tasks = stream.take_many(BATCH)
                messages = [task.args for task in tasks]
                lease.finish_many(tasks, [None] * len(tasks))
                return messages

            yield receive
            stream.close()


class FasterFifo:
    """A ring of bytes in shared memory."""

    def __init__(self, fifo: Any) -> None:
        self._fifo = fifo

    def send(self, messages: list[bytes]) -> None:
        for at in range(0, len(messages), BATCH):
            self._fifo.put_many(messages[at : at + BATCH])

    @contextmanager
    def receiving(self) -> Iterator[Receive]:
        yield lambda _: self._fifo.get_many()


class Queue:
    """A pipe with a lock, and a thread that writes to it."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def send(self, messages: list[bytes]) -> None:
        for message in messages:
            self._queue.put(message)

    @contextmanager
    def receiving(self) -> Iterator[Receive]:
        yield lambda _: (self._queue.get(),)


class Sockets:
    """ZeroMQ PUSH here, PULL there; its threads put messages together."""

    def __init__(self, endpoint: str, push: Any) -> None:
        self._endpoint, self._push = endpoint, push

    def __getstate__(self) -> dict[str, Any]:
        return {"_endpoint": self._endpoint, "_push": None}

    def send(self, messages: list[bytes]) -> None:
        for message in messages:
            self._push.send(message)

    @contextmanager
    def receiving(self) -> Iterator[Receive]:
        import zmq

        with zmq.Context() as context, context.socket(zmq.PULL) as pull:
            pull.connect(self._endpoint)
            yield lambda _: (pull.recv(),)


@contextmanager
def _ipcq() -> Iterator[Channel]:
    with a_queue(codec="raw") as queue:
        yield Ipcq(queue)


def as_it_is(data: Any) -> bytes:
    """In place of pickle."""
    return bytes(data)


@contextmanager
def _faster_fifo(**codec: Any) -> Iterator[Channel]:
    from faster_fifo import Queue as Fifo

    yield FasterFifo(Fifo(_ROOM, **codec))


@contextmanager
def _queue() -> Iterator[Channel]:
    queue = get_context("spawn").Queue()
    queue.cancel_join_thread()  # whatever an error leaves in it is not wanted
    yield Queue(queue)


@contextmanager
def _sockets() -> Iterator[Channel]:
    import zmq

    endpoint = f"ipc://{os.path.join(tempfile.gettempdir(), f'bench-{secrets.token_hex(4)}')}"
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger = 0
        push.bind(endpoint)
        yield Sockets(endpoint, push)


CHANNELS: dict[str, Callable[[], AbstractContextManager[Channel]]] = {
    "ipcq": _ipcq,
    "faster-fifo": _faster_fifo,
    "faster-fifo, not pickled": lambda: _faster_fifo(loads=as_it_is, dumps=as_it_is),
    "multiprocessing.Queue": _queue,
    "ZeroMQ PUSH/PULL": _sockets,
}
