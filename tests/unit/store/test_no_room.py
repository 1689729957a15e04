"""A store without room for a while: who owes a write waits for it, and what is there is handed out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ipcq import CustomBackend, ErrorInfo, QueueFull, Status, Worker
from ipcq.backends.custom import CustomStore
from ipcq.layer import ForcedStop
from tests.disk import fill, small_file_system

from .stores import Filling, database


def _run(queue: CustomStore, runs: int, prefetch: int = 1) -> list[int]:
    """Have a worker run so often, where the first run of task 2 fails; what it ran."""
    seen: list[int] = []

    def handler(number: int) -> int:
        seen.append(number)
        if len(seen) == runs:
            worker.stop()
        if number == 2 and seen.count(2) == 1:
            raise ValueError("the first time")
        return number

    worker = Worker("w", queue, handler, prefetch=prefetch)
    worker.run()
    return seen


def _work(refuses: Callable[[int], bool]) -> int:
    """Run three tasks in a store that holds a fetched result; how many writes that took."""
    store = Filling()
    with CustomBackend(store=store) as queue:
        first = queue.push(0)
        _run(queue, 1)
        queue.wait(first, 10)  # may give way, which is a write, too
        ids = queue.push_bulk([1, 2, 3], max_attempts=2)
        store.tries, store.refuses = 0, refuses
        assert sorted(_run(queue, 4, prefetch=2)) == [1, 2, 2, 3]
        tries, store.refuses = store.tries, lambda _: False
        assert sorted(result.unwrap() for result in queue.wait_for(ids, 10)) == [1, 2, 3]
    return tries


def test_a_worker_goes_on_when_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of its writes finds no room, thrice in a row, the worker makes it later; no run is lost."""
    monkeypatch.setattr("ipcq.backends.store.desk._PAUSE", 0)
    monkeypatch.setattr("ipcq.backends.store.streaming._PAUSE", 0)
    for full in range(1, _work(lambda _: False)):  # all but the last, by which it leaves
        _work(lambda n, full=full: full <= n < full + 3)  # type: ignore[misc]


def test_what_is_put_off_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the end of a run does; without any in time it is `QueueFull`, and the task still its worker's."""
    monkeypatch.setattr("ipcq.backends.store.desk._PAUSE", 0)
    store = Filling()
    with CustomBackend(store=store) as queue, queue.register_worker("w") as lease:
        task_id = queue.push(1)
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None
        store.tries, store.refuses = 0, lambda n: n <= 3
        with pytest.raises(QueueFull):
            lease.postpone(task, 60, patience=0.0)
        assert lease.postpone(task, 60)
        found = queue.fetch_by_id(task_id)
        assert found is not None
        assert (found.status, store.tries) == (Status.PENDING, 4)
        assert not lease.postpone(task, 60)
        stream.close()


def test_a_worker_in_a_hurry_waits_for_no_room() -> None:
    """Neither for the end of a run nor for one that is put off; what it has is its own still."""
    store = Filling()
    with CustomBackend(store=store) as queue, queue.register_worker("w") as lease:
        queue.push(1)
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None
        store.refuses = lambda _: True
        lease.hurry()
        for call in (
            lambda: lease.finish(task, 1),
            lambda: lease.fail(task, ErrorInfo("E", "m")),
            lambda: lease.postpone(task, 60),
        ):
            with pytest.raises(ForcedStop):
                call()
        store.refuses = lambda _: False
        lease.finish(task, 1)
        stream.close()


def test_results_are_handed_out_without_room() -> None:
    """Who waits gets what is there, though the store has no room to note that he has it."""
    store = Filling()
    with CustomBackend(store=store) as queue:
        ids = queue.push_bulk([1, 3])
        _run(queue, 2)
        store.refuses = lambda _: True
        assert [result.unwrap() for result in queue.wait_for(ids, 10)] == [1, 3]
        store.refuses = lambda _: False


def test_housekeeping_without_room_is_put_off() -> None:
    """A worker that finds nothing to run but results that expired is not ended by a store without room."""
    store = Filling()
    with CustomBackend(store=store, result_ttl=1e-6) as queue:
        queue.push(1)
        lease = queue.register_worker("w")
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None
        lease.finish(task, 1)
        store.refuses = lambda _: True
        assert next(stream) is None
        assert store.tries > 0
        store.refuses = lambda _: False
        stream.close()
        lease.close()


@pytest.mark.slow
def test_who_left_without_room_has_left_when_there_is_some() -> None:
    """What a worker had when it was closed without room is run by the next one, though its process lives."""
    store = Filling()
    with CustomBackend(store=store) as queue:
        queue.push(1)
        lease = queue.register_worker("a")
        assert next(queue.poll(lease)) is not None
        store.refuses = lambda _: True
        with pytest.raises(QueueFull):
            lease.close()
        store.refuses = lambda _: False
        assert _run(queue, 1) == [1]
        assert queue.list_workers() == []


def test_a_database_on_a_full_disk(tmp_path: Path) -> None:
    """The example over SQLite says that there is no room as a store is to say it, and goes on with room."""
    with (
        small_file_system(tmp_path / "disk", "1m") as disk,
        database(disk / "queue.db") as store,
        CustomBackend(store=store) as queue,
    ):
        fill(disk / "filler")
        with pytest.raises(QueueFull, match="disk is full"):
            queue.push(b"x" * 100_000, timeout=0)
        (disk / "filler").unlink()
        queue.push(b"x" * 100_000, timeout=0)
