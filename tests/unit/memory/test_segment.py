from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcq.backends.memory.layout import (
    ARENA_CHUNK,
    BLOCK_BYTES,
    COUNTS,
    H_ARENA_BYTES,
    H_CAPACITY,
    H_CHECKSUM,
    H_LOCK_KIND,
    H_PARTICIPANTS,
    H_VERSION,
    LOCK_FCNTL,
    LOCK_WORD,
    SEQ,
    SLOT_CHUNK,
    ST_FREE,
)
from ipcq.backends.memory.segment import ARENA, BLOBS, CONTROL, LOCK_KIND, Segment, build, remove_files
from ipcq.backends.memory.settings import Wishes
from ipcq.errors import CorruptQueue, QueueClosed, QueueFull, StorageError, VersionMismatch
from tests.disk import small_file_system

from .children import Line, Trap, child, die

MIB = 1 << 20
CHUNK = ARENA_CHUNK * BLOCK_BYTES
SMALL = Wishes(capacity=100, arena_bytes=MIB, blob_bytes=MIB)


@pytest.fixture
def directory(private_directory: Path) -> Path:
    """An empty queue directory."""
    path = private_directory / "thumbs"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def built(directory: Path) -> Path:
    """The directory of a small new queue."""
    build(str(directory), SMALL.settle(str(directory)))
    return directory


def _poke(directory: Path, word: int, value: int, *, sign: bool = False) -> None:
    """Overwrite one word of the header; with a fitting checksum if ``sign``."""
    path = directory / CONTROL
    data = bytearray(path.read_bytes())
    memoryview(data).cast("Q")[word] = value
    if sign:
        memoryview(data).cast("Q")[H_CHECKSUM] = zlib.crc32(data[: H_CHECKSUM * 8])
    path.write_bytes(data)


# --- whole or not at all --------------------------------------------------------------------------


def test_a_new_queue_is_empty_and_as_asked(built: Path) -> None:
    """All places free, all words from zero, everything for its owner only."""
    segment = Segment(str(built))
    assert segment.settings == SMALL.settle(str(built))
    assert segment.words[SEQ] == 1
    assert segment.words[COUNTS + ST_FREE] == 100
    assert len(segment.arena) == MIB
    assert sorted(os.listdir(built)) == sorted([CONTROL, ARENA, BLOBS])
    assert {os.stat(built / name).st_mode & 0o077 for name in os.listdir(built)} == {0}
    segment.close()


def test_all_who_map_it_see_the_same(built: Path) -> None:
    """A store of one is a load of the other, and outlives the files' closing."""
    one, two = Segment(str(built)), Segment(str(built))
    one.words[SEQ] = 77
    one.close()
    assert two.words[SEQ] == 77
    two.close()
    assert one.words[SEQ] == 77


def test_killed_at_any_call_a_queue_is_whole_or_not_there(directory: Path) -> None:
    """After a kill before each system call of `build`, the next one still makes a whole queue."""
    settings = SMALL.settle(str(directory))
    calls = ("mkdir", "open", "ftruncate", "posix_fallocate", "link", "unlink", "rmdir", "close", "listdir")

    def work(line: Line) -> None:
        number = int(line.hear())
        Trap(number, die).around(os, *calls).around(mmap, "mmap")
        build(str(directory), settings)

    deaths = 0
    while True:
        with child(work) as process:
            process.say(deaths + 1)
            if process.join() == 0:
                break
        deaths += 1
        if (directory / CONTROL).exists():
            Segment(str(directory)).close()
        build(str(directory), settings)
        Segment(str(directory)).close()
        remove_files(str(directory))
        assert os.listdir(directory) == []
    assert deaths >= 15


def test_what_cannot_be_built_leaves_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error or Ctrl-C on the way removes what was made so far."""

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(KeyboardInterrupt):
        build(str(directory), SMALL.settle(str(directory)))
    assert os.listdir(directory) == []


def test_an_old_directory_of_blobs_is_not_used(directory: Path) -> None:
    """Producers of the queue before may have it open; with foreign files in it that is an error."""
    (directory / BLOBS).mkdir()
    (directory / BLOBS / "5.1").touch()
    (directory / BLOBS / "notes.txt").touch()
    with pytest.raises(StorageError, match="not of this queue"):
        build(str(directory), SMALL.settle(str(directory)))
    assert os.listdir(directory / BLOBS) == ["notes.txt"]


# --- damage ---------------------------------------------------------------------------------------


def test_any_damaged_byte_of_the_header_is_noticed(built: Path) -> None:
    """One flipped bit or byte anywhere in it is CorruptQueue or VersionMismatch, nothing else."""
    path = built / CONTROL
    sound = path.read_bytes()[: (H_CHECKSUM + 1) * 8]
    with path.open("r+b", buffering=0) as file:
        for at in range(len(sound)):
            for flip in (0x01, 0x80, 0xFF):
                os.pwrite(file.fileno(), bytes([sound[at] ^ flip]), at)
                with pytest.raises((CorruptQueue, VersionMismatch), match=r"gc --force|kind of lock"):
                    Segment(str(built))
            os.pwrite(file.fileno(), sound[at : at + 1], at)
    Segment(str(built)).close()


@pytest.mark.parametrize("word", [H_CAPACITY, H_PARTICIPANTS, H_ARENA_BYTES])
@pytest.mark.parametrize("value", [0, 1 << 63, 2**64 - 1])
def test_sizes_that_no_queue_has_are_noticed(built: Path, word: int, value: int) -> None:
    """A fitting checksum makes impossible sizes no better."""
    _poke(built, word, value, sign=True)
    with pytest.raises(CorruptQueue, match="sizes"):
        Segment(str(built))


def test_a_size_that_does_not_fit_the_file_is_noticed(built: Path) -> None:
    """Nothing behind the end of a file is ever mapped: touching that would be SIGBUS."""
    _poke(built, H_CAPACITY, 100_000, sign=True)
    with pytest.raises(CorruptQueue, match="bytes, not"):
        Segment(str(built))


def test_another_version_is_told_from_damage(built: Path) -> None:
    """A queue of another ipcq is sound, but not ours to read."""
    _poke(built, H_VERSION, 2, sign=True)
    with pytest.raises(VersionMismatch, match="another version"):
        Segment(str(built))


def test_another_kind_of_lock_is_refused(built: Path) -> None:
    """Who cannot drive the queue's lock must not touch it."""
    _poke(built, H_LOCK_KIND, 3, sign=True)
    with pytest.raises(VersionMismatch, match="kind of lock"):
        Segment(str(built))


