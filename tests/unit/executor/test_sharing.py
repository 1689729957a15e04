from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import Executor, MemoryStorage, NotPicklable, StorageError, share
from ipcq.executor import sharing
from tests.unit.working import work

from .functions import Stubborn, about, pid

numpy = pytest.importorskip("numpy")

pytestmark = pytest.mark.one_fork_server


@pytest.fixture
def files(private_directory: Path) -> Path:
    """Where shared objects are."""
    return private_directory / ".shared"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """What this process has read goes with the test."""
    yield
    gc.collect()
    sharing.forget_removed()


def identity(value: Any) -> tuple[int, int]:
    """The object that arrives, as a process and an address."""
    return pid(), id(value)


def test_an_object_is_stored_once_and_arrives_as_itself(files: Path) -> None:
    """In one process always the same; arrays are read-only views, without a copy."""
    array = numpy.arange(500_000, dtype=float)
    with Executor(1) as executor, share(array) as shared:
        assert shared.value is array
        assert executor.submit(about, shared).result(30) == (False, False, float(array.sum()))
        assert len(set(executor.map(identity, [shared] * 20))) == 1
        assert len(list(files.iterdir())) == 1


@pytest.mark.slow
def test_it_goes_with_the_last_who_has_it(files: Path) -> None:
    """A call keeps it; when that has ended, nobody does."""
    with Executor(1) as executor:
        futures = [executor.submit(about, share(numpy.ones(300_000))) for _ in range(10)]
        assert [each.result(30)[2] for each in futures] == [300_000.0] * 10
        del futures
        gc.collect()
        assert list(files.iterdir()) == []
        before = os.statvfs(files).f_bfree
        with share(bytes(8 << 20)) as shared:
            assert executor.submit(len, shared).result(30) == 8 << 20
        executor.submit(pid).result(30)  # which lets go of what has no owner any more
        assert os.statvfs(files).f_bfree >= before - 64


@pytest.mark.slow
def test_any_queue_takes_it(private_directory: Path) -> None:
    """With a codec that pickles."""
    with MemoryStorage("shares", codec="pickle") as queue, share([1, 2]) as shared:
        task_id = queue.push({"numbers": shared})
        work(queue, lambda args: sum(args["numbers"]))
        assert queue.wait(task_id).unwrap() == 3
        queue.destroy()


def test_what_was_closed_is_told(files: Path) -> None:
    """To the sender, and to a reader who comes too late."""
    shared = share([1])
    path = shared._path
    assert "bytes" in repr(shared)
    shared.close()
    shared.close()
    assert "closed" in repr(shared)
    with Executor(1) as executor, pytest.raises(NotPicklable, match="after it was closed"):
        executor.submit(len, shared).result(30)
    with pytest.raises(StorageError, match="is gone: keep what share"):
        sharing.load(path)


def test_what_cannot_be_pickled_is_told(files: Path) -> None:
    """And leaves no file."""
    with pytest.raises(NotPicklable, match="<Stubborn>"):
        share(Stubborn())
    assert list(files.iterdir()) == []


def killed_owner() -> str:
    """A file that a process left, which was killed when it had shared something."""
    read, write = os.pipe()
    owner = os.fork()
    if owner == 0:
        kept = share(b"x" * 100)
        os.write(write, kept._path.encode())
        signal.pause()
    path = os.read(read, 4096).decode()
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    os.close(read)
    os.close(write)
    return path


def test_what_a_killed_owner_left_is_removed(files: Path) -> None:
    """By the next who shares, once nobody reads it."""
    left = killed_owner()
    with Executor(1) as executor:
        assert executor.submit(sharing.load, left).result(30) == b"x" * 100
        with share(1):
            assert len(list(files.iterdir())) == 2  # the worker keeps it
    with share(2):
        assert len(list(files.iterdir())) == 1
    killed_owner()
    assert sharing.sweep() == 1


def test_a_forked_child_does_not_remove_it(files: Path) -> None:
    """The handle is its parent's."""
    with share([1]) as shared:
        child = os.fork()
        if child == 0:
            shared.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert len(list(files.iterdir())) == 1
