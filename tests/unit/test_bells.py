"""Bells: who waits at a descriptor is woken, and nothing of it is left."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading

import pytest

from ipcq.backends.bells import Bell, Bells

WAIT = 30.0  # seconds; only a test that fails waits so long


@pytest.fixture(params=["eventfd", "pipe"])
def descriptors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system has."""
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)


def _can_be_read(bell: Bell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


@pytest.mark.usefixtures("descriptors")
def test_a_bell_stays_rung() -> None:
    """Its descriptor can be read from then on, however often it is rung; closed, it has none."""
    bell = Bell()
    assert not _can_be_read(bell)
    for _ in range(3):
        bell.ring()
        bell.wait(WAIT)
        assert _can_be_read(bell)
        assert bell.rung
    bell.close()
    bell.close()
    assert bell.fileno() == -1


@pytest.mark.usefixtures("descriptors")
def test_all_who_wait_are_woken() -> None:
    """Each thread by its own bell; nothing is left of them."""
    hall, hung = Bells(), threading.Barrier(4)

    def wait() -> None:
        with hall.hung() as bell:
            hung.wait(WAIT)
            bell.wait(WAIT)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    hung.wait(WAIT)
    hall.ring()
    for thread in threads:
        thread.join(WAIT / 2)
        assert not thread.is_alive()
    assert repr(hall) == "<Bells: 0 hung>"


def test_a_bell_that_was_closed_writes_nowhere() -> None:
    """Its descriptor may be somebody else's by now."""
    bell = Bell()
    number = bell.fileno()
    bell.close()
    reads, writes = os.pipe()
    try:
        assert number in (reads, writes)
        bell.ring()
        assert select.select([reads], [], [], 0)[0] == []
    finally:
        os.close(reads)
        os.close(writes)


def test_it_is_rung_by_a_signal_handler() -> None:
    """The thread that waits is the one that the signal interrupts."""
    hall = Bells()
    before = signal.signal(signal.SIGALRM, lambda *_: hall.ring())
    try:
        with hall.hung() as bell:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            bell.wait(WAIT)
            assert bell.rung
    finally:
        signal.signal(signal.SIGALRM, before)


def test_without_descriptors_a_wait_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process has none left, a bell is heard by who looks."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "eventfd", refuse, raising=False)
    monkeypatch.setattr(os, "pipe", refuse)
    bell = Bell()
    bell.ring()
    bell.wait(0.001)
    assert (bell.rung, bell.fileno()) == (True, -1)
