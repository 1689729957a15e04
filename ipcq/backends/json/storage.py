"""`JsonStorage`: queues in a file, by its path."""

from __future__ import annotations

import os
from typing import Any

from ...codec import Codec
from ..store import StoreBackend
from ..store.limiting import limits_ids, remove_limits
from .store import JsonStore

__all__ = ["JsonStorage"]


class JsonStorage(StoreBackend):
    """A queue in a file that every process of the user can open by its path; it survives power loss.

    The file is a log of JSON lines, to be read with ``less`` and ``jq``. It and its queue are made when they
    do not exist, and stay until `destroy`. Threads may share one object; a forked child opens the file anew
    when it uses it first; a pickled one opens the same queue where it is unpickled.

    Args:
        path: the file, on a local file system; its directory exists. Beside it are ``<path>.lock`` and, with
            whatever was found damaged, ``<path>.corrupt``.
        queue: the queue's name: a file may hold several.
        fsync: ``always``: what a call accepted is on the disk when it returns; ``interval``: within a second;
            ``never``: when the kernel writes it. Only power loss makes a difference; each process chooses.
        capacity: tasks it holds (default 65,536), finished ones included until they give way.
        result_ttl: seconds that a result nobody fetched is kept (default 1 hour).
        codec: a codec or its name (default ``msgpack``; ``json`` can be read in the file); the queue
            remembers it.
        create: False raises `QueueNotFound` instead of making it.

    Raises:
        ValueError: the name or a setting is out of bounds.
        ConfigMismatch: the queue exists with another value of a setting.
        CorruptQueue: it is another kind of file; nothing was changed in it.
        QueueNotFound, VersionMismatch, UnsafeDirectory, QueueFull, StorageError.
    """

    _store: JsonStore

    def __init__(
        self,
        path: str | os.PathLike[str],
        queue: str = "default",
        *,
        fsync: str = "always",
        capacity: int | None = None,
        result_ttl: float | None = None,
        codec: str | Codec | None = None,
        create: bool = True,
    ) -> None:
        store = JsonStore(path, fsync=fsync, create=create)
        try:
            super().__init__(
                store, queue, capacity=capacity, result_ttl=result_ttl, codec=codec, create=create
            )
        except BaseException:
            store.close()
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._store.path, str(self._queue), self._store.fsync, self._own, self._base)

    @property
    def path(self) -> str:
        """The file, by its absolute path."""
        return self._store.path

    @property
    def set_aside(self) -> int:
        """How many damaged lines were found in the file since it was made; they are in ``<path>.corrupt``."""
        return self._store.set_aside

    def compact(self) -> None:
        """Write the file anew without what is of no use; when that is most of it, it happens unasked.

        Raises:
            QueueFull: there is no room for both; the file is as it was.
        """
        self._use()
        self._store.compact()

    def beside(self, queue: str) -> JsonStorage:
        """Another queue in the same file with the same settings; made where there is none."""
        settings = self._use().desk.settings
        made = JsonStorage(
            self.path,
            queue,
            fsync=self._store.fsync,
            capacity=settings.capacity,
            result_ttl=settings.result_ttl,
            codec=self._own or settings.codec,
        )
        made._base = self._base
        return made

    def reopened(self, codec: Codec) -> JsonStorage:
        """Another handle on the same queue, which reads and writes payloads by ``codec``."""
        self._use()
        return _reopen(self.path, str(self._queue), self._store.fsync, codec, self._base)

    def close(self) -> None:
        """Detach; give back what this process has. With ``interval``, what waits is brought to the disk."""
        super().close()
        self._store.close()

    def destroy(self, *, force: bool = False) -> None:
        """Remove the file with all queues in it, and close this handle.

        Args:
            force: though others are attached; their next call raises `QueueClosed`.

        Raises:
            QueueInUse: others are attached.
        """
        ids = limits_ids(self._use().desk.view)
        self._store.destroy(force=force)
        self.close()
        remove_limits(self._base, ids)


def _reopen(path: str, queue: str, fsync: str, codec: Codec | None, base: str) -> JsonStorage:
    storage = JsonStorage(path, queue, fsync=fsync, codec=codec, create=False)
    storage._base = base
    return storage
