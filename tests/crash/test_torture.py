"""The lock under fire: counters that only mutual exclusion keeps right, while their owners are killed."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ipcq.backends.lockfile import open_lock_file
from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.layout import OP, SEAT_WORDS, SEATS
from ipcq.backends.memory.lock import Guard
from ipcq.backends.memory.wordguard import WordGuard

SEATS_AT = 1024
INSIDE = 700  # who is inside
COUNTER = 701  # how many sections were begun
SHADOW = 702  # how many were ended, or given up by a rebuild
REBUILT = 703
BROKEN = 704  # what must not be: somebody else was inside
LONG = float(os.environ.get("IPCQ_CHAOS_SECONDS", "30"))
KINDS = ["byte", pytest.param("word", marks=pytest.mark.skipif(not COMPILED, reason="needs a compiler"))]


class Ring:
    """Words that forked processes share, and what each does to them."""

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self.kind = kind
        self.words = memoryview(mmap.mmap(-1, 8 * (SEATS_AT + SEATS * SEAT_WORDS))).cast("Q")

    def guard(self) -> Guard:
        what = ("thumbs", open_lock_file(self.path), self.words, self.rebuild)
        return WordGuard(*what, SEATS_AT) if self.kind == "word" else Guard(*what)

    def section(self, me: int, steps: int) -> None:
        """Not atomic on purpose, with the marks that a rebuild and the others look at."""
        w = self.words
        w[OP] = 1
        w[INSIDE] = me
        seen = w[COUNTER]
        w[COUNTER] = seen + 1
        for _ in range(steps):
            if w[INSIDE] != me or w[COUNTER] != seen + 1:
                w[BROKEN] = 1
        if w[SHADOW] != seen:
            w[BROKEN] = 2
        w[SHADOW] = seen + 1
        w[OP] = 0

    def rebuild(self) -> None:
        w = self.words
        w[SHADOW] = w[COUNTER]
        w[REBUILT] += 1
        w[OP] = 0

    def fight(self, me: int) -> None:
        """For ever."""
        guard = self.guard()
        rest = random.Random(me)
        while True:
            guard.run(self.section, me, rest.choice((0, 1, 20, 200)))


@contextmanager
def _fighters(ring: Ring, count: int) -> Iterator[dict[int, int]]:
    fighters: dict[int, int] = {}
    try:
        for _ in range(count):
            _fight(ring, fighters)
        yield fighters
    finally:
        for pid in fighters:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _fight(ring: Ring, fighters: dict[int, int]) -> None:
    me = ring.words[COUNTER] + len(fighters) + 1
    pid = os.fork()
    if not pid:
        try:
            ring.fight(me)
        finally:
            os._exit(1)
    fighters[pid] = me


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0.4, pytest.param(LONG, marks=pytest.mark.slow, id="long")])
def test_killed_owners_break_nothing(private_directory: Path, kind: str, seconds: float) -> None:
    """Of four processes at the lock one is killed every few milliseconds: nobody is ever inside twice."""
    ring = Ring(str(private_directory / "lock"), kind)
    chance = random.Random(1)
    kills = 0
    until = time.monotonic() + seconds
    with _fighters(ring, 4) as fighters:
        while time.monotonic() < until or not ring.words[REBUILT]:  # how often one is inside, chance decides
            assert kills < 2000
            time.sleep(chance.uniform(0, 0.01))
            pid = chance.choice(list(fighters))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del fighters[pid]
            _fight(ring, fighters)
            kills += 1
            assert not ring.words[BROKEN]
    w = ring.words
    last = ring.guard()
    last.run(int)
    print(f"\n{kind}: {kills} kills, {w[COUNTER]} sections, {w[REBUILT]} of them cut off")
    assert not w[BROKEN]
    assert w[COUNTER] == w[SHADOW] > 0
    assert w[REBUILT] <= kills + 4
    last._lock.release()
