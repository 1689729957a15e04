"""A log whose writers are killed: between any two calls of the operating system, and at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ipcq.backends.json import JsonStore, anew, logfile
from ipcq.backends.store import Forgotten, Write
from tests.unit.memory.children import Line, child

from .notes import Notes

ROUNDS = int(os.environ.get("IPCQ_KILL_ROUNDS", "200"))
SEED = 20_240_501

LARGE = b'"%b"' % (b"x" * 3000)


# --- at each step --------------------------------------------------------------------------------

CHANGING = {"open", "write", "ftruncate", "rename", "unlink", "fdatasync", "fsync", "close"}


class _Fuse:
    """The module ``os``; kills the process at call number ``length`` that changes anything.

    Attributes:
        burnt: how many such calls there were.
    """

    def __init__(self, length: int, half: bool) -> None:
        """
        Args:
            half: not before that call, but when the half of it is done, if it is a write.
        """
        self.burnt = 0
        self._length = length
        self._half = half

    def install(self) -> None:
        """Have all that this process does with logs go through it; for forked children."""
        for module in (logfile, anew):
            setattr(module, "os", self)  # noqa: B010 - mypy rightly refuses it otherwise

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        return self._burning(name, function) if name in CHANGING else function

    def _burning(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.burnt += 1
            if self.burnt == self._length:
                if name == "write" and self._half:
                    os.write(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return call


def _steps(store: JsonStore) -> Iterator[None]:
    """Everything that changes a log, one after the other."""
    yield
    store.put("a", b"1")
    yield
    store.compare_and_set([Write("b", 0, LARGE), Write("c", 0, b"\x00"), Write("a", 1, b"2")])
    yield
    store.compare_and_set([Write("b", 2, None), Write("d", 0, b"4")])
    yield
    store.compact()
    yield
    store.put("e", b"5")
    yield


def _all(store: JsonStore) -> list[tuple[str, int, bytes | None]]:
    while True:
        try:
            return [(key, version, value) for key, version, value in store.scan() if value is not None]
        except Forgotten:  # others wrote it anew, twice, meanwhile
            pass


def _states(path: Path) -> list[list[tuple[str, int, bytes | None]]]:
    with JsonStore(path, fsync="never") as store:
        return [_all(store) for _ in _steps(store)]


def _killed_at(path: Path, length: int, half: bool) -> tuple[int, bool]:
    """How many steps were told to be done by a process that was killed at that call; whether it was."""

    def work(line: Line) -> None:
        _Fuse(length, half).install()
        with JsonStore(path, fsync="always") as store:
            for _ in _steps(store):
                line.say()

    with child(work) as process:
        status = process.join()
        told = process.heard().count("\n")
    return told, status == -signal.SIGKILL


@pytest.mark.parametrize(
    "half", [pytest.param(True, id="half"), pytest.param(False, id="before", marks=pytest.mark.slow)]
)
def test_killed_at_each_step(private_directory: Path, half: bool) -> None:
    """Killed anywhere: what was accepted is there, what was not is wholly there or not at all; it goes on."""
    states = _states(private_directory / "whole")
    length, killed = 0, True
    while killed:
        length += 1
        path = private_directory / f"log-{length}"
        told, killed = _killed_at(path, length, half)
        with JsonStore(path, fsync="never") as store:
            found = _all(store)
            at = max(0, told - 1)
            assert found in states[at : at + 2], f"killed at call {length}, after step {at}"
            store.put("more", b"1")
            store.compact()
            with JsonStore(path, fsync="never") as other:
                assert {key for key, _, _ in _all(other)} == {"more", *(key for key, _, _ in found)}
        assert not Path(f"{path}.corrupt").exists()
    print(f"killed at each of {length - 1} calls")
    assert length > 25


def test_repairing_is_killed_at_each_step(private_directory: Path) -> None:
    """Killed anywhere in setting damage aside: the next one does it again, and nothing more is lost."""
    with JsonStore(private_directory / "whole", fsync="never") as store:
        for key in "abc":
            store.put(key, b'"%b"' % key.encode())
    content = (private_directory / "whole").read_bytes().replace(b'"b"', b'"B"')
    length, killed = 0, True
    while killed:
        length += 1
        path = private_directory / f"log-{length}"
        path.touch(0o600)
        path.write_bytes(content)

        def work(_: Line, length: int = length, path: Path = path) -> None:
            _Fuse(length, half=True).install()
            JsonStore(path).close()

        with child(work) as process:
            killed = process.join() == -signal.SIGKILL
        with JsonStore(path, fsync="never") as store:
            assert [key for key, _, _ in _all(store)] == ["a", "c"]
            assert store.set_aside == 1
        assert b'"B"' in Path(f"{path}.corrupt").read_bytes()
    assert length > 10


# --- at random moments ---------------------------------------------------------------------------

KEPT = 20  # batches of each writer that are not removed


def _write_without_end(path: Path, notes: Path) -> None:
    """Batches of two records; each is noted when it was accepted. Older ones go, the log is written anew."""
    note = Notes(notes)
    with JsonStore(path, fsync="always") as store:
        for number in count(max(_numbers(store, notes.name), default=0) + 1):
            value = LARGE if number % 5 else b"%d" % number
            batch = [Write(f"{notes.name}/{number}/{part}", 0, value) for part in "ab"]
            assert store.compare_and_set(batch) is not None
            note(str(number))
            _forget(store, f"{notes.name}/{number - KEPT}")
            if number % 7 == 0:
                store.compact()


def _forget(store: JsonStore, name: str) -> None:
    found = [store.get(f"{name}/{part}") for part in "ab"]
    store.compare_and_set([Write(record.key, record.version, None) for record in found if record])


def _numbers(store: JsonStore, name: str) -> list[int]:
    """The batches of a writer; fails where one is not whole."""
    keys = [key.split("/") for key, _, _ in _all(store)]
    first, second = ([int(n) for writer, n, part in keys if (writer, part) == (name, each)] for each in "ab")
    assert first == second
    return first


def _kill_all(path: Path, notes: Sequence[Path], seconds: float) -> None:
    with ExitStack() as stack:
        work = [partial(_work, path, each) for each in notes]
        processes = [stack.enter_context(child(each)) for each in work]
        time.sleep(seconds)  # chance decides how far they come
        for process in processes:
            process.kill()


def _work(path: Path, notes: Path, _: Line) -> None:
    _write_without_end(path, notes)


def _check(path: Path, notes: Path) -> int:
    """How many batches a writer noted; fails unless those that it did not remove are there."""
    noted = [int(number) for number in notes.read_bytes().split()] if notes.exists() else []
    last = max(noted, default=0)
    with JsonStore(path, fsync="never") as store:
        found = _numbers(store, notes.name)
        assert set(range(max(1, last - KEPT + 1), last + 1)) <= set(found)
    return len(noted)


@pytest.mark.parametrize(
    "rounds", [pytest.param(6, id="short"), pytest.param(ROUNDS, id="long", marks=pytest.mark.slow)]
)
def test_all_killed_at_random_moments(private_directory: Path, rounds: int) -> None:
    """Three writers are killed again and again: all that was accepted is there, and each batch is whole."""
    chance = random.Random(SEED)
    notes = [private_directory / name for name in "xyz"]
    for _ in range(rounds):
        _kill_all(private_directory / "log", notes, chance.uniform(0.002, 0.06))
        accepted = sum(_check(private_directory / "log", each) for each in notes)
    print(f"{accepted} batches accepted in {rounds} rounds (seed {SEED})")
    assert accepted
    assert not (private_directory / "log.corrupt").exists()
