"""Permits of clients, as the server keeps them: whose they are, and whether he lives."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ...backend import Permit, ShareLimits
from ...errors import StorageError
from ..liveness import Identity, identity_is_gone

__all__ = ["Holders", "Wanted"]

_RECLAIMING = 1.5  # seconds that clients of a server before this one have to tell what they have
_GLANCE = 0.05  # seconds between two looks for the dead by who finds no permit
_SILENCE = 60.0  # seconds after which one who has nothing is forgotten
_AGES = 1e6  # seconds: who has a permit waits behind nobody
_MOST_HELD = 100_000  # permits of one client
_MOST_HOLDERS, _MOST_OF_ALL = 4096, 400_000  # clients, and their permits together


class Wanted(NamedTuple):
    """A permit, as a client asks for it.

    Attributes:
        number: the client's own; grows with each that it asks for.
        name: of the limit.
        limit: how many there are.
    """

    number: int
    name: str
    limit: int


@dataclass
class _Holder:
    """A client process that has, or had, permits.

    Attributes:
        identity: its process; None where that cannot be seen from here.
        heard: when it last said anything, by `time.monotonic`.
        told: number of the newest list that it sent.
        next: permits below this number are known from that list.
        asked: those among them that were still asked for.
    """

    identity: Identity | None
    heard: float
    told: int = -1
    next: int = 0
    asked: frozenset[int] = frozenset()
    permits: dict[int, Permit] = field(default_factory=dict)

    def is_dead(self, now: float, dead_after: float) -> bool:
        if self.identity is not None:
            return identity_is_gone(self.identity)
        return now - self.heard > dead_after

    def release(self, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            permit = self.permits.pop(number, None)
            if permit is not None:
                permit.release()


class Holders:
    """All clients of one server that have permits of the backend, which this process holds for them.

    Each client tells again and again what it has, and a server that does not know takes it anew. Until all
    had time for that, nobody is given a permit: the server before this one may have given out all of them.

    Args:
        backend: where the permits are, also for those who use it without this server.
        dead_after: seconds of silence after which a client that cannot be seen from here is dead.
    """

    def __init__(self, backend: ShareLimits, dead_after: float) -> None:
        self._backend = backend
        self._dead_after = dead_after
        self._begun = self._tended = time.monotonic()
        self._all: dict[bytes, _Holder] = {}

    def __repr__(self) -> str:
        return f"<Holders: {len(self._all)} have {self._count()} permits>"

    def take(self, who: bytes, told: list[int], wanted: Wanted, waited: float = 0.0) -> bool:
        """Give a client a permit, if there is one."""
        holder = self._holder(who, told)
        if wanted.number in holder.permits:
            return True  # asked for again, of the server that gave it
        if wanted.number < holder.next and wanted.number not in holder.asked:
            return False  # it came late: nobody waits for it any more
        if holder.heard - self._begun < _RECLAIMING:
            return False
        if self._take(holder, wanted, waited):
            return True
        buried = self._bury(holder.heard) and self._all.get(who) is holder  # who asks may be dead himself
        return buried and self._take(holder, wanted, waited)

    def keep(
        self,
        who: bytes,
        told: list[int],
        number: int,
        following: int,
        has: list[Wanted],
        asked: Iterable[int],
    ) -> None:
        """Learn what a client has: what it has not goes back, what is not known is taken for it.

        Args:
            number: of this list; one that was overtaken by a newer one is dropped.
            following: what its next permit will have for a number: those from there on are not in the list.
            asked: those that it asks for just now.
        """
        holder = self._holder(who, told)
        if number <= holder.told:
            return
        holder.told, holder.next, holder.asked = number, following, frozenset(asked)
        known = {each.number for each in has} | holder.asked
        holder.release(each for each in holder.permits if each < following and each not in known)
        for each in has:
            if each.number not in holder.permits:
                self._take(holder, each, _AGES)

    def _holder(self, who: bytes, told: list[int]) -> _Holder:
        now = time.monotonic()
        holder = self._all.get(who)
        if holder is None:
            if len(self._all) >= _MOST_HOLDERS:
                self._all = {each: other for each, other in self._all.items() if other.permits}
            if len(self._all) >= _MOST_HOLDERS:
                raise StorageError(f"{_MOST_HOLDERS} clients ask this server for permits, which are the most")
            identity = Identity(*told)
            holder = self._all[who] = _Holder(identity if identity.can_be_seen else None, now)
        holder.heard = now
        return holder

    def _take(self, holder: _Holder, wanted: Wanted, waited: float) -> bool:
        if len(holder.permits) >= _MOST_HELD or self._count() >= _MOST_OF_ALL:
            return False
        permit = self._backend.take_permit(wanted.name, wanted.limit, waited=waited)
        if permit is None:
            return False
        holder.permits[wanted.number] = permit
        return True

    def _count(self) -> int:
        return sum(len(holder.permits) for holder in self._all.values())

    def _bury(self, now: float) -> bool:
        """Look for the dead, unless that was a moment ago; whether it was done."""
        if now - self._tended < _GLANCE:
            return False
        self.tend(now)
        return True

    def tend(self, now: float) -> None:
        """Take back what the dead had."""
        self._tended = now
        for who, holder in list(self._all.items()):
            silent = not holder.permits and now - holder.heard > _SILENCE
            if silent or holder.is_dead(now, self._dead_after):
                holder.release(holder.permits)
                del self._all[who]

    def close(self) -> None:
        """Take back all; clients that live tell the next server what they have."""
        for holder in self._all.values():
            holder.release(holder.permits)
        self._all.clear()
