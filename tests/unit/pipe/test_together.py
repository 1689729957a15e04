"""Many tasks taken and finished by one message each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import CustomBackend, LeaseLost, MemoryStorage, Pipe, Status
from tests.unit.store.stores import DictStore

SIZES = (10, 10_000, 2_000_000)


@pytest.fixture(params=["Memory", "Custom"])
def pipe(request: pytest.FixtureRequest, queue: MemoryStorage, private_directory: Path) -> Iterator[Pipe]:
    """A client of an empty queue."""
    backend: Any = queue if request.param == "Memory" else CustomBackend(store=DictStore())
    endpoint = f"ipc://{private_directory}/socket"
    with Pipe.serve(backend, endpoint), Pipe(endpoint) as client:
        yield client


def test_many_are_taken_and_finished(pipe: Pipe) -> None:
    """All of them run; each gets its own value."""
    ids = pipe.push_bulk(range(300))
    with pipe.register_worker("worker") as lease:
        stream, seen = pipe.poll(lease), 0
        while seen < 300:
            tasks = stream.take_many(200)
            assert set(pipe.check_status(task.id for task in tasks).values()) == {Status.RUNNING}
            seen += len(tasks)
            lease.finish_many(tasks, [task.args * 2 for task in tasks])
    assert [pipe.wait(task_id, 20).unwrap() for task_id in ids] == [2 * n for n in range(300)]


@pytest.mark.slow
def test_payloads_of_all_sizes(pipe: Pipe) -> None:
    """They come and go beside each other, whether they lie in the head of a message or behind it."""
    ids = pipe.push_bulk([bytes(size) for size in SIZES])
    with pipe.register_worker("worker") as lease:
        stream = pipe.poll(lease)
        tasks = [task for _ in SIZES for task in stream.take_many(3)]
        assert sorted(len(task.args) for task in tasks) == list(SIZES)
        lease.finish_many(tasks, [task.args for task in tasks])
    assert [len(pipe.wait(task_id, 20).unwrap()) for task_id in ids] == list(SIZES)


def test_one_that_was_taken_away(pipe: Pipe) -> None:
    """The others are done, and it is told."""
    ids = pipe.push_bulk(range(3))
    with pipe.register_worker("worker") as lease:
        stream = pipe.poll(lease)
        tasks = [task for _ in range(3) for task in stream.take_many(1)]
        assert lease.give_back(tasks[1])
        with pytest.raises(LeaseLost):
            lease.finish_many(tasks, range(3))
        with pytest.raises(ValueError, match="each has one"):
            lease.finish_many(tasks, [])
    assert [pipe.check_status(ids)[each] for each in ids] == [Status.DONE, Status.PENDING, Status.DONE]
