from __future__ import annotations

import mmap
import os
import time

import pytest

from ipcq.backends.memory import futex

from .children import Line, child

LONG = 60.0  # seconds: who sleeps so long was not woken


class Word:
    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.words = memoryview(self.memory).cast("Q")
        self.address = futex.address_of(self.memory) + 8

    @property
    def value(self) -> int:
        return self.words[1]

    @value.setter
    def value(self, value: int) -> None:
        self.words[1] = value


@pytest.fixture(params=["kernel", "fallback"])
def word(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Word:
    """A word of shared memory, waited for with and without futex."""
    if request.param == "fallback":
        monkeypatch.setattr(futex, "_call", None)
    elif futex._call is None:
        pytest.skip("this system has no futex")
    return Word()


def _elapsed(word: Word, expected: int, timeout: float) -> float:
    started = time.monotonic()
    futex.wait(word.address, expected, timeout)
    return time.monotonic() - started


def test_another_process_is_woken(word: Word) -> None:
    """Changing the word and waking ends the sleep of a waiter in another process."""

    def work(line: Line) -> None:
        line.say()
        line.say(_elapsed(word, 0, LONG) < LONG / 2)

    with child(work) as process:
        process.hear()
        word.value = 1
        futex.wake(word.address)
        assert process.hear() == "True"


def test_all_who_sleep_are_woken(word: Word) -> None:
    """One wake is enough for several waiters."""

    def work(line: Line) -> None:
        line.say()
        line.say(_elapsed(word, 0, LONG) < LONG / 2)

    with child(work) as one, child(work) as two:
        one.hear()
        two.hear()
        word.value = 1
        futex.wake(word.address)
        assert one.hear() == two.hear() == "True"


def test_a_sleep_ends_at_its_time(word: Word) -> None:
    """Nobody wakes, and the wait is over after its time-out."""
    assert 0.02 <= _elapsed(word, 0, 0.02) < LONG / 2


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_no_time_is_no_sleep(word: Word, timeout: float) -> None:
    """A deadline that has passed returns at once."""
    assert _elapsed(word, 0, timeout) < LONG / 2


def test_a_changed_word_is_not_waited_for(word: Word) -> None:
    """A change between looking and sleeping is not slept through."""
    word.value = 5
    assert _elapsed(word, 4, LONG) < LONG / 2


def test_only_the_low_half_counts(word: Word) -> None:
    """Futex words have 32 bits: the expected value is cut to them."""
    word.value = 7 << 32 | 3
    assert _elapsed(word, 9 << 32 | 3, 0.02) >= 0.02
    assert _elapsed(word, 7 << 32 | 4, LONG) < LONG / 2


def test_the_real_thing_sleeps() -> None:
    """With futex a sleep ends in one wake: the waiter is in the kernel, not looking again and again."""
    if futex._call is None:
        pytest.skip("this system has no futex")
    word = Word()

    def work(line: Line) -> None:
        line.say()
        before = os.times()
        futex.wait(word.address, 0, 0.2)
        line.say(os.times().user - before.user < 0.1)

    with child(work) as process:
        process.hear()
        assert process.hear() == "True"


def test_one_cpu_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is how many CPUs this process may use, not how many there are."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert not futex.can_spin()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 4}, raising=False)
    assert futex.can_spin()
    monkeypatch.delattr(os, "sched_getaffinity")
    assert futex.can_spin()
