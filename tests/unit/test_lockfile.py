from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipcq.backends.lockfile import ATTACH, PARTICIPANT, LockFile, open_lock_file
from ipcq.errors import StorageError

from .memory.children import Line, child, elsewhere

BYTE = PARTICIPANT + 3


@pytest.fixture
def path(private_directory: Path) -> str:
    """Where a lock file may be made."""
    return str(private_directory / "lock")


@pytest.fixture
def lock(path: str) -> Iterator[LockFile]:
    """An open lock file."""
    lock = open_lock_file(path)
    yield lock
    lock.release()


def _taking(path: str, byte: int) -> Callable[[Line], None]:
    def work(line: Line) -> None:
        line.say(open_lock_file(path).take(byte))
        line.hear()

    return work


def _is_held_for_others(path: str, byte: int) -> bool:
    return elsewhere(lambda: open_lock_file(path).is_held(byte)) == "True"


def _open_and_close(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))


def test_a_byte_belongs_to_one_process_until_it_dies(lock: LockFile) -> None:
    """A byte that a live process has cannot be taken; SIGKILL releases it."""
    with child(_taking(lock.path, BYTE)) as process:
        assert process.hear() == "True"
        assert lock.is_held(BYTE)
        assert lock.holder(BYTE) == process.pid
        assert not lock.take(BYTE)
        process.kill()
        assert not lock.is_held(BYTE)
        assert lock.holder(BYTE) == 0
        assert lock.take(BYTE)


def test_a_stopped_process_keeps_its_byte(lock: LockFile) -> None:
    """Being stopped is not being dead."""
    with child(_taking(lock.path, BYTE)) as process:
        process.hear()
        process.stop()
        assert lock.is_held(BYTE)


def test_a_byte_is_taken_once_in_a_process(lock: LockFile) -> None:
    """What the kernel would allow, two handles of one process may not have."""
    assert lock.take(BYTE)
    assert not lock.take(BYTE)
    assert lock.is_held(BYTE)
    lock.drop(BYTE)
    assert lock.take(BYTE)


def test_closing_another_handle_keeps_the_locks(lock: LockFile) -> None:
    """All handles of a process share one open file, since closing any would drop every lock."""
    lock.take(BYTE)
    other = open_lock_file(lock.path)
    assert other is lock
    other.release()
    assert _is_held_for_others(lock.path, BYTE)


def test_the_last_handle_drops_the_locks(path: str) -> None:
    """When a process has closed all its handles, nothing is locked."""
    lock = open_lock_file(path)
    lock.take(BYTE)
    assert lock.share()
    lock.release()
    assert not _is_held_for_others(path, BYTE)
    assert lock.fd == -1


def test_foreign_code_loses_the_locks_and_they_are_taken_again(lock: LockFile) -> None:
    """After somebody opened and closed the file in this process, `reassert` restores everything."""
    lock.take(BYTE)
    lock.share()
    _open_and_close(lock.path)
    assert not _is_held_for_others(lock.path, BYTE)
    assert lock.reassert() == set()
    assert _is_held_for_others(lock.path, BYTE)
    assert _is_held_for_others(lock.path, ATTACH)


def test_reassert_tells_what_somebody_else_has_by_now(lock: LockFile) -> None:
    """A byte that was lost and taken by another process is not ours any more."""
    lock.take(BYTE)
    lock.take(BYTE + 1)
    _open_and_close(lock.path)
    with child(_taking(lock.path, BYTE)) as process:
        assert process.hear() == "True"
        assert lock.reassert() == {BYTE}
    assert lock.held == {BYTE + 1}


def test_reassert_tells_when_the_queue_is_being_removed(lock: LockFile) -> None:
    """Byte 0 was lost, and somebody has it alone."""
    lock.share()
    _open_and_close(lock.path)

    def work(line: Line) -> None:
        line.say(open_lock_file(lock.path).try_exclusive(own=0))
        line.hear()

    with child(work) as process:
        assert process.hear() == "True"
        assert lock.reassert() == {ATTACH}


# --- byte 0 ---------------------------------------------------------------------------------------


def test_who_creates_is_alone(lock: LockFile) -> None:
    """Byte 0 is had alone only while no other process is attached."""

    def work(line: Line) -> None:
        own = open_lock_file(lock.path)
        line.say(own.share())
        line.hear()
        own.unshare()
        line.say()
        line.hear()
        line.say(own.share())

    assert lock.share()
    with child(work) as process:
        assert process.hear() == "True"
        assert not lock.try_exclusive()
        process.say()
        process.hear()
        assert lock.try_exclusive()
        process.say()
        assert process.hear() == "False"


