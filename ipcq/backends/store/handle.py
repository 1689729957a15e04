"""One process's hold on a queue in a store: opened, used after a fork, pickled, closed."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import NamedTuple, TypeVar

from ...codec import Codec
from ...codecs import get_codec
from ...directory import base_directory
from ...errors import QueueClosed, QueueNotFound, StorageError
from ...task import Queue
from .codecs import Codecs
from .contract import TaskStore, Write
from .desk import Desk
from .keys import config_key
from .leasing import StoreLease
from .pushing import Pusher
from .recovery import Recovery
from .settings import Settings, Wishes
from .steering import Steering
from .updating import Updater
from .view import Change, Patience, View
from .waiting import Inbox

__all__ = ["Handle", "Tools"]

Self = TypeVar("Self", bound="Handle")


class Tools(NamedTuple):
    """What a handle works with; made anew in a forked child."""

    desk: Desk
    recovery: Recovery
    pusher: Pusher
    inbox: Inbox
    steering: Steering
    updater: Updater


class Handle:
    """What all parts of `StoreBackend` stand on."""

    _queue: Queue
    _store: TaskStore
    _limits_id: str | None

    def _open(
        self,
        view: View,
        queue: Queue,
        own: Codec | None,
        wishes: Wishes,
        create: bool,
        base: str | None = None,
    ) -> None:
        """
        Args:
            base: the directory of queues in shared memory, beside which limits are kept; None for the usual.
        """
        self._store, self._queue, self._own = view.store, queue, own
        self._base, self._limits_id = base or base_directory(), None
        self._mutex = threading.RLock()
        self._leases: weakref.WeakSet[StoreLease] = weakref.WeakSet()
        self._closed = False
        self._pid = os.getpid()
        settings = _settle(view, queue, wishes, create)
        desk = Desk(view, queue, settings, Codecs(own or get_codec(settings.codec)))
        recovery = Recovery(desk)
        steering = Steering(desk, recovery)
        self._tools = Tools(
            desk,
            recovery,
            Pusher(desk, recovery),
            Inbox(desk, recovery),
            steering,
            Updater(desk, recovery, steering),
        )
        recovery.abandoned()

    def __repr__(self) -> str:
        if self._closed:
            return f"<{type(self).__name__} {self._queue!r} [closed]>"
        with self._tools.desk.view.mutex:
            counts = self._tools.desk.index.counts
            shown = ", ".join(f"{n} {status.name.lower()}" for status, n in sorted(counts.items()) if n)
        return f"<{type(self).__name__} {self._queue!r} in {self._store!r} [{shown or 'empty'}]>"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _use(self) -> Tools:
        """What to work with; made anew in a forked child, which is a client of its own."""
        if self._closed:
            raise QueueClosed(f"queue {self._queue!r}: this handle was closed; open it again")
        if self._pid != os.getpid():
            self._open(View(self._store), self._queue, self._own, Wishes(), False, self._base)
        return self._tools

    def beside(self: Self, queue: str) -> Self:
        """Another queue in the same store with the same settings; made where there is none."""
        desk = self._use().desk
        made = type(self).__new__(type(self))
        wishes = Wishes(**desk.settings.as_mapping())
        made._open(desk.view, Queue(queue), self._own, wishes, True, self._base)
        return made

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self._closed

    def close(self) -> None:
        """Detach; give back what this process has. The store stays open: it is whoever's who opened it."""
        if self._closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            return  # a forked child has nothing to give back
        with self._mutex:
            self._tools.inbox.close()
            for lease in list(self._leases):
                try:
                    lease.close()
                except StorageError:  # it cannot be told; whoever comes next finds what it had
                    pass


def _settle(view: View, queue: Queue, wishes: Wishes, create: bool) -> Settings:
    """The settings of a queue, which is made where there is none."""
    patience = Patience()
    while True:
        view.refresh()
        with view.mutex:
            stored = view.index(queue).settings
        if stored is not None:
            settings = Settings.load(stored)
            wishes.check(queue, settings)
            return settings
        if not create:
            raise QueueNotFound(f"there is no queue {queue!r} in {view.store!r}; open it with create=True")
        settings = wishes.settle()
        if view.commit([Change(Write(config_key(queue), 0, settings.dump()))]):
            return settings
        patience.lost(f"the settings of queue {queue!r}")


def reopen(kind: type[Self], store: TaskStore, queue: str, own: Codec | None, base: str) -> Self:
    """A handle on a queue that is there, in another process."""
    handle = kind.__new__(kind)
    handle._open(View(store), Queue(queue), own, Wishes(), False, base)
    return handle
