from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ipcq.backends.lockfile import DESTROY, LockFile, open_lock_file
from ipcq.backends.memory import opening as module
from ipcq.backends.memory.layout import CLOSED, ST_DONE, ST_PENDING, ST_WRITING
from ipcq.backends.memory.namespace import queue_directory
from ipcq.backends.memory.opening import Removed, gc, open_queue, remove_queue
from ipcq.backends.memory.segment import ARENA, BLOBS, CONTROL, LOCK, Segment
from ipcq.backends.memory.settings import Wishes
from ipcq.errors import (
    ConfigMismatch,
    CorruptQueue,
    QueueNotFound,
    QueueStalled,
    StorageError,
    UnsafeDirectory,
    VersionMismatch,
)
from ipcq.task import Queue

from .children import Line, Trap, child, die, elsewhere, interrupt

NAME = Queue("thumbs")
WISHES = Wishes(capacity=100, arena_bytes=1 << 20, blob_bytes=1 << 20)
CALLS = "mkdir open ftruncate posix_fallocate link unlink rmdir close listdir lstat stat fstat pread".split()


class Opened:
    """A queue that is attached until `close`."""

    def __init__(self, *, create: bool = True, wishes: Wishes = WISHES) -> None:
        self.segment, self.lock = open_queue(NAME, wishes, create=create)

    def close(self) -> None:
        self.segment.close()
        del self.segment  # its mappings have descriptors of their own
        self.lock.unshare()
        self.lock.release()

    def destroy(self) -> None:
        """As `destroy(force=True)` does it."""
        self.segment.words[CLOSED] = 1
        remove_queue(self.segment.directory, self.lock)


@pytest.fixture
def directory(private_directory: Path) -> Path:
    """Where the queue lives, once it is made."""
    return private_directory / NAME


@pytest.fixture
def opened(directory: Path) -> Iterator[Opened]:
    """A queue that this process is attached to."""
    opened = Opened()
    yield opened
    opened.close()


def _make() -> None:
    Opened().close()


def _inode(segment: Segment) -> int:
    return os.stat(os.path.join(segment.directory, CONTROL)).st_ino


# --- opening --------------------------------------------------------------------------------------


def test_a_queue_is_made_once_and_found_after(opened: Opened) -> None:
    """The second handle of a process, and another process, see the same queue."""
    opened.segment.words[CLOSED - 1] = 0
    two = Opened(create=False, wishes=Wishes())
    assert two.segment.settings == opened.segment.settings
    assert _inode(two.segment) == _inode(opened.segment)
    two.close()
    assert elsewhere(lambda: _inode(Opened(create=False).segment)) == str(_inode(opened.segment))


def test_processes_that_create_at_once_get_one_queue(directory: Path) -> None:
    """Of several creators one wins, and all are attached to what it made."""

    def work(line: Line) -> None:
        line.hear()
        line.say(_inode(Opened().segment))
        line.hear()

    with ExitStack() as stack:
        creators = [stack.enter_context(child(work)) for _ in range(4)]
        for process in creators:
            process.say()
        assert len({process.hear() for process in creators}) == 1


def test_a_missing_queue_is_not_made_unasked(private_directory: Path, directory: Path) -> None:
    """The error names the queue and where it was looked for."""
    with pytest.raises(QueueNotFound, match=f"'thumbs' in {private_directory}"):
        Opened(create=False)
    directory.mkdir(mode=0o700)
    with pytest.raises(QueueNotFound):
        Opened(create=False)
    (directory / LOCK).touch(mode=0o600)
    with pytest.raises(QueueNotFound):
        Opened(create=False)


def test_other_settings_are_refused_and_nothing_stays_locked(opened: Opened) -> None:
    """ConfigMismatch leaves no share behind."""
    with pytest.raises(ConfigMismatch, match="capacity=100, not 200"):
        Opened(wishes=Wishes(capacity=200))
    assert opened.lock.shares == 1


def test_damage_is_told_while_nobody_removes(directory: Path) -> None:
    """A queue without its arena is CorruptQueue, again and again, and is not made anew."""
    _make()
    (directory / ARENA).unlink()
    for _ in range(2):
        with pytest.raises(CorruptQueue, match="arena"):
            Opened()


def test_a_queue_of_another_version_is_refused(directory: Path) -> None:
    """Nothing is made beside it."""
    _make()
    (directory / CONTROL).rename(directory / "ctl.v2")
    with pytest.raises(VersionMismatch, match=r"ctl\.v2"):
        Opened()
    assert not (directory / CONTROL).exists()


def test_an_unsafe_directory_is_refused(directory: Path) -> None:
    """The error passes through as it is."""
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(UnsafeDirectory):
        Opened()


def test_a_lock_file_that_is_none_is_an_error(directory: Path) -> None:
    """A link in place of the lock file is not followed."""
    directory.mkdir(mode=0o700)
    (directory / LOCK).symlink_to(directory / "elsewhere")
    with pytest.raises(StorageError, match="lock file"):
        Opened()


