"""The queue of one run, and what is kept there for the next one, should this one be interrupted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from ..backend import ConfigExt
from ..backends.memory import MemoryStorage
from ..errors import QueueNotFound, WorkerExists
from ..urls import connect
from ..worker.worker import WorkerBackend
from .exits import UsageError
from .ledger import Ledger, Recorded, Unrecorded
from .pump import PumpQueue
from .record import Record, RecordQueue, Shelf
from .sheet import cut_back, keep_name, place_of

__all__ = ["Session", "named", "private"]

_CAPACITY = 8192  # twice the window: finished tasks keep their place until it is needed
_FOREVER = 1e9  # seconds; our output's reader may pause for a night, or a run be resumed after a year
_NAME = "ipcq-map"  # of the worker that holds the place of a run; it takes no tasks itself


class SessionQueue(PumpQueue, WorkerBackend, Protocol):
    """What a run needs of a backend."""


class _NamedQueue(SessionQueue, RecordQueue, ConfigExt, Protocol):
    """What one that can be resumed needs."""


class Session(NamedTuple):
    """What one run works with.

    Attributes:
        lines_are_out: to be called when all lines that the ledger knows of were written.
        finish: to be called when every item has its line.
        done: items whose line an earlier run wrote, those with a value.
        failed: those with an error.
    """

    queue: SessionQueue
    ledger: Ledger
    lines_are_out: Callable[[], None] | None = None
    finish: Callable[[], None] = lambda: None
    done: int = 0
    failed: int = 0


@contextmanager
def private() -> Iterator[Session]:
    """A queue for this run alone; `ipcq gc` finds it where the command itself is killed."""
    name = f"map-{os.getpid()}-{secrets.token_hex(4)}"
    with MemoryStorage(name, capacity=_CAPACITY, codec="raw", result_ttl=_FOREVER, ephemeral=True) as queue:
        try:
            yield Session(queue, Unrecorded())
        finally:
            queue.destroy(force=True)


@contextmanager
def named(url: str, function: str, *, resume: bool, ordered: bool) -> Iterator[Session]:
    """The queue that ``url`` names; it stays, and what it keeps of this run is there for the next.

    Raises:
        UsageError: the URL names none, another run uses it, or one was interrupted and is not to be resumed.
    """
    queue = _open(url)
    try:
        with _alone(queue, url):
            yield _session(queue, url, function, resume=resume, ordered=ordered)
    finally:
        queue.close()


def _open(url: str) -> _NamedQueue:
    if url.startswith("pipe+"):
        raise UsageError(f"--queue: {url}: not behind a socket, but in memory://NAME or json:///PATH")
    try:
        try:
            queue = connect(url, create=False)
        except QueueNotFound:
            queue = connect(url, codec="raw", result_ttl=_FOREVER)
    except ValueError as error:
        raise UsageError(f"--queue: {error}") from error
    if queue.config["codec"] == "json":
        queue.close()
        raise UsageError(
            f"--queue: {url} was made with the codec json, which cannot carry items: any other can"
        )
    return queue


@contextmanager
def _alone(queue: _NamedQueue, url: str) -> Iterator[None]:
    """Hold the place of the one run that a queue may have: it is free again when this process dies."""
    try:
        lease = queue.register_worker(_NAME)
    except WorkerExists as error:
        raise UsageError(
            f"--queue: another ipcq map works with {url}; wait for it, or use another queue"
        ) from error
    with lease:
        yield


def _session(queue: _NamedQueue, url: str, function: str, *, resume: bool, ordered: bool) -> Session:
    shelf = Shelf(queue)
    found = shelf.find()
    record = _earlier(found, url, function) if resume and found is not None else Record(function)
    if record is found:
        cut_back(1, record)
    elif found is not None and not found.complete:
        raise UsageError(
            f"--queue: {url} has an interrupted run, of which {found.written + len(found.ahead):,} items have"
            " their line: go on with it by --resume, or begin anew with another queue"
        )
    ledger = Recorded(record, ordered=ordered, resuming=record is found)

    def keep() -> None:
        record.place = place_of(1)
        shelf.keep(record)

    def finish() -> None:
        ledger.check_all_came()
        shelf.close(record)

    keep_name(1)
    keep()
    return Session(queue, ledger, keep, finish, record.done, record.failed)


def _earlier(found: Record, url: str, function: str) -> Record:
    if found.function != function:
        raise UsageError(f"--resume: the run that {url} has is of {found.function}, not of {function}")
    return found
