"""A store as one process sees it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ipcq import CustomBackend, Record, Status, StorageError, TaskStore, Worker, Write
from ipcq.backends.store import Forgotten, Waits
from ipcq.backends.store.keys import read_key, task_key, worker_key
from ipcq.backends.store.record import dump_task
from ipcq.backends.store.view import Change, Patience, View

from .records import record
from .stores import DictStore


class Forgetful(DictStore):
    """Forgets what was removed when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten = 0
        self.lapses = 0  # scans to come that forget, whatever is asked
        self.scanned: list[int] = []

    def forget(self) -> None:
        self._records = {key: r for key, r in self._records.items() if r.value is not None}
        self.forgotten = self._version

    def scan(self, after: int = 0) -> list[Record]:
        self.scanned.append(after)
        lapse = self.lapses > 0
        self.lapses -= lapse
        if lapse or 0 < after < self.forgotten:
            raise Forgotten("removed long ago")
        return super().scan(after)


class Busy(DictStore):
    """Refuses every compare-and-set while it is told to."""

    refuses = 0

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        if self.refuses:
            self.refuses -= 1
            return None
        return super().compare_and_set(writes)


def test_the_example_is_a_store() -> None:
    """What has the four methods is a store; one that cannot wake does not say so."""
    assert isinstance(DictStore(), TaskStore)
    assert not isinstance(DictStore(), Waits)


def test_only_what_changed_is_looked_at() -> None:
    """Each look asks for what is newer than what was seen, however much there is."""
    store = Forgetful()
    with CustomBackend(store=store) as queue:
        queue.push_bulk(range(100))
        del store.scanned[:]
        for _ in range(3):
            queue.check_status([])
        assert min(store.scanned[1:]) > 100


@pytest.mark.slow
def test_a_store_may_forget_what_was_removed() -> None:
    """Who is told so looks at everything again; what was removed is gone, and a wait goes on."""
    store = Forgetful()
    with CustomBackend(store=store) as ours, CustomBackend(store=store) as theirs:
        gone, kept = ours.push(1), ours.push(2)
        results = ours.wait_for([kept], 10)
        theirs.cancel(gone)
        Worker("w", theirs, lambda args: args * 10).run(until_empty=True)
        assert theirs.vacuum(statuses=[Status.KILLED]) == 1
        store.forget()
        assert ours.check_status([gone, kept]) == {kept: Status.DONE}
        assert next(results).unwrap() == 20


def test_a_store_may_forget_again() -> None:
    """Who begins anew, and is told so in the middle of that, begins anew once more, until all was seen."""
    store = Forgetful()
    with CustomBackend(store=store) as queue:
        ids = queue.push_bulk([1, 2, 3])
        store.lapses = 3
        assert list(queue.check_status(ids)) == ids
        assert store.lapses == 0


def test_a_strange_record_is_left_aside(caplog: pytest.LogCaptureFixture) -> None:
    """What is no record of ours is told once in the log, and stops nobody."""
    store = DictStore()
    with CustomBackend(store=store) as queue, caplog.at_level(logging.ERROR, "ipcq.store"):
        task_id = queue.push(1)
        key = task_key("default", task_id)
        store.put(key, b"what is this?")
        store.put("t/default/no-id", b"{}")
        store.put("w/default/x", b"[]")
        store.put("s/default/1", b"{}")
        store.put("something else", b"")
        other = queue.push(2)
        for _ in range(2):
            assert queue.check_status([other]) == {other: Status.PENDING}
        store.put("w/default/x", b"[1]")
        queue.list_workers()
    assert sum(key in line for line in caplog.messages) == 1
    assert sum("w/default/x" in line for line in caplog.messages) == 1


def test_an_interrupt_while_a_change_is_taken_in() -> None:
    """An index that was left half-way is made anew at the next look."""
    store, task = DictStore(), record()
    view, key = View(store), task_key("q", task.id)
    store.put(key, dump_task(task))
    view.refresh()

    def interrupt(_: int) -> None:
        view.index("q").on_end.clear()
        raise KeyboardInterrupt

    view.index("q").on_end.append(interrupt)
    store.put(key, None)
    with pytest.raises(KeyboardInterrupt):
        view.refresh()
    store.put(key, dump_task(task))
    view.refresh()
    assert (list(view.index("q").tasks), view.rebuilt) == ([task.id], 1)
    assert view.index("q").counts[Status.PENDING] == 1


def test_a_lost_race_is_run_again() -> None:
    """A compare-and-set that is refused a few times costs nothing but that."""
    store = Busy()
    with CustomBackend(store=store) as queue:
        task_id = queue.push(1)
        with queue.register_worker("w") as lease:
            stream = queue.poll(lease)
            store.refuses = 3
            task = next(stream)
            assert task is not None
            store.refuses = 3
            lease.finish(task, 1)
            stream.close()
        assert queue.wait(task_id, 1).value == 1


def test_a_race_that_is_always_lost_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses everything is an error that says so."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    patience = Patience()
    for _ in range(99):
        patience.lost("task 5")
    with pytest.raises(StorageError, match="task 5 was changed by others 100 times in a row"):
        patience.lost("task 5")


def test_own_writes_are_seen_at_once_and_once() -> None:
    """What was written here is in the index before any look, and the look that follows does not undo it."""
    view, task = View(DictStore()), record()
    written = view.commit([Change(Write(task_key("q", task.id), 0, b"{}"), task)])
    assert written == [1]
    assert view.index("q").tasks[task.id].version == 1
    view.refresh()
    assert (view.index("q").tasks[task.id].version, view.seen) == (1, 1)
    assert view.commit([Change(Write(task_key("q", task.id), 7, b"{}"), task)]) is None


def test_who_waits_in_the_same_process_is_woken() -> None:
    """A store that cannot wake does not keep a thread of this process asleep."""
    view, task = View(DictStore()), record()
    with ThreadPoolExecutor() as pool:
        sleeping = pool.submit(view.sleep, view.seen, 10.0, 99, lambda: False)
        view.commit([Change(Write(task_key("q", task.id), 0, b"{}"), task)])
        sleeping.result(5)


def test_keys_are_taken_apart() -> None:
    """A key tells its kind, its queue and the rest; a worker's id may be anything, its key is plain."""
    assert read_key("t/a.b/0-1") == ("t", "a.b", "0-1")
    assert read_key("c/q") == ("c", "q", "")
    assert read_key("") == ("", "", "")
    assert worker_key("q", "a/b\n").isprintable()
    assert worker_key("q", "a") != worker_key("q", "b")
