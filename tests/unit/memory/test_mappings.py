"""What is mapped for the next task that gets the same file, and that nobody sees another's bytes by it."""

from __future__ import annotations

import errno
import fcntl
import gc
import mmap
import os
import resource
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from ipcq.backends.memory.blobs import Blobs
from ipcq.backends.memory.mappings import Mapping
from ipcq.backends.memory.segment import Descriptor

from .children import Line, Trap, child, die, interrupt
from .test_blobs import KIB, NEW, OLD, SIZE, _map, _read, blobs, place
from .test_segment import small_disk

__all__ = ["blobs", "place", "small_disk"]  # fixtures

POOL = 4 << 20


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each mapping that is made to be kept, in order."""
    made: list[int] = []
    real = Mapping.__init__

    def make(self: Mapping, file: Descriptor, length: int, *, populate: bool) -> None:
        real(self, file, length, populate=populate)
        made.append(length)

    monkeypatch.setattr(Mapping, "__init__", make)
    return made


@pytest.fixture
def other(place: Path) -> Iterator[Blobs]:
    """Another handle on the same files, as another process has it."""
    other = Blobs(str(place.parent), POOL)
    yield other
    other.close()


def _inode(place: Path, name: str) -> int:
    return os.stat(place / name).st_ino


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- reuse ----------------------------------------------------------------------------------------


def test_a_file_that_comes_back_is_not_mapped_again(blobs: Blobs, other: Blobs, mapped: list[int]) -> None:
    """One mapping of the reader and one of the writer do for all tasks that get the file."""
    for n in range(20):
        blobs.write(n, 1, 0, bytes([n]) * SIZE)
        assert _read(other, n) == bytes([n]) * SIZE
        blobs.retire(n, 1, 0)
    assert mapped == [SIZE, SIZE]


def test_a_handle_reads_and_writes_through_one_mapping(blobs: Blobs, mapped: list[int]) -> None:
    """Written by whom it was read before, or the other way round."""
    for n in range(5):
        blobs.write(n, 1, 0, bytes([n]) * SIZE)
        assert _read(blobs, n) == bytes([n]) * SIZE
        blobs.retire(n, 1, 0)
    assert mapped == [SIZE]


def test_a_file_that_is_not_mapped_is_taken_last(blobs: Blobs, other: Blobs, place: Path) -> None:
    """Of several that fit, a writer prefers the one whose pages it has."""
    blobs.write(1, 1, 0, OLD)
    blobs.write(2, 1, 0, OLD)
    known = _inode(place, "2.1")
    _read(other, 2)
    blobs.retire(1, 1, 0)
    blobs.retire(2, 1, 0)
    other.write(3, 1, 0, NEW)
    assert _inode(place, "3.1") == known


@pytest.mark.parametrize("length", [SIZE // 2, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE])
def test_a_file_of_another_length_is_seen_to_its_end(blobs: Blobs, other: Blobs, length: int) -> None:
    """Shorter or longer than it was when it was mapped, and as it was again."""
    for n, size in enumerate((SIZE, SIZE, length, SIZE, length)):
        blobs.write(n, 1, 0, bytes([n + 1]) * (size - 100), b"z" * 100)
        for reader in (blobs, other):
            view = _map(reader, n, length=size)
            assert len(view) == size
            assert bytes(view) == bytes([n + 1]) * (size - 100) + b"z" * 100
            del view
        blobs.retire(n, 1, 0)


def test_a_new_file_is_not_mapped_to_write_it(blobs: Blobs, mapped: list[int]) -> None:
    """That pays once it comes back."""
    for n in range(20):
        blobs.write(n, 1, 0, OLD)
    assert mapped == []


def test_what_the_pool_does_not_take_is_not_kept(blobs: Blobs, mapped: list[int]) -> None:
    """It never comes back."""
    size = POOL * 3 // 8 + 1
    blobs.write(1, 1, 0, bytes(size))
    before = _descriptors()
    view = _map(blobs, 1, length=size)
    assert len(view) == size
    del view
    assert mapped == []
    assert _descriptors() == before


def test_several_parts_of_many_bytes(place: Path, mapped: list[int]) -> None:
    """They are copied piece by piece, to where they belong."""
    blobs = Blobs(str(place.parent), 1 << 26)
    parts = (b"a" * 5, b"b" * ((4 << 20) + 1), b"c" * ((8 << 20) - 1), b"d")
    whole = b"".join(parts)
    for n in range(3):
        blobs.write(n, 1, 0, *parts)
        assert _read(blobs, n, length=len(whole)) == whole
        blobs.retire(n, 1, 0)
    assert mapped == [len(whole)]
    blobs.close()


# --- nobody overwrites what somebody looks at -----------------------------------------------------


def _worn(blobs: Blobs, *others: Blobs) -> None:
    """Put a file into the pool that all of these have mapped."""
    for n in range(2):
        blobs.write(100 + n, 1, 0, bytes(SIZE))
        for each in (blobs, *others):
            _read(each, 100 + n)
        blobs.retire(100 + n, 1, 0)


def test_a_view_through_a_kept_mapping_is_read_only(blobs: Blobs) -> None:
    """As is everything that is made of it."""
    _worn(blobs)
    blobs.write(5, 1, 0, OLD)
    view = _map(blobs, 5)
    assert view.format == "B"
    assert view.readonly
    assert view[5:].readonly
    assert view.cast("Q").readonly
    with pytest.raises(TypeError):
        view[0] = 1


def test_a_view_keeps_the_file_until_nothing_of_it_lives(blobs: Blobs, place: Path) -> None:
    """A part of it is enough; and the moment the last one is gone, the file is free."""
    _worn(blobs)
    blobs.write(5, 1, 0, OLD)
    inode = _inode(place, "5.1")
    view = _map(blobs, 5)
    part = view[100:200].cast("H")
    del view
    blobs.retire(5, 1, 0)
    blobs.write(9, 1, 0, NEW)
    assert _inode(place, "9.1") != inode
    assert part.tobytes() == OLD[100:200]
    part.release()
    del part
    blobs.write(9, 2, 0, NEW)
    assert _inode(place, "9.2") == inode


def test_two_readers_of_one_file(blobs: Blobs, other: Blobs, place: Path) -> None:
    """Each has a lock of its own, though they use one mapping: the last one frees the file."""
    _worn(blobs, other)
    blobs.write(5, 1, 0, OLD)
    inode = _inode(place, "5.1")
    views = [_map(blobs, 5), _map(blobs, 5), _map(other, 5)]
    blobs.retire(5, 1, 0)
    for n in count(1):
        blobs.write(9, n, 0, NEW)
        if not views:
            break
        assert _inode(place, f"9.{n}") != inode
        assert all(bytes(view) == OLD for view in views)
        views.pop(0)
    assert _inode(place, f"9.{n}") == inode


def test_a_view_that_is_kept_for_long(blobs: Blobs, other: Blobs) -> None:
    """A hundred tasks later it shows what it showed, though mappings, pool and handle are gone since."""
    _worn(blobs, other)
    blobs.write(5, 1, 0, OLD)
    view = _map(other, 5)
    blobs.retire(5, 1, 0)
    for n in range(100):
        blobs.write(n, 2, 0, NEW)
        assert _read(other, n, 2) == NEW
        blobs.retire(n, 2, 0)
    assert bytes(view) == OLD
    blobs.empty_pool()
    other.close()
    assert bytes(view) == OLD


def test_a_view_in_a_cycle_that_is_given_new_life(blobs: Blobs, place: Path) -> None:
    """A finalizer may look at the view, and keep it: the file is its own all the while."""

    class Knot:
        def __init__(self, view: memoryview) -> None:
            self.view = view
            self.me = self

        def __del__(self) -> None:
            saved.append(self.view)

    saved: list[memoryview] = []
    _worn(blobs)
    blobs.write(5, 1, 0, OLD)
    inode = _inode(place, "5.1")
    Knot(_map(blobs, 5))
    gc.collect()
    blobs.retire(5, 1, 0)
    blobs.write(9, 1, 0, NEW)
    assert _inode(place, "9.1") != inode
    assert bytes(saved.pop()) == OLD
    blobs.write(9, 2, 0, NEW)
    assert _inode(place, "9.2") == inode


def test_a_forked_child_keeps_its_parents_view_of_a_kept_mapping(blobs: Blobs, place: Path) -> None:
    """The parent's letting go does not free the file, nor does the child's closing what it has."""
    _worn(blobs)
    blobs.write(5, 1, 0, OLD)
    inode = _inode(place, "5.1")
    views = [_map(blobs, 5)]

    def work(line: Line) -> None:
        blobs.close()
        line.say()
        line.hear()
        line.say(bytes(views[0]) == OLD)
        line.hear()

    with child(work) as process:
        process.hear()
        views.clear()
        blobs.retire(5, 1, 0)
        blobs.write(9, 1, 0, NEW)
        assert _inode(place, "9.1") != inode
        process.say()
        assert process.hear() == "True"
    blobs.write(9, 2, 0, NEW)
    assert _inode(place, "9.2") == inode


def test_a_child_that_has_mappings_only_keeps_no_file(blobs: Blobs, place: Path) -> None:
    """What is kept for later has no lock that could be inherited."""
    _worn(blobs)
    blobs.write(5, 1, 0, OLD)
    inode = _inode(place, "5.1")
    blobs.retire(5, 1, 0)

    def work(line: Line) -> None:
        line.say()
        line.hear()

    with child(work) as process:
        process.hear()
        blobs.write(9, 1, 0, NEW)
        assert _inode(place, "9.1") == inode


def test_threads_share_a_handle(blobs: Blobs) -> None:
    """Each reads what it wrote, while files go round among them."""
    wrong = []

    def work(thread: int) -> None:
        for n in range(60):
            data = bytes([thread, n]) * (SIZE // 2 - (n % 3) * 700)
            blobs.write(thread, n, 0, data)
            view = _map(blobs, thread, n, length=len(data))
            blobs.retire(thread, n, 0)
            if bytes(view) != data:
                wrong.append((thread, n))
            del view

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- memory ---------------------------------------------------------------------------------------


def _free(path: Path) -> int:
    space = os.statvfs(path)
    return space.f_bfree * space.f_frsize


def test_what_others_keep_does_not_hold_the_memory_of_removed_files(small_disk: Path) -> None:
    """The pool gives way to a payload that needs the space, whoever has mapped its files."""
    (small_disk / "blob").mkdir()
    one, two = Blobs(str(small_disk), POOL), Blobs(str(small_disk), POOL)
    _worn(one, two)
    one.write(5, 1, 0, bytes(700 * KIB))
    _read(two, 5, length=700 * KIB)
    one.retire(5, 1, 0)
    one.write(6, 1, 0, bytes(340 * KIB))
    assert os.listdir(small_disk / "blob") == ["6.1"]
    one.retire(6, 1, 0)
    one.empty_pool()
    assert _free(small_disk) > 1020 * KIB
    one.close()
    two.close()


def test_a_removed_file_is_let_go_of_at_the_next_use(small_disk: Path) -> None:
    """Somebody looked at it when it was removed, so it could not be emptied."""
    (small_disk / "blob").mkdir()
    one, two = Blobs(str(small_disk), POOL), Blobs(str(small_disk), POOL)
    one.write(5, 1, 0, bytes(600 * KIB))
    view = _map(two, 5, length=600 * KIB)
    one.retire(5, 1, 0)
    one.empty_pool()
    assert bytes(view) == bytes(600 * KIB)
    del view
    assert _free(small_disk) < 500 * KIB
    one.write(6, 1, 0, OLD)
    assert _read(two, 6) == OLD
    assert _free(small_disk) > 900 * KIB
    one.close()
    two.close()


def test_a_full_file_system_is_no_signal_where_a_file_has_a_hole(small_disk: Path) -> None:
    """Memory is allocated before it is written through a mapping, whatever was in the pool."""
    (small_disk / "blob").mkdir()
    blobs = Blobs(str(small_disk), POOL)
    blobs.write(5, 1, 0, bytes(700 * KIB))
    os.truncate(small_disk / "blob" / "5.1", 800 * KIB)
    os.truncate(small_disk / "blob" / "5.1", 100 * KIB)
    os.truncate(small_disk / "blob" / "5.1", 800 * KIB)
    view = _map(blobs, 5, length=800 * KIB)
    del view
    blobs.retire(5, 1, 0)
    (small_disk / "ballast").write_bytes(bytes(500 * KIB))
    blobs.write(6, 1, 0, bytes(450 * KIB))  # after the pool was given up
    assert os.listdir(small_disk / "blob") == ["6.1"]
    blobs.close()


def test_only_so_many_are_kept(blobs: Blobs, place: Path, mapped: list[int]) -> None:
    """Neither more files than twice the pool's, nor more bytes; what is over is mapped to be seen once."""
    before = _descriptors()
    for n in range(25):
        blobs.write(n, 1, 0, OLD)
        assert _read(blobs, n) == OLD
    assert len(mapped) == 8
    assert _descriptors() <= before + 16
    blobs.empty_pool()
    assert _descriptors() == before
    for n in range(5):
        blobs.write(n, 2, 0, bytes(1 << 20))
        assert _read(blobs, n, 2, length=1 << 20) == bytes(1 << 20)
    assert len(mapped) == 8 + 4
    blobs.close()
    assert _descriptors() < before  # the directory's, too