def test_after_being_alone_the_share_is_back(lock: LockFile) -> None:
    """`unexclusive` leaves the process attached when it was before, and with nothing else."""
    lock.share()
    lock.try_exclusive()
    lock.unexclusive()
    assert elsewhere(lambda: open_lock_file(lock.path).share()) == "True"
    assert elsewhere(lambda: open_lock_file(lock.path).try_exclusive(own=0)) == "False"
    lock.unshare()
    assert elsewhere(lambda: open_lock_file(lock.path).try_exclusive(own=0)) == "True"


def test_a_thread_that_is_alone_excludes_its_own_process(lock: LockFile) -> None:
    """The kernel gives a process what it has; threads of it must not share while one creates."""
    assert lock.try_exclusive(own=0)
    assert not lock.share()
    assert not lock.try_exclusive(own=0)
    assert elsewhere(lambda: open_lock_file(lock.path).share()) == "False"
    lock.unexclusive()
    assert lock.share()


def test_a_share_that_is_not_the_callers_counts(lock: LockFile) -> None:
    """Who is not attached itself is not alone while another handle of the process is."""
    lock.share()
    assert not lock.try_exclusive(own=0)
    assert lock.try_exclusive(own=1)
    lock.unexclusive()
    lock.share()
    assert not lock.try_exclusive(own=1)


# --- fork -----------------------------------------------------------------------------------------


def test_a_forked_child_has_none_of_the_locks(lock: LockFile) -> None:
    """It opens the file anew, sees the parent's locks as another's, and takes nothing away."""
    lock.take(BYTE)
    lock.share()

    def work(line: Line) -> None:
        assert lock.fd == -1
        assert not lock.held
        lock.drop(BYTE)
        lock.unshare()
        lock.release()
        own = open_lock_file(lock.path)
        assert own is not lock
        assert own.is_held(BYTE)
        assert not own.take(BYTE)
        own.release()

    with child(work) as process:
        assert process.join() == 0
    assert _is_held_for_others(lock.path, BYTE)
    assert elsewhere(lambda: open_lock_file(lock.path).try_exclusive(own=0)) == "False"


def test_a_fork_beside_a_busy_thread_leaves_no_mutex_taken(lock: LockFile) -> None:
    """The thread that had the mutex does not exist in the child: there it is free."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.mutex:
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        assert elsewhere(lambda: lock.mutex.acquire(blocking=False)) == "True"
    finally:
        done.set()
        thread.join()


# --- files ----------------------------------------------------------------------------------------


def test_the_file_is_closed_only_outside_of_critical_sections(path: str) -> None:
    """Closing drops the locks of all threads, so it waits for the mutex."""
    lock = open_lock_file(path)
    seen = []

    class Recorder:
        def __enter__(self) -> None:
            seen.append(lock.fd >= 0)

        def __exit__(self, *error: object) -> None:
            seen.append(lock.fd >= 0)

    lock.mutex = Recorder()  # type: ignore[assignment]
    lock.release()
    assert seen == [True, False]


def test_a_replaced_file_is_noticed(lock: LockFile) -> None:
    """A lock file is current while its path leads to it."""
    assert lock.is_current()
    os.rename(lock.path, lock.path + ".old")
    assert not lock.is_current()
    other = open_lock_file(lock.path)
    assert other is not lock
    assert other.is_current()
    assert not lock.is_current()
    other.release()
    assert not other.is_current()


def test_a_closed_handle_locks_nothing(path: str) -> None:
    """Using it is an error with advice; asking it is answered on the safe side."""
    lock = open_lock_file(path)
    lock.take(BYTE + 1)
    lock.release()
    with pytest.raises(StorageError, match="was closed"):
        lock.take(BYTE)
    assert lock.reassert() == set()
    assert lock.is_held(BYTE)
    assert lock.holder(BYTE) == 0
    lock.drop(BYTE)


def test_a_symbolic_link_is_not_followed(private_directory: Path, path: str) -> None:
    """Nobody can have us lock another file."""
    (private_directory / "other").touch()
    os.symlink(private_directory / "other", path)
    with pytest.raises(OSError, match="symbolic"):
        open_lock_file(path)


def test_a_missing_file_is_made_only_if_asked(path: str) -> None:
    """With ``create=False`` it stays missing; the file is for its owner only."""
    with pytest.raises(FileNotFoundError):
        open_lock_file(path, create=False)
    lock = open_lock_file(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    lock.release()