def test_a_creator_that_is_stopped_stalls_others_for_a_bounded_time(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever; when it is killed, the next one makes the queue."""
    directory.mkdir(mode=0o700)
    monkeypatch.setattr(module, "_PATIENCE", 0.02)

    def work(line: Line) -> None:
        line.say(open_lock_file(str(directory / LOCK)).try_exclusive(own=0))
        line.hear()

    with child(work) as process:
        assert process.hear() == "True"
        process.stop()
        with pytest.raises(QueueStalled, match="continue or kill"):
            Opened()
    _make()


# --- dying and being interrupted --------------------------------------------------------------------


def _deaths(victim: Callable[[], object], after: Callable[[], object]) -> int:
    """Kill ``victim()`` at each of its system calls in turn, and do ``after()`` each time."""

    def work(line: Line) -> None:
        number = int(line.hear())
        Trap(number, die).around(os, *CALLS).around(fcntl, "lockf").around(mmap, "mmap")
        victim()

    deaths = 0
    while True:
        with child(work) as process:
            process.say(deaths + 1)
            if process.join() == 0:
                return deaths
        deaths += 1
        after()


@pytest.mark.slow
def test_killed_at_any_call_of_opening_the_next_one_opens(directory: Path) -> None:
    """Whatever the dead creator left, there is a whole queue then, and gc leaves nothing."""

    def after() -> None:
        _make()
        assert gc() == [Removed(NAME, True, "nobody is attached")]
        assert not directory.exists()

    assert _deaths(Opened, after) >= 30


@pytest.mark.slow
def test_what_a_killed_creator_left_is_cleared_away(directory: Path) -> None:
    """Clearing removes it at once, without anybody opening it before."""

    def after() -> None:
        assert all(removed.removed for removed in gc())
        assert not directory.exists()

    assert _deaths(Opened, after) >= 30


@pytest.mark.slow
def test_killed_at_any_call_of_removing_the_next_one_opens(directory: Path) -> None:
    """Half a queue is no queue: it is made anew, never found damaged."""

    def victim() -> None:
        Opened().destroy()

    def after() -> None:
        opened = Opened()
        assert not opened.segment.words[CLOSED]
        opened.close()

    assert _deaths(victim, after) >= 30


@pytest.mark.slow
def test_what_a_killed_remover_left_is_cleared_away(directory: Path) -> None:
    """Clearing needs no force for a queue that was destroyed, unfinished tasks or not."""

    def victim() -> None:
        opened = Opened()
        opened.segment.words[opened.segment.geometry.state_at] = ST_PENDING
        opened.segment.words[CLOSED] = 1
        remove_queue(opened.segment.directory, opened.lock)

    def after() -> None:
        destroyed = not (directory / CONTROL).exists() or _is_closed(directory)
        gc(force=not destroyed)
        assert not directory.exists()

    assert _deaths(victim, after) >= 30


def _is_closed(directory: Path) -> bool:
    segment = Segment(str(directory))
    try:
        return bool(segment.words[CLOSED])
    finally:
        segment.close()


@pytest.mark.slow
def test_interrupted_after_any_call_of_opening_the_process_can_go_on(directory: Path) -> None:
    """Ctrl-C at any call leaves nothing locked that keeps this or another process from opening."""

    def work(line: Line) -> None:
        trap = Trap(int(line.hear()), interrupt, after=True).around(os, *CALLS).around(fcntl, "lockf")
        try:
            Opened().close()
            line.say("whole")
        except KeyboardInterrupt:
            line.say("interrupted")
        trap.remove()
        Opened().close()
        line.say(gc()[0].removed)
        line.hear()

    number = 1
    while True:
        with child(work) as process:
            process.say(number)
            outcome = process.hear()
            assert process.hear() == "True"
            _make()
            gc()
        if outcome == "whole":
            break
        number += 1
    assert number > 30


# --- destroying -----------------------------------------------------------------------------------


def test_a_queue_can_be_destroyed_while_others_are_attached(opened: Opened, directory: Path) -> None:
    """They keep their memory and see that it is closed; a new queue of the name is another one."""
    other = Opened()
    opened.destroy()
    assert not directory.exists()
    assert other.segment.words[CLOSED]
    assert not other.lock.is_current()
    new = Opened()
    assert new.lock is not other.lock
    assert not new.segment.words[CLOSED]
    other.destroy()
    assert new.lock.is_current()
    new.close()
    other.close()


def test_destroying_waits_for_who_destroys_already(
    opened: Opened, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, and for a bounded time."""
    monkeypatch.setattr(module, "_PATIENCE", 0.02)

    def work(line: Line) -> None:
        line.say(open_lock_file(str(directory / LOCK)).take(DESTROY))
        line.hear()

    with child(work) as process:
        assert process.hear() == "True"
        with pytest.raises(QueueStalled, match="removing"):
            opened.destroy()
    opened.destroy()
    assert not directory.exists()


def test_who_opens_a_destroyed_queue_finishes_its_removal(directory: Path) -> None:
    """Closed but not removed yet: the opener removes it, and makes or misses a new one."""
    for create in (True, False):
        opened = Opened()
        opened.segment.words[CLOSED] = 1
        if create:
            new = Opened()
            assert not new.segment.words[CLOSED]
            new.close()
        else:
            with pytest.raises(QueueNotFound):
                Opened(create=False)
            assert not directory.exists()
        opened.close()


def test_opening_during_a_removal_tries_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that vanish between two looks are no damage: the queue is gone, and is made anew."""
    _make()
    removals: list[str] = []

    def remove_first(path: str) -> Segment:
        if not removals:
            removals.append(path)
            (directory / CONTROL).unlink()
        return Segment(path)

    monkeypatch.setattr(module, "Segment", remove_first)
    opened = Opened()
    assert len(removals) == 1
    opened.close()


def test_a_directory_that_vanishes_is_made_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removed it between our making it and our looking."""
    tries: list[str] = []

    def vanish(queue: Queue, *, create: bool, base: str) -> str:
        path = queue_directory(queue, create=create, base=base)
        tries.append(path)
        if len(tries) == 1:
            os.rmdir(path)
        elif len(tries) == 2:
            raise QueueNotFound("removed")
        return path

    monkeypatch.setattr(module, "queue_directory", vanish)
    _make()
    assert len(tries) == 3


# --- clearing away --------------------------------------------------------------------------------


def test_gc_removes_what_nobody_needs(directory: Path) -> None:
    """A queue with nobody attached and nothing unfinished goes, with all its files."""
    _make()
    (directory / BLOBS / "pool.0").touch()
    (directory / BLOBS / "7.1.2").touch()
    assert gc() == [Removed(NAME, True, "nobody is attached")]
    assert not directory.exists()
    assert gc() == []


def test_gc_keeps_what_is_in_use(opened: Opened, directory: Path) -> None:
    """By this process or another, even with force."""
    assert gc() == gc(force=True) == [Removed(NAME, False, "in use")]

    def work(line: Line) -> None:
        line.say([removed.reason for removed in gc(force=True)])

    with child(work) as process:
        assert process.hear() == "['in use']"
    assert directory.exists()


@pytest.mark.parametrize("ephemeral", [False, True])
def test_gc_keeps_unfinished_tasks(ephemeral: bool, directory: Path) -> None:
    """Unless forced, or the queue was made to be thrown away."""
    opened = Opened(wishes=Wishes(capacity=10, arena_bytes=1, ephemeral=ephemeral))
    states = opened.segment.geometry.state_at
    opened.segment.words[states] = opened.segment.words[states + 3] = ST_PENDING
    opened.segment.words[states + 1] = ST_DONE
    opened.segment.words[states + 2] = ST_WRITING
    opened.close()
    (answer,) = gc()
    assert answer.removed is ephemeral
    if not ephemeral:
        assert answer.reason.startswith("2 unfinished tasks")
        assert gc(force=True)[0].removed
    assert not directory.exists()


def test_gc_keeps_damaged_queues_and_those_of_other_versions(directory: Path) -> None:
    """It says why; force removes them."""
    for name, reason in ((ARENA, "is missing"), (CONTROL, "another version")):
        _make()
        (directory / name).rename(directory / f"{name[:-1]}2")
        (answer,) = gc()
        assert not answer.removed
        assert reason in answer.reason
        assert gc(force=True)[0].removed
        assert not directory.exists()


def test_gc_leaves_alone_what_is_no_queue(private_directory: Path) -> None:
    """A directory or file of somebody's own is neither cleared nor changed, even with force."""
    photos = private_directory / "photos"
    (photos / BLOBS).mkdir(parents=True)
    photos.chmod(0o700)
    (photos / BLOBS / "5.1").touch()
    (photos / "a.jpg").touch()
    (private_directory / "notes").touch()
    for force in (False, True):
        assert [answer.removed for answer in gc(force=force)] == [False, False]
    assert sorted(os.listdir(photos)) == ["a.jpg", BLOBS]
    assert os.listdir(photos / BLOBS) == ["5.1"]


def test_gc_goes_on_after_a_queue_that_it_cannot_remove(private_directory: Path) -> None:
    """One error does not keep the others."""
    for name in ("a", "b"):
        segment, lock = open_queue(Queue(name), WISHES, create=True)
        segment.close()
        lock.release()
    (private_directory / "a" / ARENA).unlink()
    (private_directory / "a" / ARENA).mkdir()
    first, second = gc(force=True)
    assert not first.removed
    assert "cannot remove" in first.reason
    assert second.removed


def test_a_replaced_lock_file_is_not_ours_to_clear_under(directory: Path) -> None:
    """Who holds the lock of a queue that is gone removes nothing of the new one."""
    _make()
    lock: LockFile = open_lock_file(str(directory / LOCK))
    assert lock.try_exclusive(own=0)
    (directory / LOCK).unlink()
    new = Opened()
    assert not remove_queue(str(directory), lock)
    assert (directory / CONTROL).exists()
    lock.unexclusive()
    lock.release()
    new.close()
