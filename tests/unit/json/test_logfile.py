"""What the operating system refuses, and what is left then."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq.backends.json import JsonStore, anew, logfile
from ipcq.backends.json.logfile import LogFile
from ipcq.backends.store import Record, Write
from ipcq.errors import QueueFull, StorageError
from tests.disk import fill, small_file_system

KIB = b'"%b"' % (b"x" * 1024)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A log on a file system of 1 MiB."""
    with small_file_system(tmp_path / "disk", "1m") as directory:
        yield directory / "log.jsonl"


def _fill(store: JsonStore) -> int:
    for number in range(10_000):
        try:
            store.compare_and_set([Write(f"{number}/a", 0, KIB), Write(f"{number}/b", 0, b"1")])
        except QueueFull:
            return number
    raise AssertionError("it takes everything")


# --- a full disk ---------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing(disk: Path) -> None:
    """It is QueueFull; what was accepted is there, of the refused batch nothing; with room it goes on."""
    with JsonStore(disk, fsync="never") as store:
        count = _fill(store)
        assert count > 300
        with pytest.raises(QueueFull, match=r"cannot write to .*: No space left on device; .* make room"):
            store.put("large", 4 * KIB[:-2] + KIB)
        with JsonStore(disk, fsync="never") as other:
            assert len(list(other.scan())) == 2 * count == len(list(store.scan()))
            assert other.get(f"{count}/a") is other.get(f"{count}/b") is None
            Path(f"{disk}.corrupt").unlink(missing_ok=True)
        os.truncate(disk, disk.stat().st_size - 100)  # some room, by force
        assert store.put("small", b"1") > 2 * count


def test_a_full_disk_does_not_end_a_log(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where there is no room to write it anew it goes on as it is, and nothing is left of the attempt."""
    with JsonStore(disk, fsync="never") as store:
        _fill(store)
        with pytest.raises(QueueFull):
            store.compact()
        assert not Path(f"{disk}.new").exists()
        assert store.get("0/a") == Record("0/a", 1, KIB)


def test_damage_on_a_full_disk(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be set aside stays where it is, is told, and keeps nobody from reading all the others."""
    with JsonStore(disk, fsync="never") as store:
        for number in range(100):
            store.compare_and_set([Write(f"{number}/a", 0, KIB), Write(f"{number}/b", 0, b"1")])
    content = bytearray(disk.read_bytes())
    content[content.index(b"xxxx")] = ord("y")
    content[-3] ^= 1
    disk.write_bytes(content)
    fill(disk.parent / "filler")
    with JsonStore(disk, fsync="never") as store:
        assert len(list(store.scan())) == 200 - 1 - 2
        with pytest.raises((QueueFull, StorageError)):
            store.put("a", KIB)
        assert store.set_aside == 0
        assert "cannot be set aside" in caplog.text
        (disk.parent / "filler").unlink()
        assert store.put("a", b"1") > 0
        assert store.set_aside == 2


# --- what a call of the operating system gives ---------------------------------------------------


class _System:
    """The module ``os``, but for some of its functions."""

    def __init__(self, **others: Callable[..., Any]) -> None:
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _refuse(number: int) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def test_short_writes_are_continued(store: JsonStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that takes a few bytes at a time gets all of them."""
    monkeypatch.setattr(logfile, "os", _System(write=lambda fd, data: os.write(fd, data[:7])))
    assert store.compare_and_set([Write("a", 0, KIB), Write("b", 0, b"1")]) == [1, 2]
    monkeypatch.undo()
    assert store.get("a") == Record("a", 1, KIB)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_write_that_fails_half_way_leaves_nothing(
    store: JsonStore, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever the reason, the log ends where it ended before."""
    store.put("a", b"1")
    before = path.read_bytes()
    chunks = iter([lambda fd, data: os.write(fd, data[:100]), _refuse(number)])
    monkeypatch.setattr(logfile, "os", _System(write=lambda fd, data: next(chunks)(fd, data)))
    with pytest.raises(StorageError if number == errno.EIO else QueueFull, match="cannot write to"):
        store.put("b", KIB)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert store.put("b", b"2") == 2


def test_an_interrupt_in_a_write(store: JsonStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C half-way leaves nothing; Ctrl-C after the last byte leaves a write that others may have seen."""

    def after(size: int) -> Callable[[int, memoryview], int]:
        def write(fd: int, data: memoryview) -> int:
            os.write(fd, data[:size])
            raise KeyboardInterrupt

        return write

    for size, expected in [(50, None), (10_000, Record("a", 1, b"1"))]:
        monkeypatch.setattr(logfile, "os", _System(write=after(size)))
        with pytest.raises(KeyboardInterrupt):
            store.put("a", b"1")
        monkeypatch.undo()
        assert store.get("a") == expected
    assert store.put("b", b"1") == 2


def test_what_cannot_be_opened_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other reasons than that there is no such file are errors that name it."""
    monkeypatch.setattr(logfile, "os", _System(open=_refuse(errno.EMFILE)))
    with pytest.raises(StorageError, match=f"cannot open {path}: Too many open files"):
        JsonStore(path)


def test_a_log_that_cannot_be_replaced(store: JsonStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing anew fails as a whole: the old log is there, and nothing else."""
    store.put("a", b"1")
    before = path.read_bytes()
    monkeypatch.setattr(anew, "os", _System(rename=_refuse(errno.EPERM)))
    with pytest.raises(StorageError, match="cannot replace"):
        store.compact()
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not Path(f"{path}.new").exists()
    assert store.put("b", b"2") == 2


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 5, 100])
def test_lines_are_put_together(path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """However they lie in the blocks that are read; what follows the last end is no line."""
    monkeypatch.setattr(logfile, "_BLOCK", block)
    path.write_bytes(b"one\n\nthree three three\nfour")
    path.chmod(0o600)
    log = LogFile.open(str(path))
    assert list(log.lines(0, 27)) == [b"one\n", b"\n", b"three three three\n"]
    assert list(log.lines(4, 23)) == [b"\n", b"three three three\n"]
    assert list(log.lines(0, 3)) == []
    assert "descriptor" in repr(log)
    log.close()
    log.close()
    assert repr(log).endswith("[closed]>")
