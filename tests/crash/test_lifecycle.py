"""Queues are made, attached to, destroyed and cleared away by processes that are killed in it."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from ipcq import MemoryStorage, QueueClosed, QueueInUse, QueueNotFound
from ipcq.backends.lockfile import LockFile
from ipcq.backends.memory import opening
from ipcq.backends.memory.segment import CONTROL, Segment
from tests.unit.memory.children import Child, Line, child

from .aftermath import check_whole
from .test_chaos import LONG, SEED

SECONDS = [pytest.param(LONG / 2, id="long", marks=pytest.mark.slow)]
PROCESSES = 4
EVERY = 0.02  # most seconds between two kills


def _live(seed: int) -> None:
    """Do one thing after the other with the queue ``q``, without end."""
    chance = random.Random(seed)
    while True:
        try:
            if chance.random() < 0.7:
                with MemoryStorage("q", capacity=64) as storage:
                    storage.push_bulk(range(chance.randrange(4)))
                    if chance.random() < 0.4:
                        storage.destroy(force=chance.random() < 0.7)
            else:
                opening.gc(force=True)
        except (QueueClosed, QueueNotFound, QueueInUse):
            pass  # others destroy it, too


class Place:
    """Has one process at a time, which is killed and started again."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._process: Child | None = None

    def start(self, seed: int) -> None:
        self._process = self._stack.enter_context(child(lambda _: _live(seed)))

    def kill(self) -> int:
        """Its exit code: -9 unless it had met an error."""
        assert self._process is not None
        self._process.kill()
        self._stack.close()
        return self._process.join()


@pytest.mark.parametrize("seconds", SECONDS)
def test_kills_while_queues_come_and_go(private_directory: Path, seconds: float) -> None:
    """Whoever is killed while it makes or removes a queue: the others go on, and no file is left."""
    chance, kills = random.Random(SEED), 0
    places = [Place() for _ in range(PROCESSES)]
    for place in places:
        place.start(chance.randrange(1 << 30))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0, EVERY))
        place = chance.choice(places)
        assert place.kill() == -9
        place.start(chance.randrange(1 << 30))
        kills += 1
    assert {place.kill() for place in places} == {-9}
    with MemoryStorage("q") as storage:
        storage.push(1)
        check_whole(storage)
    assert all(each.removed for each in opening.gc(force=True))
    assert os.listdir(private_directory) == []
    print(f"\n{kills} kills in {seconds:g} s (seed {SEED})")


def test_a_queue_that_is_replaced_while_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a queue while others destroy it and make a new one gets the new one, with its lock."""
    MemoryStorage("q").close()
    exists = opening._exists

    def replace(line: Line) -> None:
        MemoryStorage("q").destroy(force=True)
        with MemoryStorage("q") as new:
            new.push("new")
            line.say()
            line.hear()

    with ExitStack() as stack:

        def exists_after_that(directory: str) -> bool:
            monkeypatch.setattr(opening, "_exists", exists)
            stack.enter_context(child(replace)).hear()
            return exists(directory)

        monkeypatch.setattr(opening, "_exists", exists_after_that)
        with MemoryStorage("q") as storage:
            assert [task.args for task in storage.list_tasks().items] == ["new"]
            assert storage._connection.lock.is_current()
            storage.destroy(force=True)


def test_a_queue_that_is_replaced_while_it_is_found_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds the control file gone, and then a new queue in its place, opens that one."""
    MemoryStorage("q").close()
    is_current = LockFile.is_current

    def replace(line: Line) -> None:
        MemoryStorage("q").close()
        line.say()

    def removed_meanwhile(directory: str) -> Segment:
        monkeypatch.setattr(opening, "Segment", Segment)
        monkeypatch.setattr(LockFile, "is_current", replaced_after_that)
        os.unlink(os.path.join(directory, CONTROL))
        return Segment(directory)

    def replaced_after_that(lock: LockFile) -> bool:
        monkeypatch.setattr(LockFile, "is_current", is_current)
        answer = is_current(lock)
        os.unlink(lock.path)
        with child(replace) as other:
            other.hear()
            assert other.join() == 0
        return answer

    monkeypatch.setattr(opening, "Segment", removed_meanwhile)
    with MemoryStorage("q") as storage:
        assert storage._connection.lock.is_current()
        storage.destroy(force=True)
