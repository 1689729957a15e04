from __future__ import annotations

import fcntl
import gc
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcq.backends.memory import blobs as module
from ipcq.backends.memory.blobs import Blobs
from ipcq.backends.memory.connection import _POOL_FILES, _POOL_SHARE
from ipcq.errors import CorruptQueue, QueueClosed, QueueFull, StorageError

from .children import Line, Trap, child, die
from .test_segment import small_disk

__all__ = ["small_disk"]  # the fixture

KIB = 1 << 10
SIZE = 64 * KIB
OLD = b"o" * SIZE
NEW = b"n" * SIZE


@pytest.fixture
def place(private_directory: Path) -> Path:
    """A queue's directory of blobs."""
    (private_directory / "blob").mkdir(mode=0o700)
    return private_directory / "blob"


@pytest.fixture
def blobs(place: Path) -> Iterator[Blobs]:
    """Blobs with a pool of two files of up to 1.5 MiB, and two of up to 0.5 MiB."""
    blobs = Blobs(str(place.parent), 4 << 20)
    yield blobs
    blobs.close()


def _map(blobs: Blobs, slot: int, gen: int = 1, epoch: int = 0, length: int = SIZE) -> memoryview:
    view = blobs.map(slot, gen, epoch, length)
    assert view is not None
    return view


def _read(blobs: Blobs, slot: int, gen: int = 1, epoch: int = 0, length: int = SIZE) -> bytes:
    return bytes(_map(blobs, slot, gen, epoch, length))


# --- writing and reading --------------------------------------------------------------------------


def test_what_is_written_is_read(blobs: Blobs, place: Path) -> None:
    """Payload and result have files of their own, of exact length, for their owner only."""
    blobs.write(5, 1, 0, OLD)
    blobs.write(5, 1, 3, b"head", memoryview(NEW), b"")
    assert _read(blobs, 5) == OLD
    assert _read(blobs, 5, epoch=3, length=SIZE + 4) == b"head" + NEW
    assert sorted(os.listdir(place)) == ["5.1", "5.1.3"]
    assert blobs.files() == {(5, 1, 0), (5, 1, 3)}
    assert os.stat(place / "5.1").st_mode & 0o777 == 0o600
    assert os.stat(place / "5.1").st_size == SIZE


def test_a_view_is_read_only(blobs: Blobs) -> None:
    """A reader cannot change what others read."""
    blobs.write(5, 1, 0, OLD)
    assert _map(blobs, 5).readonly


def test_any_contiguous_buffer_can_be_written(blobs: Blobs) -> None:
    """Words, too, and nothing at all."""
    blobs.write(5, 1, 0, memoryview(bytearray(SIZE)).cast("Q"))
    assert _read(blobs, 5) == bytes(SIZE)
    blobs.write(6, 1, 0)
    assert _read(blobs, 6, length=0) == b""


def test_a_missing_file_is_gone(blobs: Blobs) -> None:
    """A task may be finished by somebody else between looking and mapping: None, not an error."""
    assert blobs.map(5, 1, 0, SIZE) is None


def test_a_wrong_length_is_damage(blobs: Blobs) -> None:
    """Mapping more than there is would be SIGBUS."""
    blobs.write(5, 1, 0, OLD)
    for length in (SIZE - 1, SIZE + 1, 1 << 60):
        with pytest.raises(CorruptQueue, match=r"5\.1 in .* has 65536 bytes"):
            blobs.map(5, 1, 0, length)


def test_a_stale_file_of_the_same_name_is_replaced(blobs: Blobs, place: Path) -> None:
    """A producer that was killed left it; a link in its place is not followed."""
    (place / "5.1").write_bytes(b"left by the dead" * 10000)
    blobs.write(5, 1, 0, OLD)
    assert _read(blobs, 5) == OLD
    (place / "6.1").symlink_to(place / "5.1")
    blobs.write(6, 1, 0, NEW)
    assert _read(blobs, 6) == NEW
    assert _read(blobs, 5) == OLD


