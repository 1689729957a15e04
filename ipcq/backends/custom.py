"""`CustomBackend`: a queue in whatever a user brings."""

from __future__ import annotations

from ..codec import Codec
from .store.contract import TaskStore
from .store.storage import StoreBackend

__all__ = ["CustomBackend"]


class CustomBackend(StoreBackend):
    """A queue in a store of your own: from get, put, compare-and-set and scan every capability follows.

    Args:
        store: a `TaskStore`; several queues, and several processes, may share it. To be used by a `Monitor`
            it must be picklable, and mean the same records in the other process.
        queue: the queue's name. It is made when it does not exist.
        capacity: tasks it holds (default 65,536), finished ones included until they give way.
        result_ttl: seconds that a result nobody fetched is kept (default 1 hour).
        dead_after: seconds of silence after which a worker on another machine is dead (default 10).
        codec: a codec or its name (default ``msgpack``); the queue remembers it.
        create: False raises `QueueNotFound` instead of making it.

    Raises:
        ValueError: the name or a setting is out of bounds.
        ConfigMismatch: it exists with another value of a setting.
        QueueNotFound, StorageError.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: str = "default",
        capacity: int | None = None,
        result_ttl: float | None = None,
        dead_after: float | None = None,
        codec: str | Codec | None = None,
        create: bool = True,
    ) -> None:
        super().__init__(
            store,
            queue,
            capacity=capacity,
            result_ttl=result_ttl,
            dead_after=dead_after,
            codec=codec,
            create=create,
        )
