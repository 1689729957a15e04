"""The reader: ahead, but not too far."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ipcq.cli.inbox import Inbox

LONG = 20.0  # seconds; only a failure waits so long


class Source:
    """Gives batches when told to; tells when it is asked for the next."""

    def __init__(self, *batches: list[bytes]) -> None:
        self._batches = batches
        self.asked = threading.Semaphore(0)

    def __iter__(self) -> Iterator[list[bytes]]:
        for batch in self._batches:
            self.asked.release()
            yield batch
        self.asked.release()


def _read(source: Iterator[list[bytes]], **bounds: int) -> tuple[Inbox, threading.Semaphore]:
    rings = threading.Semaphore(0)
    inbox = Inbox(source, rings.release, **bounds)
    inbox.start()
    return inbox, rings


def test_items_are_taken_in_order_within_bounds() -> None:
    """`take` gives at most so many, up to the one that completes so many bytes, and never waits."""
    inbox, rings = _read(iter([[b"aa", b"bb", b"cc", b"dd"]]))
    assert rings.acquire(timeout=LONG)  # the first item
    assert rings.acquire(timeout=LONG)  # the end
    assert not inbox.exhausted
    assert inbox.take(1, 100) == [b"aa"]
    assert inbox.take(9, 3) == [b"bb", b"cc"]
    assert inbox.take(9, 0) == []
    assert inbox.take(9, 9) == [b"dd"]
    assert inbox.take(9, 9) == []
    assert inbox.exhausted


def test_the_total_is_known_at_the_end() -> None:
    """How many items there are is told once the source has ended, not before."""
    gate = threading.Event()

    def source() -> Iterator[list[bytes]]:
        yield [b"a"]
        assert gate.wait(LONG)
        yield [b"b"]

    inbox, rings = _read(source())
    assert rings.acquire(timeout=LONG)
    assert (inbox.total, inbox.seen) == (None, 1)
    gate.set()
    assert rings.acquire(timeout=LONG)  # the end; the item before it was not the first
    assert (inbox.total, inbox.seen) == (2, 2)
    assert repr(inbox) == "<Inbox [ended, 2 waiting, 2 seen]>"


def test_the_reader_pauses_when_it_is_far_ahead() -> None:
    """The source is not asked for more while enough waits; taking lets it go on."""
    source = Source([b"a"], [b"b"], [b"c"])
    inbox, _ = _read(iter(source), items=1)
    assert source.asked.acquire(timeout=LONG)
    assert source.asked.acquire(timeout=LONG)  # for b, which is not put
    assert not source.asked.acquire(blocking=False)
    assert inbox.take(1, 9) == [b"a"]
    assert source.asked.acquire(timeout=LONG)
    inbox.close()


def test_bytes_make_the_reader_pause_too() -> None:
    """A few huge items are as far ahead as many small ones."""
    source = Source([b"x" * 10], [b"y"], [b"z"])
    inbox, _ = _read(iter(source), size=10)
    assert source.asked.acquire(timeout=LONG)
    assert source.asked.acquire(timeout=LONG)
    assert inbox.seen == 1
    inbox.close()


def test_an_error_of_the_source_is_kept() -> None:
    """What ends the source too early is there after the items before it."""

    def source() -> Iterator[list[bytes]]:
        yield [b"a"]
        raise ValueError("broken")

    inbox, rings = _read(source())
    assert rings.acquire(timeout=LONG)
    assert rings.acquire(timeout=LONG)
    assert str(inbox.error) == "broken"
    assert inbox.take(1, 9) == [b"a"]
    assert inbox.exhausted


def test_it_rings_for_the_first_item_only() -> None:
    """Items behind others ring no bell: whoever takes sees them anyway."""
    inbox, rings = _read(iter([[b"a"], [b"b"], [b"c"]]))
    assert rings.acquire(timeout=LONG)
    assert rings.acquire(timeout=LONG)
    assert inbox.total == 3
    assert not rings.acquire(blocking=False)