def test_a_view_outlives_its_file_and_its_blobs(place: Path) -> None:
    """What a reader mapped stays as it is, whatever happens to the queue."""
    blobs = Blobs(str(place.parent), 0)
    blobs.write(5, 1, 0, OLD)
    view = _map(blobs, 5)
    blobs.retire(5, 1, 0)
    blobs.close()
    assert os.listdir(place) == []
    assert bytes(view) == OLD


def test_a_failed_write_leaves_no_file(blobs: Blobs, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error or Ctrl-C while copying removes what was written."""
    for error in (OSError(5, "Input/output error"), KeyboardInterrupt()):

        def fail(fd: int, data: object, error: BaseException = error) -> int:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            with pytest.raises((StorageError, KeyboardInterrupt)):
                blobs.write(5, 1, 0, OLD)
        assert os.listdir(place) == []


def test_few_descriptors_left_means_a_copy(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping holds a descriptor; who keeps thousands of results gets copies in the end."""
    blobs.write(5, 1, 0, OLD)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (4, 4))
    before = len(os.listdir("/proc/self/fd"))
    view = _map(blobs, 5)
    assert bytes(view) == OLD
    assert view.readonly
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_descriptor_left_is_an_error_with_advice(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the limit to raise."""
    blobs.write(5, 1, 0, OLD)

    def fail(*args: object, **options: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(StorageError, match="ulimit -n"):
            blobs.map(5, 1, 0, SIZE)


# --- the pool -------------------------------------------------------------------------------------


def test_a_retired_file_is_used_again(blobs: Blobs, place: Path) -> None:
    """The next writer of a similar size overwrites it in place: the same file, its pages warm."""
    blobs.write(5, 1, 0, OLD)
    inode = os.stat(place / "5.1").st_ino
    blobs.retire(5, 1, 0)
    assert os.listdir(place) == ["pool.0"]
    blobs.write(9, 4, 2, NEW[:-100])
    assert os.listdir(place) == ["9.4.2"]
    assert os.stat(place / "9.4.2").st_ino == inode
    assert _read(blobs, 9, 4, 2, SIZE - 100) == NEW[:-100]
    blobs.retire(9, 4, 2)
    blobs.write(9, 5, 0, OLD, NEW[:100])
    assert os.stat(place / "9.5").st_ino == inode
    assert _read(blobs, 9, 5, 0, SIZE + 100) == OLD + NEW[:100]


@pytest.mark.parametrize("size", [SIZE // 2 - 1, 2 * SIZE + 1])
def test_a_file_of_another_size_stays_in_the_pool(blobs: Blobs, place: Path, size: int) -> None:
    """More than twice too small or too large, it is not worth taking."""
    blobs.write(5, 1, 0, OLD)
    blobs.retire(5, 1, 0)
    blobs.write(9, 1, 0, bytes(size))
    assert sorted(os.listdir(place)) == ["9.1", "pool.0"]


def test_a_file_that_somebody_looks_at_is_not_overwritten(blobs: Blobs, place: Path) -> None:
    """A view keeps its bytes after the task is done; once it is collected the file is used again."""
    blobs.write(5, 1, 0, OLD)
    view = _map(blobs, 5)
    part = view[100:200]
    del view
    blobs.retire(5, 1, 0)
    blobs.write(9, 1, 0, NEW)
    assert bytes(part) == OLD[100:200]
    assert sorted(os.listdir(place)) == ["9.1", "pool.0"]
    inode = os.stat(place / "pool.0").st_ino
    del part
    gc.collect()
    blobs.write(9, 2, 0, NEW)
    assert os.stat(place / "9.2").st_ino == inode


def test_a_file_that_another_process_looks_at_is_not_overwritten(blobs: Blobs, place: Path) -> None:
    """Its death, even by SIGKILL, frees the file."""
    blobs.write(5, 1, 0, OLD)

    def work(line: Line) -> None:
        view = _map(Blobs(str(place.parent), 0), 5)
        line.say()
        line.hear()
        line.say(bytes(view) == OLD)
        line.hear()

    with child(work) as process:
        process.hear()
        blobs.retire(5, 1, 0)
        blobs.write(9, 1, 0, NEW)
        process.say()
        assert process.hear() == "True"
        inode = os.stat(place / "pool.0").st_ino
    blobs.write(9, 2, 0, NEW)
    assert os.stat(place / "9.2").st_ino == inode


def test_a_forked_child_keeps_its_parents_view(blobs: Blobs, place: Path) -> None:
    """The mapping and its lock are inherited: the parent's letting go does not free the file."""
    blobs.write(5, 1, 0, OLD)
    views = [_map(blobs, 5)]

    def work(line: Line) -> None:
        line.say()
        line.hear()
        line.say(bytes(views[0]) == OLD)

    with child(work) as process:
        process.hear()
        views.clear()
        blobs.retire(5, 1, 0)
        blobs.write(9, 1, 0, NEW)
        process.say()
        assert process.hear() == "True"


def test_a_reader_between_opening_and_locking_finds_the_file_gone(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was retired and overwritten meanwhile: the reader gets None, never other bytes."""
    blobs.write(5, 1, 0, OLD)
    real = fcntl.flock

    def late(fd: int, kind: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        blobs.retire(5, 1, 0)
        blobs.write(9, 1, 0, NEW)
        real(fd, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    assert blobs.map(5, 1, 0, SIZE) is None
    assert _read(blobs, 9) == NEW


def test_a_reader_is_kept_out_for_a_moment_only(
    blobs: Blobs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lost its task may lock what was its file before it looks whose it is: nothing is lost by that."""
    blobs.write(5, 1, 0, OLD)
    late = os.open(place / "5.1", os.O_RDWR)
    fcntl.flock(late, fcntl.LOCK_EX)
    monkeypatch.setattr(time, "sleep", lambda seconds: os.close(late))
    assert _read(blobs, 5) == OLD


def test_a_file_that_is_still_written_is_not_taken(
    blobs: Blobs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lost its task may go on writing its result into a retired file: nobody has that."""
    real = os.write

    def slow(fd: int, data: memoryview) -> int:
        monkeypatch.setattr(os, "write", real)
        blobs.retire(5, 1, 7)
        blobs.write(9, 1, 0, NEW)
        return real(fd, data)

    monkeypatch.setattr(os, "write", slow)
    blobs.write(5, 1, 7, OLD)
    assert _read(blobs, 9) == NEW
    assert sorted(os.listdir(place)) == ["9.1", "pool.0"]


def test_a_file_lost_before_it_is_locked_is_made_again(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file that was retired and taken at once is another's: the writer makes its own."""
    real = fcntl.flock

    def late(fd: int, kind: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        blobs.retire(5, 1, 0)
        blobs.write(9, 1, 0)
        real(fd, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    blobs.write(5, 1, 0, OLD)
    assert _read(blobs, 9, length=0) == b""
    assert _read(blobs, 5) == OLD


def test_a_file_replaced_before_it_is_locked_is_made_again(
    blobs: Blobs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is open is no use when the name leads to another file by then."""
    real = fcntl.flock

    def late(fd: int, kind: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        (place / "5.1").rename(place / "elsewhere")
        (place / "5.1").touch()
        real(fd, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    blobs.write(5, 1, 0, OLD)
    assert _read(blobs, 5) == OLD


def test_a_writers_lock_does_not_live_on_in_forked_children(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child forked by another thread while a file is written keeps no reader out of it."""
    real = os.write

    def write(fd: int, data: memoryview) -> int:
        inherited.append(os.dup(fd))  # the same open file, as a forked child has it
        return real(fd, data)

    inherited: list[int] = []
    monkeypatch.setattr(os, "write", write)
    blobs.write(5, 1, 0, OLD)
    assert _read(blobs, 5) == OLD
    for fd in inherited:
        os.close(fd)


def test_the_pool_is_bounded_in_number(blobs: Blobs, place: Path) -> None:
    """A full pool takes a retired file for another one, so that it follows what is needed now."""
    for slot in range(9):
        blobs.write(slot, 1, 0, bytes([slot]) * SIZE)
    for slot in range(9):
        blobs.retire(slot, 1, 0)
    assert sorted(os.listdir(place)) == [f"pool.{n}" for n in range(4)]
    assert (place / "pool.0").read_bytes()[0] > 3


def test_the_pool_is_bounded_in_bytes(place: Path) -> None:
    """A file over three eighths of it is removed, and so is every one where there is no pool."""
    for pool_bytes, pool_files in ((8 * SIZE // 3 - 3, 4), (0, 4), (SIZE, 0)):
        blobs = Blobs(str(place.parent), pool_bytes, pool_files)
        blobs.write(5, 1, 0, OLD)
        blobs.retire(5, 1, 0)
        assert os.listdir(place) == []
        blobs.close()


def test_a_pool_on_a_file_system_of_three_gib_takes_64_mib(place: Path) -> None:
    """Two such files: one is read while the next is written."""
    blob_bytes = 3 << 29  # by default
    blobs = Blobs(str(place.parent), blob_bytes // _POOL_SHARE, _POOL_FILES)
    for slot in range(2):
        (place / f"{slot}.1").touch()
        os.truncate(place / f"{slot}.1", 64 << 20)
        blobs.retire(slot, 1, 0)
    assert len([name for name in os.listdir(place) if "pool" in name]) == 2
    blobs.close()


def test_two_places_in_the_pool_are_for_large_files(place: Path) -> None:
    """Small ones leave them free while they can; together they never have more bytes than the pool may."""
    blobs = Blobs(str(place.parent), 8 * SIZE)
    sizes = [1, 1, 3, 3, 1, 3, 2]
    for slot, size in enumerate(sizes):
        blobs.write(slot, 1, 0, bytes(size * SIZE))
    for slot, size in enumerate(sizes):
        blobs.retire(slot, 1, 0)
        there = sorted(os.stat(place / name).st_size // SIZE for name in os.listdir(place) if "pool" in name)
        assert size in there
        assert sum(there) <= 8
        if slot == 3:
            assert there == [1, 1, 3, 3]
    assert len(there) == 4
    blobs.close()


def test_removing_does_not_lock_what_has_another_name_by_now(
    blobs: Blobs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retired file that is taken while it is removed is another task's: its readers find it free."""
    blobs.write(5, 1, 0, OLD)
    blobs.retire(5, 1, 0)
    locked: list[int] = []
    real_unlink, real_flock = os.unlink, fcntl.flock

    def late(name: str, *, dir_fd: int) -> None:
        monkeypatch.setattr(os, "unlink", real_unlink)
        blobs.write(9, 1, 0, NEW)
        monkeypatch.setattr(fcntl, "flock", lock)
        real_unlink(name, dir_fd=dir_fd)

    def lock(fd: int, kind: int) -> None:
        locked.append(fd)
        real_flock(fd, kind)

    monkeypatch.setattr(os, "unlink", late)
    assert blobs.empty_pool() == 0
    assert locked == []
    assert _read(blobs, 9) == NEW


def test_retiring_what_is_not_there_is_fine(blobs: Blobs) -> None:
    """A sweep may have been quicker."""
    blobs.retire(5, 1, 0)


# --- space ----------------------------------------------------------------------------------------


def test_a_full_file_system_is_an_error_and_no_signal(small_disk: Path) -> None:
    """QueueFull says what to do, and leaves no file."""
    (small_disk / "blob").mkdir()
    blobs = Blobs(str(small_disk), 4 << 20)
    with pytest.raises(QueueFull, match=r"exhausted.*--shm-size"):
        blobs.write(5, 1, 0, bytes(2 << 20))
    assert os.listdir(small_disk / "blob") == []
    blobs.write(5, 1, 0, OLD)
    blobs.close()


def test_the_pool_gives_way_when_space_is_short(small_disk: Path) -> None:
    """Retired files are the first to go."""
    (small_disk / "blob").mkdir()
    blobs = Blobs(str(small_disk), 4 << 20)
    blobs.write(5, 1, 0, bytes(800 * KIB))
    blobs.retire(5, 1, 0)
    blobs.write(6, 1, 0, bytes(300 * KIB))
    assert os.listdir(small_disk / "blob") == ["6.1"]
    blobs.close()


# --- clearing away --------------------------------------------------------------------------------


def test_a_sweep_removes_what_belongs_to_no_task(blobs: Blobs, place: Path) -> None:
    """Live files stay, whole or not; foreign ones too; too much in the pool goes."""
    for name in ("1.1", "1.1.2", "2.1", "2.1.2", "pool.0", "pool.4", "pool.01", "readme", "1.1.0"):
        (place / name).touch()
    os.truncate(place / "2.1", 100)
    (place / "pool.1").write_bytes(bytes(1 + (2 << 20)))
    live = {(1, 1, 2), (2, 1, 0)}
    assert blobs.sweep(lambda *parts: parts in live) == 5
    assert sorted(os.listdir(place)) == ["1.1.0", "1.1.2", "2.1", "pool.0", "readme"]


def test_a_writer_killed_at_any_call_leaves_only_what_a_sweep_finds(blobs: Blobs, place: Path) -> None:
    """Nobody else's file is touched, readers keep their bytes, and after a sweep all is in order."""

    def work(line: Line) -> None:
        number = int(line.hear())
        own = Blobs(str(place.parent), 4 << 20)
        Trap(number, die).around(
            os, "open", "rename", "stat", "ftruncate", "posix_fallocate", "write"
        ).around(os, "close", "unlink").around(fcntl, "flock")
        own.write(9, 1, 0, NEW)
        own.retire(9, 1, 0)

    deaths = 0
    while True:
        blobs.empty_pool()
        blobs.write(1, 1, 0, OLD)
        blobs.write(2, 1, 0, OLD)
        seen = _map(blobs, 2)
        blobs.retire(2, 1, 0)
        blobs.write(3, 1, 0, bytes(SIZE))
        blobs.retire(3, 1, 0)
        with child(work) as process:
            process.say(deaths + 1)
            if process.join() == 0:
                break
        deaths += 1
        blobs.sweep(lambda slot, gen, epoch: slot == 1)
        assert blobs.files() == {(1, 1, 0)}
        assert bytes(seen) == _read(blobs, 1) == OLD
        blobs.write(9, 2, 0, NEW)
        assert _read(blobs, 9, 2) == NEW
        blobs.retire(9, 2, 0)
        del seen
    assert deaths >= 15


# --- a queue that is gone -------------------------------------------------------------------------


def test_a_destroyed_queue_is_closed(blobs: Blobs, place: Path) -> None:
    """Its blobs cannot be written; the rest does nothing."""
    place.rmdir()
    with pytest.raises(QueueClosed, match="destroyed"):
        blobs.write(5, 1, 0, OLD)
    assert blobs.map(5, 1, 0, SIZE) is None
    blobs.retire(5, 1, 0)
    assert blobs.sweep(lambda *parts: False) == 0
    with pytest.raises(QueueClosed, match="destroyed"):
        Blobs(str(place.parent), 0)


def test_a_new_queue_of_the_same_name_is_not_touched(blobs: Blobs, place: Path) -> None:
    """A process that does not know yet that its queue was destroyed keeps to the old directory."""
    place.rmdir()
    place.mkdir()
    (place / "5.1").write_bytes(b"the new queue's")
    with pytest.raises(QueueClosed):
        blobs.write(5, 1, 0, OLD)
    blobs.retire(5, 1, 0)
    assert (place / "5.1").read_bytes() == b"the new queue's"


def test_a_closed_handle_is_refused(blobs: Blobs) -> None:
    """After `close` only retiring is ignored; it shows in the repr."""
    blobs.close()
    assert "closed" in repr(blobs)
    blobs.retire(5, 1, 0)
    with pytest.raises(QueueClosed, match="closed"):
        blobs.write(5, 1, 0, OLD)
    with pytest.raises(QueueClosed, match="closed"):
        blobs.map(5, 1, 0, SIZE)


def test_a_directory_that_is_none_is_an_error(place: Path) -> None:
    """A link in place of the directory is not followed."""
    place.rename(place.parent / "elsewhere")
    place.symlink_to(place.parent / "elsewhere")
    with pytest.raises(StorageError, match="cannot open"):
        Blobs(str(place.parent), 0)


def test_who_keeps_removing_is_told(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer gives up after some tries instead of going round for ever."""

    def lose(here: object, name: str, fd: int, kind: int) -> bool:
        os.close(fd)
        return False

    monkeypatch.setattr(module, "_is_locked", lose)
    with pytest.raises(StorageError, match="keeps removing"):
        blobs.write(5, 1, 0, OLD)
