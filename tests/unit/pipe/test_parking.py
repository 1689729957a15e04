"""Who waits, for what, and until when."""

from __future__ import annotations

from ipcq.backends.pipe.desk import Waiting
from ipcq.backends.pipe.parking import Parked, Parking


class Lot:
    """A parking of which tests say who can be answered."""

    def __init__(self) -> None:
        self.ready: set[bytes] = set()
        self.seen: list[tuple[bytes, bool]] = []
        self.parking = Parking(self._attempt)

    def _attempt(self, parked: Parked, over: bool) -> bool:
        self.seen.append((parked.who, over))
        return over or parked.who in self.ready

    def park(self, who: bytes, topic: bytes = b"a", until: float = 10.0, number: int = 1) -> None:
        """One more."""
        self.parking.add(Parked(who, number, Waiting(until, lambda _over: None, topic)))


def test_the_first_who_finds_nothing_speaks_for_all() -> None:
    """They are answered in the order in which they came."""
    lot = Lot()
    for who in (b"1", b"2", b"3"):
        lot.park(who)
    lot.park(b"other", b"b")
    lot.ready = {b"1", b"3"}
    lot.parking.look([b"a"])
    assert lot.seen == [(b"1", False), (b"2", False)]
    assert len(lot.parking) == 3


def test_each_may_be_looked_for() -> None:
    """One whose value is large does not hold up one whose value is small."""
    lot = Lot()
    for who in (b"large", b"small"):
        lot.park(who)
    lot.ready = {b"small"}
    lot.parking.look([b"a", b"nobody"], each=True)
    assert lot.seen == [(b"large", False), (b"small", False)]
    assert len(lot.parking) == 1


def test_time_is_over() -> None:
    """Whoever waited long enough is answered; a newer request of the same client is not."""
    lot = Lot()
    lot.park(b"1", until=1.0)
    lot.park(b"2", until=3.0)
    lot.park(b"1", until=5.0, number=2)
    lot.parking.end(4.0)
    assert lot.seen == [(b"2", True)]
    lot.parking.end(6.0)
    assert lot.seen == [(b"2", True), (b"1", True)]
    assert not lot.parking


def test_what_was_answered_is_forgotten() -> None:
    """A million requests, one after the other, leave nothing."""
    lot = Lot()
    lot.ready = {b"1"}
    for number in range(2000):
        lot.park(b"1", until=1e9, number=number)
        lot.parking.look([b"a"])
    assert len(lot.parking._ends) < 600
    assert repr(lot.parking) == "<Parking: 0 wait>"
