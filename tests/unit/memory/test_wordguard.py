from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcq.backends.liveness import own_identity
from ipcq.backends.lockfile import SEAT, LockFile, open_lock_file
from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.layout import (
    HALF_MASK,
    LOCK,
    LOCK_AWAITED,
    LOCK_OWNER,
    OP,
    P_BOOT,
    P_PID,
    P_PIDNS,
    P_START,
    SEAT_WORDS,
    SEATS,
)
from ipcq.backends.memory.lockword import LockWord
from ipcq.backends.memory.wordguard import WordGuard
from ipcq.errors import QueueStalled, StorageError

from .children import Line, child

SEATS_AT = 1024
ME, OTHER = 1, 2


def _words() -> memoryview:
    return memoryview(mmap.mmap(-1, 8 * (SEATS_AT + SEATS * SEAT_WORDS))).cast("Q")


# --- the word -------------------------------------------------------------------------------------


def test_taking_changes_owner_and_generation_at_once() -> None:
    """Each owner has a generation of its own, so that a slow compare-and-swap fails."""
    w = _words()
    word = LockWord(w)
    assert word.take(ME, 0)
    seen = word.look()
    assert (seen >> 32, seen & HALF_MASK) == (1, ME)
    assert not word.take(OTHER, 0)
    assert word.release(ME)
    assert word.take(OTHER, 0)
    assert not word.swap(seen, 3, 0)
    assert (word.look() >> 32, word.owner()) == (2, OTHER)


def test_only_its_owner_releases_it() -> None:
    """A release by who has it not, or by nobody, does no harm."""
    w = _words()
    word = LockWord(w)
    assert not word.release(0)
    word.take(ME, 0)
    assert not word.release(OTHER)
    assert not word.release(0)
    assert word.owner() == ME


def test_a_generation_wraps_around() -> None:
    """After 2^32 owners it begins anew; the owner's half is not touched."""
    w = _words()
    w[LOCK] = HALF_MASK << 32
    word = LockWord(w)
    assert word.take(ME, 0)
    assert word.look() == ME


def test_who_sleeps_is_announced_until_the_release() -> None:
    """The bit survives the next owner, who may not be the only one that slept."""
    w = _words()
    word = LockWord(w)
    word.take(ME, 0)
    seen = word.announce()
    assert seen == word.look() == 1 << 32 | LOCK_AWAITED | ME
    assert word.announce() == seen
    word.sleep(seen, 1000)
    word.release(ME)
    assert not word.look() & LOCK_AWAITED
    assert word.take(OTHER, LOCK_AWAITED)
    assert word.look() & LOCK_AWAITED


def test_spinning_ends() -> None:
    """It takes a free lock, and gives up on a taken one."""
    word = LockWord(_words())
    assert word.spin(ME, 10)
    assert not word.spin(OTHER, 10)
    assert not LockWord(_words()).spin(ME, 0)


# --- seats ----------------------------------------------------------------------------------------

compiled = pytest.mark.skipif(not COMPILED, reason="only compiled processes use the word across processes")


class Bench:
    def __init__(self, path: str) -> None:
        self.words = _words()
        self.rebuilt = 0
        self.lock = open_lock_file(path)
        self.guard = self.attach(self.lock)

    def attach(self, lock: LockFile) -> WordGuard:
        return WordGuard("thumbs", lock, self.words, self.rebuild, SEATS_AT)

    def rebuild(self) -> None:
        self.rebuilt += 1
        self.words[OP] = 0


@pytest.fixture
def bench(private_directory: Path) -> Iterator[Bench]:
    """A guard over words that forked children share."""
    bench = Bench(str(private_directory / "lock"))
    yield bench
    bench.lock.release()


def _die_inside(bench: Bench) -> None:
    """Have a process killed that owns the word."""

    def work(line: Line) -> None:
        def section() -> None:
            bench.words[OP] = 7
            line.say()
            line.hear()

        bench.attach(open_lock_file(bench.lock.path)).run(section)

    with child(work) as process:
        process.hear()
        process.kill()


@compiled
def test_handles_of_a_process_share_a_seat(bench: Bench) -> None:
    """One seat for each process, whatever its handles; it is given up with the last of them."""
    bench.guard.run(int)
    other = bench.attach(bench.lock)
    other.run(int)
    assert bench.lock.held == {SEAT}
    assert bench.words[SEATS_AT + P_PID] == os.getpid()


@compiled
def test_a_dead_owner_loses_the_word(bench: Bench) -> None:
    """Somebody with another seat takes it over and rebuilds."""
    bench.guard.run(int)
    _die_inside(bench)
    assert bench.words[LOCK] & LOCK_OWNER == OTHER
    assert bench.guard.run(int) == 0
    assert bench.rebuilt == 1
    assert not bench.words[LOCK] & LOCK_OWNER


