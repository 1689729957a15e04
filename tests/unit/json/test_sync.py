"""When what was written is brought to the disk."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq.backends.json import logfile, sync
from ipcq.backends.store import Write
from ipcq.errors import StorageError
from tests.unit.memory.acting import until

if TYPE_CHECKING:
    from .conftest import OpenStore

WAIT = 30.0  # seconds; only a test that fails waits so long


class Disk:
    """Counts what is brought to it, and can be made to be slow or to fail."""

    def __init__(self) -> None:
        self.trips = 0
        self.failure: OSError | None = None
        self.free = threading.Event()
        self.free.set()

    def sync(self, fd: int) -> None:
        self.trips += 1
        assert self.free.wait(WAIT)
        if self.failure is not None:
            raise self.failure
        os.fsync(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """What stands between the logs and the disk."""
    disk = Disk()
    monkeypatch.setattr(logfile, "_sync", disk.sync)
    yield disk
    disk.free.set()


def test_what_is_only_shown(open_store: OpenStore, disk: Disk) -> None:
    """A light write costs no trip, is compared as any other, and goes to the disk with the next one."""
    store = open_store(fsync="always")
    first = store.put("a", b"1")
    made = disk.trips
    versions = store.compare_and_set_lightly([Write("a", first, b"2")])
    assert versions is not None
    assert store.compare_and_set_lightly([Write("a", first, b"3")]) is None
    assert disk.trips == made
    record = store.get("a")
    assert record is not None
    assert (record.version, record.value) == (versions[0], b"2")
    store.put("b", b"1")
    assert disk.trips == made + 1


def test_always(open_store: OpenStore, disk: Disk) -> None:
    """Each write is on the disk before it returns; reading and refused writes cost no trip."""
    store = open_store(fsync="always")
    made = disk.trips
    for n in range(3):
        store.put("a", b"1")
        assert disk.trips == made + n + 1
    assert store.compare_and_set([Write("a", 1, b"2")]) is None
    store.get("a")
    assert disk.trips == made + 3


def test_never(open_store: OpenStore, disk: Disk) -> None:
    """Writes do not wait for the disk; but a log written anew is on it before it replaces the old one."""
    store = open_store(fsync="never")
    made = disk.trips
    for _ in range(3):
        store.put("a", b"1")
    assert disk.trips == made
    store.compact()
    assert disk.trips == made + 1


def test_interval(open_store: OpenStore, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes of a second share one trip, that nobody waits for; closing makes it at once."""
    monkeypatch.setattr(sync.Syncer.__init__, "__defaults__", (0.01,))
    store = open_store(fsync="interval")
    made = disk.trips
    disk.free.clear()
    for _ in range(3):
        store.put("a", b"1")
    until(lambda: disk.trips == made + 1)
    disk.free.set()
    store.put("a", b"1")
    until(lambda: disk.trips == made + 2)
    store.close()
    assert disk.trips == made + 2


def test_closing_brings_the_rest(open_store: OpenStore, disk: Disk) -> None:
    """What waits for the end of its second does not wait longer than the handle lives."""
    store = open_store(fsync="interval")
    made = disk.trips
    store.put("a", b"1")
    assert disk.trips == made
    store.close()
    assert disk.trips == made + 1


def test_threads_share_a_trip(open_store: OpenStore, disk: Disk) -> None:
    """Who writes while another one waits for the disk goes with the next trip, all in one."""
    store = open_store(fsync="always")
    made = disk.trips
    disk.free.clear()
    threads = [threading.Thread(target=store.put, args=(f"{n}", b"1")) for n in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: store._log.index.last == 8)
    disk.free.set()
    for thread in threads:
        thread.join()
    assert disk.trips - made == 2
    assert len(list(store.scan())) == 8


def test_a_disk_that_fails(open_store: OpenStore, disk: Disk) -> None:
    """Who wrote is told, and who would write after it: what the kernel dropped is not written later."""
    store = open_store(fsync="always")
    disk.failure = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StorageError, match=r"cannot sync .*: Input/output error"):
        store.put("a", b"1")
    disk.failure = None
    with pytest.raises(StorageError, match=r"nothing more is written: .*; open the queue again"):
        store.put("a", b"2")
    assert "[failed]" in repr(store._sync)
    assert open_store(fsync="always").put("a", b"3") == 2


def test_a_disk_that_fails_later(open_store: OpenStore, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``interval`` the next write tells it."""
    monkeypatch.setattr(sync.Syncer.__init__, "__defaults__", (0.001,))
    store = open_store(fsync="interval")
    disk.failure = OSError(errno.EIO, "Input/output error")
    store.put("a", b"1")
    until(lambda: "[failed]" in repr(store._sync))
    with pytest.raises(StorageError, match="nothing more is written"):
        store.put("a", b"2")


def test_a_log_replaced_meanwhile(open_store: OpenStore, disk: Disk, path: Path) -> None:
    """Whoever wrote into a log that another one wrote anew since then has its name brought to the disk."""
    store, other = open_store(fsync="always"), open_store()
    old = store._log.file
    store.put("a", b"1")
    other.compact()
    assert store.get("a") is not None
    assert old.fd < 0
    trips = disk.trips
    store._sync.written(old, 1 << 20)
    assert disk.trips == trips
