from __future__ import annotations

import itertools
import logging
import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipcq.backends import contention as module
from ipcq.backends.lockfile import QUEUE, LockFile, open_lock_file
from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.layout import CLOSED, HOT_END, LOCK, LOCK_OWNER, OP, SEAT_WORDS, SEATS
from ipcq.backends.memory.lock import Guard
from ipcq.backends.memory.wordguard import WordGuard
from ipcq.errors import CorruptQueue, QueueClosed, QueueStalled, StorageError

from .children import Child, Line, child, elsewhere

COUNTER = HOT_END
SEATS_AT = 1024
KINDS = ["byte", pytest.param("word", marks=pytest.mark.skipif(not COMPILED, reason="needs a compiler"))]


class Bench:
    """A guard over words that forked children share, and what its rebuild was called for."""

    def __init__(self, path: str, kind: str) -> None:
        self.lock = open_lock_file(path)
        self.kind = kind
        self.words = memoryview(mmap.mmap(-1, 8 * (SEATS_AT + SEATS * SEAT_WORDS))).cast("Q")
        self.rebuilt = 0
        self.guard = self.attach(self.lock)

    def attach(self, lock: LockFile) -> Guard:
        return self.make(lock, self.rebuild)

    def make(self, lock: LockFile, rebuild: Callable[[], None]) -> Guard:
        what = ("thumbs", lock, self.words, rebuild)
        return WordGuard(*what, SEATS_AT) if self.kind == "word" else Guard(*what)

    def is_taken(self, lock: LockFile) -> bool:
        """Seen from another process."""
        return self.words[LOCK] & LOCK_OWNER != 0 if self.kind == "word" else lock.is_held(QUEUE)

    def anew(self) -> Guard:
        """For a forked child."""
        return self.attach(open_lock_file(self.lock.path))

    def rebuild(self) -> None:
        self.rebuilt += 1
        self.words[OP] = 0

    def add(self) -> None:
        value = self.words[COUNTER]
        os.sched_yield()
        self.words[COUNTER] = value + 1


@pytest.fixture(params=KINDS)
def bench(private_directory: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A guard with its lock file, of each kind."""
    bench = Bench(str(private_directory / "lock"), request.param)
    yield bench
    bench.lock.release()


def _is_free(bench: Bench) -> bool:
    return elsewhere(lambda: bench.is_taken(open_lock_file(bench.lock.path))) == "False"


def test_threads_exclude_each_other(bench: Bench) -> None:
    """No increment is lost between threads, which the kernel's lock does not tell apart."""

    def work() -> None:
        for _ in range(200):
            bench.guard.run(bench.add)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.words[COUNTER] == 800


def test_processes_exclude_each_other(bench: Bench) -> None:
    """No increment is lost between processes."""

    def work(line: Line) -> None:
        guard = bench.anew()
        line.hear()
        for _ in range(300):
            guard.run(bench.add)

    with child(work) as one, child(work) as two:
        one.say()
        two.say()
        assert one.join() == two.join() == 0
    assert bench.words[COUNTER] == 600


def test_a_section_gets_its_arguments_and_gives_its_answer(bench: Bench) -> None:
    """`run` adds nothing to what it calls."""
    assert bench.guard.run(divmod, 7, 2) == (3, 1)
    assert bench.rebuilt == 0


def test_who_finds_op_set_rebuilds_first(bench: Bench) -> None:
    """The section sees a whole queue after its predecessor was killed in the middle."""

    def work(line: Line) -> None:
        def section() -> None:
            bench.words[OP] = 7
            line.say()
            line.hear()

        bench.anew().run(section)

    with child(work) as process:
        process.hear()
        process.kill()
    assert bench.words[OP] == 7
    assert bench.guard.run(lambda: bench.words[OP]) == 0
    assert bench.rebuilt == 1


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, MemoryError])
def test_an_exception_in_a_section_leaves_op_set_and_the_lock_free(
    bench: Bench, error: type[BaseException]
) -> None:
    """What was left undone is the next one's to repair, as after a death."""

    def section() -> None:
        bench.words[OP] = 7
        raise error

    with pytest.raises(error):
        bench.guard.run(section)
    assert bench.words[OP] == 7
    assert _is_free(bench)
    bench.guard.run(int)
    assert bench.rebuilt == 1


def test_ctrl_c_at_any_moment_leaves_the_lock_free(bench: Bench) -> None:
    """Interrupted at hundreds of random places in and around a section, it is never left taken."""

    def watch(line: Line) -> None:
        lock = open_lock_file(bench.lock.path)
        while line.hear():
            line.say(bench.is_taken(lock))

    def section() -> None:
        bench.words[OP] = 7
        bench.words[OP] = 0

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        bench.guard.run(int)  # what is done once for each process is done
        with child(watch) as watcher:
            for n in range(300):
                _interrupted(lambda: bench.guard.run(section), 20e-6 + n % 100 * 1e-6)
                assert not bench.lock.inside
                assert _free_for_threads(bench.lock)
                watcher.say("?")
                assert watcher.hear() == "False"
    finally:
        signal.signal(signal.SIGALRM, before)


