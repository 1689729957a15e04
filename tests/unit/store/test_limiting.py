"""Limits beside a store."""

from __future__ import annotations

import os
import pickle
import stat
import threading
from pathlib import Path

import pytest

from ipcq import CorruptQueue, CustomBackend, JsonStorage, QueueClosed
from ipcq.backends.store import Write
from ipcq.backends.store.keys import limits_key
from ipcq.backends.store.limiting import sweep_limits
from tests.unit.memory.children import Line, child, elsewhere

from .stores import DictStore, database


def _files(directory: Path) -> list[str]:
    return sorted(os.listdir(directory / ".limits"))


def test_each_queue_of_each_store_has_its_own(private_directory: Path) -> None:
    """Two handles on one queue share them, whatever the queue's name in another store is."""
    one, other = DictStore(), DictStore()
    queues = [
        CustomBackend(store=store, queue=name) for store, name in [(one, "a"), (one, "b"), (other, "a")]
    ]
    assert all(queue.take_turn("t", 0.001).taken for queue in queues)
    with CustomBackend(store=one, queue="a") as again:
        assert not again.take_turn("t", 0.001).taken
    assert len(_files(private_directory)) == 3
    assert stat.S_IMODE(os.stat(private_directory / ".limits").st_mode) == 0o700
    for queue in queues:
        queue.close()
        with pytest.raises(QueueClosed):
            queue.take_permit("p", 1)


def test_another_process_finds_them(private_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked one, and one that unpickles the queue where another directory is in force."""
    with database(private_directory / "queue.db") as store, CustomBackend(store=store) as queue:
        permit = queue.take_permit("p", 1)
        assert permit is not None
        assert elsewhere(lambda: queue.take_permit("p", 1)) == "None"
        pickled = pickle.dumps(queue)
        monkeypatch.setenv("IPCQ_DIR", str(private_directory / "other"))
        assert elsewhere(lambda: pickle.loads(pickled).take_permit("p", 1)) == "None"
        permit.release()


def test_they_go_with_the_file(private_directory: Path) -> None:
    """Of all queues that are in it."""
    queue = JsonStorage(private_directory / "queue.jsonl")
    with JsonStorage(private_directory / "other.jsonl") as other:
        assert other.take_turn("t", 1).taken
        with queue.beside("second") as second:
            assert queue.take_turn("t", 1).taken
            assert second.take_turn("t", 1).taken
        assert len(_files(private_directory)) == 3
        queue.destroy(force=True)
        assert len(_files(private_directory)) == 1
        other.destroy()
    assert _files(private_directory) == []


def test_an_id_that_is_none(private_directory: Path) -> None:
    """It is part of a path: nothing else is made of it."""
    store = DictStore()
    store.put(limits_key("default"), b"../../up")
    with CustomBackend(store=store) as queue, pytest.raises(CorruptQueue, match="no id of limits"):
        queue.take_turn("t", 1)
    assert not (private_directory / ".limits").exists()


def test_a_queue_with_an_id_that_is_none_can_be_destroyed(tmp_path: Path) -> None:
    """What is damaged is not kept by its damage."""
    with JsonStorage(tmp_path / "q.jsonl") as queue:
        assert queue._store.compare_and_set([Write(limits_key("default"), 0, b"../../up")]) is not None
        queue.destroy()
    assert not (tmp_path / "q.jsonl").exists()


def test_what_nobody_uses_is_swept(private_directory: Path) -> None:
    """But no permit that somebody has, in this process or another, nor a turn that is still to come."""
    with database(private_directory / "queue.db") as store, CustomBackend(store=store) as queue:
        assert queue.take_turn("past", 1e9).taken
        assert queue.take_turn("planned", 0.001).taken
        permits = [queue.take_permit(name, 1) for name in ("held", "released")]

        def hold(line: Line) -> None:
            line.say(str(queue.take_permit("theirs", 1)))
            line.hear()

        with child(hold) as process:
            assert process.hear() != "None"
            assert permits[1] is not None
            permits[1].release()
            assert sweep_limits() == 2
            names = sorted(name.partition(".")[2] for name in _files(private_directory))
            assert names == ["held", "planned", "theirs"]
            assert queue.take_permit("held", 1) is None
        assert permits[0] is not None
        permits[0].release()
        assert sweep_limits() == 2
        assert not queue.take_turn("planned", 0.001).taken


def test_sweeping_where_nothing_is(private_directory: Path) -> None:
    """There is nothing to remove."""
    assert sweep_limits() == 0


def test_permits_while_files_are_swept(private_directory: Path) -> None:
    """Nobody is given one that somebody else has, however often the file is removed."""
    over, clashes = threading.Event(), list[str]()
    mine = threading.Lock()

    def want() -> None:
        while not over.is_set():
            permit = queue.take_permit("p", 1)
            if permit is not None:
                with permit:
                    if not mine.acquire(blocking=False):
                        clashes.append("two at once")
                        continue
                    mine.release()

    def sweep(line: Line) -> None:
        line.say(str(sum(sweep_limits() for _ in range(300))))

    with database(private_directory / "queue.db") as store, CustomBackend(store=store) as queue:
        queue.take_turn("p", 1e9)
        with child(sweep) as process:
            threads = [threading.Thread(target=want) for _ in range(2)]
            for thread in threads:
                thread.start()
            swept = int(process.hear())
            over.set()
            for thread in threads:
                thread.join()
    assert clashes == []
    assert swept > 0
