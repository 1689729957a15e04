"""Numbers that processes share."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from ipcq import MemoryStorage, QueueClosed, StorageError
from ipcq.backends.memory.numbers import change_number


def test_it_is_what_the_last_one_made_of_it(tmp_path: Path) -> None:
    """0 at first, then any number, also a negative one; each name has its own."""
    values = [0, 5, -7, 10**20, 0]
    for before, after in pairwise(values):
        assert change_number(str(tmp_path), "a", {before: after}.__getitem__)
    assert change_number(str(tmp_path), "b", lambda before: before + 1)


def test_nobody_waits_for_who_is_changing_it(tmp_path: Path) -> None:
    """The holder of the lock may be stopped; and what raises changes nothing."""
    change_number(str(tmp_path), "a", lambda _: 3)
    fd = os.open(tmp_path / "number.a", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert not change_number(str(tmp_path), "a", lambda _: 4)
    os.close(fd)
    with pytest.raises(ZeroDivisionError):
        change_number(str(tmp_path), "a", lambda before: before // 0)
    assert change_number(str(tmp_path), "a", lambda before: {3: 8}[before])


def test_who_dies_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    """And keeps nobody from it: the kernel frees the lock."""
    change_number(str(tmp_path), "a", lambda _: 3)
    code = "import os, sys; from ipcq.backends.memory.numbers import change_number\n"
    code += "change_number(sys.argv[1], 'a', lambda _: os.kill(os.getpid(), 9))"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], timeout=60).returncode == -signal.SIGKILL
    assert change_number(str(tmp_path), "a", {3: 8}.__getitem__)


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StorageError, match=r"cannot use .*number\.a"):
        change_number(str(tmp_path / "none"), "a", lambda before: before)


def test_they_go_with_their_queue(queue: MemoryStorage, private_directory: Path) -> None:
    """Destroying the queue leaves nothing of them."""
    assert queue.change_number("a", lambda before: before + 1)
    with pytest.raises(ValueError, match="letters"):
        queue.change_number("../a", lambda before: before)
    other = MemoryStorage(str(queue.queue))
    queue.destroy(force=True)
    assert not (private_directory / str(queue.queue)).exists()
    with pytest.raises(QueueClosed):
        other.change_number("a", lambda before: before)
    other.close()