def _interrupted(call: Callable[[], object], after: float) -> None:
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        for _ in itertools.count():
            call()
    except KeyboardInterrupt:
        pass


def _free_for_threads(lock: LockFile) -> bool:
    answers: list[bool] = []

    def ask() -> None:
        answers.append(lock.mutex.acquire(blocking=False))
        if answers[0]:
            lock.mutex.release()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return answers[0]


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [IndexError, ValueError, OverflowError])
def test_damaged_words_are_rebuilt_and_the_section_runs_again(
    bench: Bench, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """An index or value that no sound queue holds is repaired, and told at level ERROR."""

    def section() -> str:
        if not bench.rebuilt:
            raise error
        return "done"

    assert bench.guard.run(section) == "done"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_damage_that_stays_is_an_error_with_advice(bench: Bench) -> None:
    """What a rebuild does not repair is CorruptQueue; the lock is free."""

    def section() -> None:
        raise IndexError("slot 99")

    with pytest.raises(CorruptQueue, match=r"'thumbs'.*slot 99.*gc --force"):
        bench.guard.run(section)
    assert _is_free(bench)


def test_a_rebuild_that_fails_is_an_error_with_advice(bench: Bench) -> None:
    """Damage met by the rebuild itself is CorruptQueue too, never a bare IndexError."""

    def rebuild() -> None:
        raise ValueError("row 300")

    bench.words[OP] = 7
    guard = bench.make(bench.lock, rebuild)
    with pytest.raises(CorruptQueue, match="row 300"):
        guard.run(int)


# --- who may not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_handle_is_refused(private_directory: Path, kind: str) -> None:
    """After the last `release` there is nothing to lock with."""
    bench = Bench(str(private_directory / "lock"), kind)
    bench.lock.release()
    with pytest.raises(QueueClosed, match="closed"):
        bench.guard.run(int)


def test_a_destroyed_queue_is_refused(bench: Bench) -> None:
    """Nobody works on the memory of a queue that was removed."""
    bench.words[CLOSED] = 1
    with pytest.raises(QueueClosed, match="destroyed"):
        bench.guard.run(int)
    assert _is_free(bench)


def test_a_forked_child_cannot_use_the_parents_guard(bench: Bench) -> None:
    """Its handle is stale: it must attach anew."""

    def work(line: Line) -> None:
        with pytest.raises(QueueClosed):
            bench.guard.run(int)
        assert bench.anew().run(int) == 0

    with child(work) as process:
        assert process.join() == 0


def test_a_section_in_a_section_is_an_error(bench: Bench) -> None:
    """A signal handler that uses the queue in mid-section gets an error, not a deadlock."""

    def handler() -> None:
        with pytest.raises(StorageError, match="signal handler"):
            bench.guard.run(bench.add)

    bench.guard.run(handler)
    bench.guard.run(bench.add)
    assert bench.words[COUNTER] == 1


def test_what_cannot_be_done_in_a_section_is_told_before_it_is_begun(bench: Bench) -> None:
    """Only the thread that is inside is refused; others wait for its end."""
    waiting = threading.Thread(target=bench.guard.ensure_outside)

    def section() -> None:
        waiting.start()
        with pytest.raises(StorageError, match="signal handler"):
            bench.guard.ensure_outside()
        assert waiting.is_alive()

    bench.guard.run(section)
    waiting.join()


# --- a holder that does not move ------------------------------------------------------------------


@pytest.fixture
def stopped(bench: Bench) -> Iterator[Child]:
    """A process stopped in the middle of a section."""

    def work(line: Line) -> None:
        def section() -> None:
            bench.words[OP] = 7
            line.say()
            line.hear()

        bench.anew().run(section)

    with child(work) as process:
        process.hear()
        process.stop()
        yield process


def test_a_stopped_holder_is_told_and_never_robbed(
    bench: Bench, stopped: Child, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """First a warning, then QueueStalled, both with its pid; its work is not touched."""
    monkeypatch.setattr(module, "_WARN_AFTER", 0.01)
    monkeypatch.setattr(module, "_GIVE_UP_AFTER", 0.05)
    with pytest.raises(QueueStalled, match=f"live process {stopped.pid}.*continue or kill"):
        bench.guard.run(int)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(stopped.pid) in record.getMessage()
    assert bench.rebuilt == 0


def test_killing_the_holder_frees_the_lock(bench: Bench, stopped: Child) -> None:
    """The operator's advice works: after the kill the next one rebuilds and goes on."""
    stopped.kill()
    assert bench.guard.run(int) == 0
    assert bench.rebuilt == 1


def test_a_lock_that_the_kernel_refuses_is_an_error(bench: Bench) -> None:
    """A file system without locks is said so, not waited for."""
    os.close(bench.lock.fd)
    bench.lock.fd = os.open(os.devnull, os.O_RDONLY)  # an exclusive lock needs a file open for writing
    with pytest.raises(StorageError, match="cannot lock"):
        bench.guard.run(int)
