"""One process's hold on a queue in shared memory: opened, used after a fork, pickled, closed, destroyed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from ...codec import Codec
from ...codecs import get_codec
from ...errors import QueueClosed, QueueInUse, StorageError
from ...task import Queue
from .amending import Amender
from .connection import Connection
from .layout import ROLE_CLIENT
from .leasing import MemoryLease
from .metrics import counts
from .participant import Participant, reclaim_abandoned, sweep_blobs
from .parts import Codecs
from .pushing import Pusher
from .reading import Reader
from .settings import Wishes
from .updating import Updater
from .waiting import Inbox

__all__ = ["Handle", "reopen"]

Self = TypeVar("Self", bound="Handle")


class Handle:
    """What all parts of `MemoryStorage` stand on."""

    def _open(
        self,
        queue: Queue,
        own: Codec | None,
        wishes: Wishes,
        create: bool,
        base: str,
        codec_named: Callable[[str], Codec] = get_codec,
    ) -> None:
        self._queue, self._own, self._base = queue, own, base
        self._mutex = threading.RLock()
        self._client: Participant | None = None
        self._leases: weakref.WeakSet[MemoryLease] = weakref.WeakSet()
        self._closed = False
        connection = self._connection = Connection(queue, wishes, create=create, base=base)
        try:
            self._codecs = Codecs(own or codec_named(connection.settings.codec))
            self._reader = Reader(connection, queue, self._codecs)
            self._pusher = Pusher(connection, queue, self._codecs, self._me)
            self._inbox = Inbox(self._reader, self._me)
            self._amender = Amender(connection, queue)
            self._updater = Updater(connection, queue, self._reader, self._pusher)
            if reclaim_abandoned(connection):
                sweep_blobs(connection)
        except BaseException:
            connection.close()
            raise

    def __repr__(self) -> str:
        if self._closed:
            return f"<{type(self).__name__} {self._queue!r} [closed]>"
        try:
            self._connection.check_open()
            tasks = counts(self._connection)
        except QueueClosed:
            return f"<{type(self).__name__} {self._queue!r} [destroyed, or another process's]>"
        shown = ", ".join(f"{count} {status.name.lower()}" for status, count in tasks.items() if count)
        return f"<{type(self).__name__} {self._queue!r} [{shown or 'empty'}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen, (type(self), str(self._queue), self._own, self._base)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def beside(self: Self, queue: str) -> Self:
        """Another queue in the same place with the same settings; made where there is none."""
        self._attached()
        made = type(self).__new__(type(self))
        made._open(Queue(queue), self._own, Wishes(**self.config), True, self._base)
        return made

    def reopened(self: Self, codec: Codec) -> Self:
        """Another handle on the same queue, which reads and writes payloads by ``codec``."""
        self._attached()
        return reopen(type(self), str(self._queue), codec, self._base)

    # --- this process's hold on it --------------------------------------------------------------

    def _attached(self) -> Connection:
        """The connection; made anew in a forked child, which has none of its parent's locks."""
        if self._closed:
            raise QueueClosed(f"queue {self._queue!r}: this handle was closed; open it again")
        if self._connection.lock.fd < 0:  # forked: see `lockfile`
            self._open(self._queue, self._own, Wishes(), False, self._base)
        return self._connection

    def _me(self) -> Participant:
        """This handle's row, taken when it is needed first."""
        self._attached()
        me = self._client
        if me is None or me.lost:
            with self._mutex:  # `close` has it while it gives everything back
                connection = self._attached()
                me = self._client
                if me is None or me.lost:
                    me = self._client = Participant(connection, ROLE_CLIENT)
        return me

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self._closed

    def close(self) -> None:
        """Detach. Results that this handle did not fetch stay, for whoever has their ids."""
        if self._closed:
            return
        self._connection.ensure_outside()
        self._closed = True
        if self._connection.lock.fd < 0:
            return  # a forked child has nothing to give back
        with self._mutex, self._connection.turn:  # no other thread takes anything in between
            try:
                for lease in list(self._leases):
                    lease.close()
                if self._client is not None:
                    self._client.close()
            except StorageError:  # damaged: whatever it had is found by the next one
                pass
            except QueueClosed:
                pass
            finally:
                self._connection.close()
                self._pusher.close()  # they know us: what is mapped is to go with the last who uses it
                self._inbox.close()

    def destroy(self, *, force: bool = False) -> None:
        """Remove the queue with all its tasks, and close this handle.

        Args:
            force: though others are attached; their next call raises `QueueClosed`.

        Raises:
            QueueInUse: others are attached.
        """
        connection = self._attached()
        lock = connection.lock
        if force:
            connection.destroy()
        elif lock.try_exclusive():
            try:
                connection.destroy()
            finally:
                lock.unexclusive()
        else:
            raise QueueInUse(
                f"queue {self._queue!r} has other processes or handles attached; close those, or"
                " destroy(force=True)"
            )
        self.close()

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        return self._queue

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings in force, read from the queue itself."""
        return self._connection.settings.as_mapping()


def reopen(
    kind: type[Self], name: str, own: Codec | None, base: str, codec_named: Callable[[str], Codec] = get_codec
) -> Self:
    """Attach to an existing queue in a known place."""
    storage = kind.__new__(kind)
    storage._open(Queue(name), own, Wishes(), False, base, codec_named)
    return storage