@compiled
def test_who_sits_down_on_a_dead_owners_seat_takes_the_word_over(bench: Bench) -> None:
    """Nobody else can: the seat's byte is held again."""
    _die_inside(bench)
    assert bench.words[LOCK] & LOCK_OWNER == ME
    assert bench.guard.run(int) == 0
    assert bench.lock.seat == ME
    assert bench.rebuilt == 1


@compiled
def test_a_seat_whose_process_lives_is_left_alone(bench: Bench) -> None:
    """Foreign code may have lost its byte; its pid and start time still tell."""

    def work(line: Line) -> None:
        lock = open_lock_file(bench.lock.path)
        bench.attach(lock).run(int)
        lock.drop(SEAT)
        line.say()
        line.hear()

    with child(work) as process:
        process.hear()
        bench.guard.run(int)
        assert bench.lock.seat == OTHER


@compiled
def test_an_owner_that_lives_is_not_robbed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though foreign code lost its byte, and though it is stopped."""

    def work(line: Line) -> None:
        lock = open_lock_file(bench.lock.path)

        def section() -> None:
            bench.words[OP] = 7
            os.close(os.open(lock.path, os.O_RDONLY))
            line.say()
            line.hear()

        bench.attach(lock).run(section)

    monkeypatch.setattr("ipcq.backends.contention._GIVE_UP_AFTER", 0.2)
    with child(work) as process:
        process.hear()
        process.stop()
        with pytest.raises(QueueStalled, match=f"live process {process.pid}"):
            bench.guard.run(int)
    assert bench.rebuilt == 0


@compiled
def test_a_seat_of_the_same_pid_but_another_start_is_free(bench: Bench) -> None:
    """A pid that was used again is no sign of life."""
    _die_inside(bench)
    bench.words[SEATS_AT + P_PID] = os.getpid()
    bench.words[SEATS_AT + P_START] = 1
    bench.guard.run(int)
    assert bench.lock.seat == ME


@compiled
def test_a_process_sits_where_it_sat_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have had the lock there when it called exec: as it lives, nobody else can free it."""
    at = SEATS_AT + (OTHER - 1) * SEAT_WORDS
    bench.words[at + P_PID], bench.words[at + P_PIDNS], *_ = own_identity()
    *_, bench.words[at + P_START], bench.words[at + P_BOOT] = own_identity()
    bench.words[LOCK] = 1 << 32 | OTHER
    monkeypatch.setattr("ipcq.backends.contention._GIVE_UP_AFTER", 0.1)
    assert bench.guard.run(int) == 0
    assert bench.lock.seat == OTHER


@compiled
def test_a_seat_half_taken_is_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a Ctrl-C at a bad moment: its byte is ours, so nobody else can free what its dead owner had."""
    assert bench.lock.take(SEAT + OTHER - 1)
    bench.words[LOCK] = 1 << 32 | OTHER
    monkeypatch.setattr("ipcq.backends.contention._GIVE_UP_AFTER", 0.1)
    assert bench.guard.run(int) == 0
    assert bench.lock.seat == OTHER


@compiled
def test_signals_do_not_keep_a_waiter_from_looking_at_the_owner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profiler's timer may end every sleep before its time is over."""
    bench.guard.run(int)
    _die_inside(bench)
    monkeypatch.setattr("ipcq.backends.contention._GIVE_UP_AFTER", 0.5)
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        assert bench.guard.run(int) == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert bench.rebuilt == 1


@compiled
def test_an_owner_that_cannot_be_is_nobody(bench: Bench) -> None:
    """Damage in the word does not stall the queue."""
    bench.words[LOCK] = LOCK_OWNER
    assert bench.guard.run(int) == 0


@compiled
def test_a_lost_seat_is_left(bench: Bench) -> None:
    """Whoever finds that another process has its byte sits down elsewhere."""
    bench.guard.run(int)

    def work(line: Line) -> None:
        lock = open_lock_file(bench.lock.path)
        lock.take(SEAT)
        line.say()
        line.hear()

    bench.lock._unlock(SEAT)
    with child(work) as process:
        process.hear()
        assert bench.lock.reassert() == {SEAT}
        bench.guard.run(int)
        assert bench.lock.seat == OTHER


@compiled
def test_more_processes_than_seats_are_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how many there can be."""
    monkeypatch.setattr("ipcq.backends.memory.wordguard.SEATS", 0)
    with pytest.raises(StorageError, match="0 processes"):
        bench.guard.run(int)