def test_a_queue_of_the_other_mode_is_refused(built: Path) -> None:
    """A compiled process does not see the uncompiled mode's lock, nor the other way round; it says so."""
    _poke(built, H_LOCK_KIND, LOCK_FCNTL + LOCK_WORD - LOCK_KIND, sign=True)
    with pytest.raises(VersionMismatch, match="IPCQ_PURE"):
        Segment(str(built))


@pytest.mark.parametrize("name", [CONTROL, ARENA])
@pytest.mark.parametrize("size", [0, 100, 4096, 5000])
def test_a_truncated_file_is_noticed(built: Path, name: str, size: int) -> None:
    """Each file must have its exact length."""
    os.truncate(built / name, size)
    with pytest.raises(CorruptQueue, match=f"{name} "):
        Segment(str(built))


def test_a_missing_file_is_told_apart(built: Path) -> None:
    """Without a control file there is no queue; without the others it is damaged."""
    (built / BLOBS).rmdir()
    with pytest.raises(CorruptQueue, match="blob is missing"):
        Segment(str(built))
    (built / ARENA).unlink()
    with pytest.raises(CorruptQueue, match=r"arena\.v1 is missing"):
        Segment(str(built))
    (built / CONTROL).unlink()
    with pytest.raises(FileNotFoundError):
        Segment(str(built))


@pytest.mark.parametrize("name", [CONTROL, ARENA])
def test_what_is_no_plain_file_is_an_error(built: Path, name: str) -> None:
    """A link is not followed, a directory not opened, a FIFO not waited for."""
    path = built / name
    path.rename(built / "elsewhere")
    path.symlink_to(built / "elsewhere")
    with pytest.raises(StorageError):
        Segment(str(built))
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        Segment(str(built))
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(StorageError):
        Segment(str(built))


# --- space ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(private_directory: Path) -> Iterator[Path]:
    """An empty file system of 1 MiB, beside which nothing else lives."""
    with small_file_system(private_directory / "disk", "1m") as path:
        yield path


def test_a_queue_that_finds_no_space_is_not_made(small_disk: Path) -> None:
    """The error is QueueFull with what to do, and nothing of the queue is left."""
    with pytest.raises(QueueFull, match=r"--shm-size.*IPCQ_DIR.*ipcq gc"):
        build(str(small_disk), Wishes(capacity=100_000).settle(str(small_disk)))
    assert os.listdir(small_disk) == []


def test_growing_without_space_is_an_error_and_no_signal(small_disk: Path) -> None:
    """Committing slots or arena raises QueueFull; what there is stays usable."""
    build(str(small_disk), Wishes(capacity=4000, arena_bytes=MIB).settle(str(small_disk)))
    segment = Segment(str(small_disk))
    with pytest.raises(QueueFull, match="exhausted"):
        segment.commit_arena(0)
    assert segment.commit_slots(0) == SLOT_CHUNK
    with pytest.raises(QueueFull, match="exhausted"):
        segment.commit_slots(SLOT_CHUNK)
    assert segment.words[SEQ] == 1
    segment.close()


def test_memory_is_committed_in_chunks(built: Path) -> None:
    """The last chunk is as long as what is left; committing twice is fine."""
    before = os.stat(built / ARENA).st_blocks
    segment = Segment(str(built))
    for _ in range(2):
        assert segment.commit_slots(0) == 100
        assert segment.commit_arena(0) == ARENA_CHUNK
    assert segment.commit_arena(ARENA_CHUNK) == 0
    assert os.stat(built / ARENA).st_blocks - before == CHUNK // 512
    assert os.stat(built / CONTROL).st_size == segment.geometry.total * 8
    segment.close()


def test_a_closed_segment_does_not_grow(built: Path) -> None:
    """Its file's number may be another file's by now."""
    segment = Segment(str(built))
    segment.close()
    with pytest.raises(QueueClosed, match="closed"):
        segment.commit_slots(0)


# --- removing -------------------------------------------------------------------------------------


def test_removing_takes_what_is_a_queues_and_nothing_else(built: Path) -> None:
    """Payloads, results and retired files go; foreign files stay, and the lock file."""
    for name in ("5.1", "5.1.2", "pool.0", "photo.jpg"):
        (built / BLOBS / name).touch()
    (built / "lock").touch()
    (built / "ctl.new").touch()
    remove_files(str(built))
    assert sorted(os.listdir(built)) == [BLOBS, "lock"]
    assert os.listdir(built / BLOBS) == ["photo.jpg"]
    (built / BLOBS / "photo.jpg").unlink()
    for _ in range(2):
        remove_files(str(built))
        assert os.listdir(built) == ["lock"]


def test_what_cannot_be_removed_is_an_error(built: Path) -> None:
    """The message has the path."""
    (built / ARENA).unlink()
    (built / ARENA).mkdir()
    with pytest.raises(StorageError, match=r"cannot remove .*arena\.v1"):
        remove_files(str(built))
