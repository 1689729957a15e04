"""Things in the order of their keys, of which any can be taken out at any time."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Order"]

K = TypeVar("K", bound="tuple[int, ...]")

_SLACK = 64


class Order(Generic[K]):
    """Ids by key. What is taken out stays in the heap until it comes up, or until half of it is such."""

    def __init__(self) -> None:
        self._keys: dict[int, K] = {}
        self._heap: list[tuple[K, int]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<Order of {len(self)}>"

    def add(self, key: K, item: int) -> None:
        """Put in an id, or give it another key."""
        self._keys[item] = key
        heappush(self._heap, (key, item))
        if len(self._heap) > _SLACK + 2 * len(self._keys):
            self._heap = [(key, item) for item, key in self._keys.items()]
            heapify(self._heap)

    def discard(self, item: int) -> None:
        """Take out an id, if it is there."""
        self._keys.pop(item, None)

    def first(self) -> tuple[K, int] | None:
        """The one with the smallest key."""
        heap, keys = self._heap, self._keys
        while heap:
            key, item = heap[0]
            if keys.get(item) == key:
                return heap[0]
            heappop(heap)
        return None

    def pop(self) -> tuple[K, int] | None:
        """Take out the first."""
        first = self.first()
        if first is not None:
            heappop(self._heap)
            del self._keys[first[1]]
        return first

    def peek(self, count: int) -> list[int]:
        """The first ``count`` ids, which stay."""
        taken = [first for _ in range(count) if (first := self.pop()) is not None]
        for key, item in taken:
            self._keys[item] = key
            heappush(self._heap, (key, item))
        return [item for _, item in taken]

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)
