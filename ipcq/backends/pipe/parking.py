"""Requests that are not answered yet, by what they wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from .desk import Waiting

__all__ = ["Parked", "Parking"]

_SPARE = 256


class Parked(NamedTuple):
    """Somebody who waits for an answer.

    Attributes:
        who: the client's socket, which has one request at a time.
        number: of that request.
    """

    who: bytes
    number: int
    waiting: Waiting


class Parking:
    """All who wait.

    Args:
        attempt: answers one, if there is something, or its time is over (the second argument); whether it
            waits no more.
    """

    def __init__(self, attempt: Callable[[Parked, bool], bool]) -> None:
        self._attempt = attempt
        self._parked: dict[bytes, Parked] = {}
        self._ends: list[tuple[float, bytes, int]] = []  # a heap; of requests that were answered, too
        self._by_topic: dict[bytes, dict[bytes, None]] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of payloads that those who wait keep here."""
        return self._size

    def __len__(self) -> int:
        return len(self._parked)

    def __repr__(self) -> str:
        return f"<Parking: {len(self._parked)} wait>"

    def add(self, parked: Parked) -> None:
        """One more; the request of the same client before it is forgotten."""
        if parked.who in self._parked:
            self._drop(self._parked[parked.who])
        self._parked[parked.who] = parked
        self._size += parked.waiting.size
        self._by_topic.setdefault(parked.waiting.topic, {})[parked.who] = None
        heappush(self._ends, _end_of(parked))
        if len(self._ends) > 2 * len(self._parked) + _SPARE:  # most of them were answered
            self._ends = sorted(map(_end_of, self._parked.values()))

    def _drop(self, parked: Parked) -> None:
        del self._parked[parked.who]
        self._size -= parked.waiting.size
        others = self._by_topic[parked.waiting.topic]
        del others[parked.who]
        if not others:
            del self._by_topic[parked.waiting.topic]

    def look(self, topics: Iterable[bytes], *, each: bool = False) -> None:
        """Answer those who wait for these, in the order in which they came.

        Args:
            each: look for all of them; else only until one finds nothing, as the others would not, either.
        """
        for topic in topics:
            for parked in self._waiting_for(topic):
                if self._attempt(parked, False):
                    self._drop(parked)
                elif not each:
                    break

    def _waiting_for(self, topic: bytes) -> Iterator[Parked]:
        for who in list(self._by_topic.get(topic, ())):
            yield self._parked[who]

    def end(self, now: float) -> None:
        """Answer those whose time is over, whatever there is."""
        while self._ends and self._ends[0][0] <= now:
            _, who, number = heappop(self._ends)
            parked = self._parked.get(who)
            if parked is not None and parked.number == number:
                self._attempt(parked, True)
                self._drop(parked)


def _end_of(parked: Parked) -> tuple[float, bytes, int]:
    return parked.waiting.until, parked.who, parked.number