def test_what_was_not_used_for_long_gives_way(blobs: Blobs, mapped: list[int]) -> None:
    """Files that stay under their names do not keep out for ever those that come back."""
    for n in range(8):
        blobs.write(n, 1, 0, OLD)
        _read(blobs, n)
    for n in range(100):
        blobs.write(9, n, 0, NEW)
        assert _read(blobs, 9, n) == NEW
        blobs.retire(9, n, 0)
    assert len(mapped) == 9


def test_few_descriptors_left_means_no_mapping(
    blobs: Blobs, mapped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and writing do without."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (4, 4))
    before = _descriptors()
    for n in range(3):
        blobs.write(n, 1, 0, OLD)
        assert _read(blobs, n) == OLD
        blobs.retire(n, 1, 0)
    assert mapped == []
    assert _descriptors() == before


def test_what_cannot_be_mapped_is_used_all_the_same(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """No address space for it: that is no error of the task."""

    def fail(*args: object, **options: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(Mapping, "__init__", fail)
    for n in range(3):
        blobs.write(n, 1, 0, OLD)
        assert _read(blobs, n) == OLD
        blobs.retire(n, 1, 0)


# --- deaths and Ctrl-C ----------------------------------------------------------------------------


def test_a_reader_that_is_killed_leaves_the_file_to_others(blobs: Blobs, place: Path) -> None:
    """Its lock went with it."""
    _worn(blobs)
    blobs.write(5, 1, 0, OLD)
    inode = _inode(place, "5.1")

    def work(line: Line) -> None:
        own = Blobs(str(place.parent), POOL)
        views = [_map(own, 5), _map(own, 5)]
        line.say(len(views))
        line.hear()

    with child(work) as process:
        process.hear()
        blobs.retire(5, 1, 0)
        blobs.write(9, 1, 0, NEW)
        assert _inode(place, "9.1") != inode
        process.kill()
        blobs.write(9, 2, 0, NEW)
        assert _inode(place, "9.2") == inode


def _trapped(trap: Trap, *lasting: str) -> Trap:
    """Around all that reading and writing call, and these."""
    names = ("rename", "stat", "fstat", "ftruncate", "posix_fallocate", "write", "unlink", *lasting)
    return trap.around(os, *names).around(fcntl, "flock").around(mmap, "mmap").around(Mapping, "fill", "view")


def _round(blobs: Blobs) -> None:
    """Through the mapping of a file that came back; then one that was not mapped yet."""
    blobs.write(9, 1, 0, NEW)
    assert _read(blobs, 9) == NEW
    blobs.retire(9, 1, 0)
    blobs.write(9, 2, 0, NEW, NEW)
    blobs.retire(9, 2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_process_killed_at_any_call_leaves_the_pool_usable(
    blobs: Blobs, place: Path, *, after: bool
) -> None:
    """Writing through a kept mapping or reading: no other file is touched, and a sweep finds the rest."""

    def work(line: Line) -> None:
        own = Blobs(str(place.parent), POOL)
        own.write(7, 1, 0, bytes(SIZE))
        _read(own, 7)
        own.retire(7, 1, 0)
        _trapped(Trap(int(line.hear()), die, after=after), "open", "close")
        _round(own)

    for number in count(1):
        blobs.empty_pool()
        blobs.write(1, 1, 0, OLD)
        _worn(blobs)
        blobs.write(2, 1, 0, OLD)
        seen = _map(blobs, 2)
        blobs.retire(2, 1, 0)
        with child(work) as process:
            process.say(number)
            if process.join() == 0:
                break
        blobs.sweep(lambda slot, gen, epoch: slot == 1)
        assert blobs.files() == {(1, 1, 0)}
        assert bytes(seen) == _read(blobs, 1) == OLD
        _round(blobs)
        del seen
    assert number > 30


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_at_any_call_leaves_nothing_locked(place: Path, *, after: bool) -> None:
    """Ctrl-C while reading or writing: the next one finds every file free, and no other bytes."""
    blobs = Blobs(str(place.parent), POOL)
    for number in count(1):
        _worn(blobs)
        trap = _trapped(Trap(number, interrupt, after=after), "close" if after else "open")
        try:
            _round(blobs)
            break
        except KeyboardInterrupt:
            pass
        finally:
            trap.remove()
        gc.collect()
        blobs.sweep(lambda *parts: False)
        for name in os.listdir(place):
            with (place / name).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _round(blobs)
    assert number > 30
    blobs.close()
