"""The backends that ipcq brings, as columns of the capability table, and how to make fresh ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from ..backend import Backend
from ..backends.custom import CustomStore
from ..backends.json import JsonStorage, JsonStore
from ..backends.memory import MemoryStorage
from ..backends.pipe import Pipe, Server

__all__ = ["COLUMNS", "Factory", "custom", "json", "memory", "pipe", "piped"]

Factory = Callable[[], Backend]
Column = Callable[[Path], Factory]

_CAPACITY = 64  # tasks; some checks fill a queue


def memory(directory: Path) -> Factory:
    """Queues in shared memory."""
    numbers = count()

    def make() -> Backend:
        with _environment(IPCQ_DIR=str(directory)):  # where a queue is, is read when it is opened
            return MemoryStorage(f"queue-{next(numbers)}", capacity=_CAPACITY)

    return make


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def json(directory: Path) -> Factory:
    """Queues in files."""
    numbers = count()

    def make() -> Backend:
        with _environment(IPCQ_DIR=str(directory)):  # limits are there
            return JsonStorage(directory / f"queue-{next(numbers)}", fsync="never", capacity=_CAPACITY)

    return make


class OwnStore(CustomStore):
    """Closes its store, too: here nobody else has it."""

    def close(self) -> None:
        """Detach, and close the store."""
        super().close()
        if isinstance(self._store, JsonStore):
            self._store.close()


def custom(directory: Path) -> Factory:
    """Queues in a store that is a store and nothing else."""
    numbers = count()

    def make() -> Backend:
        store = JsonStore(directory / f"store-{next(numbers)}.jsonl", fsync="never")
        with _environment(IPCQ_DIR=str(directory)):
            return OwnStore(store=store, capacity=_CAPACITY)

    return make


class OwnServer(Pipe):
    """Closes the server, too, and the backend behind it: both are in this process, for one check only."""

    _server: Server
    _behind: Backend

    @classmethod
    def over(cls, behind: Backend, endpoint: str) -> OwnServer:
        """Serve a backend, and connect to it."""
        server = Pipe.serve(behind, endpoint).__enter__()
        try:
            made = cls(server.endpoint)
        except BaseException:
            server.close()
            behind.close()
            raise
        made._server, made._behind = server, behind
        return made

    def close(self) -> None:
        """Disconnect, and end the server."""
        super().close()
        self._server.close()
        self._behind.close()


def pipe(directory: Path) -> Factory:
    """Queues in shared memory behind a socket of a path."""
    make_behind, numbers = memory(directory), count()
    return lambda: OwnServer.over(make_behind(), f"ipc://{directory}/pipe-{next(numbers)}")


def piped(column: Column) -> Column:
    """The queues of a column behind a socket of the network."""

    def behind(directory: Path) -> Factory:
        make_behind = column(directory)
        return lambda: OwnServer.over(make_behind(), "tcp://127.0.0.1:*")

    return behind


COLUMNS: Mapping[str, Column] = {
    "Memory": memory,
    "Json": json,
    "Custom": custom,
    "Pipe": pipe,
}
