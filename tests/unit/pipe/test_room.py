"""Results that find no room: one worker waits, everybody else is served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import CustomBackend, ErrorInfo, Pipe, Status, Task, TaskFailed
from ipcq.backends.pipe import working
from ipcq.backends.pipe.streaming import PipeStream
from ipcq.layer import ForcedStop
from tests.unit.store.stores import Filling

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 20.0
HALF = 600_000


def test_a_result_waits_for_room_and_holds_nobody_up(make_queue: MakeQueue, private_directory: Path) -> None:
    """It is stored when another client has fetched, and by that given up, what was in its place."""
    queue, endpoint = make_queue(blob_bytes=1_000_000), f"ipc://{private_directory}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client, Pipe(endpoint) as other:
        first, second = client.push_bulk([1, 2])
        with client.register_worker("worker") as lease:
            stream = client.poll(lease)
            lease.finish(_next(stream), bytes(HALF))
            task = _next(stream)
            finishing = threading.Thread(target=lease.finish, args=(task, bytes(HALF)))
            finishing.start()
            for number in range(50):
                assert other.fetch_by_id(other.push(number)) is not None
            assert finishing.is_alive()
            assert len(other.wait(first, PATIENCE).unwrap()) == HALF
            finishing.join(PATIENCE)
            assert not finishing.is_alive()
            assert len(other.wait(second, PATIENCE).unwrap()) == HALF


@pytest.mark.slow
def test_many_results_wait_together(make_queue: MakeQueue, private_directory: Path) -> None:
    """Those for which there is room are stored at once, the others as it comes."""
    queue, endpoint = make_queue(blob_bytes=1_000_000), f"ipc://{private_directory}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client, Pipe(endpoint) as other:
        ids = client.push_bulk(range(3))
        with client.register_worker("worker") as lease:
            tasks = client.poll(lease).take_many(3)
            assert len(tasks) == 3
            finishing = threading.Thread(target=lease.finish_many, args=(tasks, [bytes(HALF)] * 3))
            finishing.start()
            for result in other.wait_for(ids, PATIENCE):
                assert len(result.unwrap()) == HALF
            finishing.join(PATIENCE)
            assert not finishing.is_alive()


@pytest.mark.parametrize("size", [2_000_000, pytest.param(HALF, marks=pytest.mark.slow)])
def test_a_result_without_room_is_told(
    make_queue: MakeQueue, private_directory: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """One that is too large at once, one that waited in vain after its time: who waits for it is told."""
    monkeypatch.setattr(working, "_ROOM_PATIENCE", 0.0)
    queue, endpoint = make_queue(blob_bytes=1_000_000), f"ipc://{private_directory}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client:
        _, second = client.push_bulk([1, 2])
        with client.register_worker("worker") as lease:
            stream = client.poll(lease)
            lease.finish(_next(stream), bytes(HALF))
            lease.finish(_next(stream), bytes(size))
            with pytest.raises(TaskFailed, match="NoRoom"):
                client.wait(second, PATIENCE).unwrap()


@pytest.mark.slow
def test_a_worker_in_a_hurry_waits_for_no_room(make_queue: MakeQueue, private_directory: Path) -> None:
    """Its task stays RUNNING, to be given back; a value for which there is room is stored."""
    queue, endpoint = make_queue(blob_bytes=1_000_000), f"ipc://{private_directory}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client:
        ids = client.push_bulk([1, 2])
        with client.register_worker("worker") as lease:
            stream = client.poll(lease)
            lease.finish(_next(stream), bytes(HALF))
            task = _next(stream)
            lease.hurry()
            with pytest.raises(ForcedStop):
                lease.finish(task, bytes(HALF))
            assert lease.give_back(task)
        assert [*client.check_status(ids).values()] == [Status.DONE, Status.PENDING]


BAD = ErrorInfo("ValueError", "bad")


@pytest.mark.parametrize(
    ("move", "given", "status"),
    [
        (lambda lease, task: lease.postpone(task, 60.0), True, Status.PENDING),
        (lambda lease, task: lease.fail(task, BAD, final=True), Status.KILLED, Status.KILLED),
    ],
    ids=["postpone", "fail"],
)
def test_what_ends_a_run_waits_for_room_and_holds_nobody_up(
    private_directory: Path, move: Callable[[Any, Any], Any], given: Any, status: Status
) -> None:
    """While the store has none, others are answered; when there is some, the task is moved."""
    store, endpoint = Filling(), f"ipc://{private_directory}/socket"
    asked = threading.Event()

    def refuse(_: int) -> bool:
        asked.set()
        return True

    with (
        CustomBackend(store=store) as queue,
        Pipe.serve(queue, endpoint),
        Pipe(endpoint) as client,
        Pipe(endpoint) as other,
        client.register_worker("worker") as lease,
        ThreadPoolExecutor() as pool,
    ):
        task_id = client.push("later")
        task = _next(client.poll(lease))
        store.refuses = refuse
        moved = pool.submit(move, lease, task)
        assert asked.wait(PATIENCE)
        assert other.check_status([task_id]) == {task_id: Status.RUNNING}
        assert not moved.done()
        store.refuses = lambda _: False
        assert moved.result(PATIENCE) == given
        assert other.check_status([task_id]) == {task_id: status}


def _next(stream: PipeStream) -> Task[object]:
    for _ in range(40):
        task = next(stream)
        if task is not None:
            return task
    raise AssertionError("no task came")
