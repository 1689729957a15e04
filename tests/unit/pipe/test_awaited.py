"""Results that came for those who wait behind a pipe, and are not fetched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ipcq import MemoryStorage, TaskId, TaskNotFound
from ipcq.backends.pipe import awaited
from ipcq.backends.pipe.awaited import Awaited
from ipcq.backends.pipe.wire import Passing

CLIENT, ONE, OTHER = b"client", b"one", b"other"
SIZE = 1000


@pytest.fixture
def backend(queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStorage]:
    """As a server has it; two results and a half lie there for each who waits."""
    monkeypatch.setattr(awaited, "_MOST_CAME", SIZE * 5 // 2)
    with queue.reopened(Passing("msgpack")) as passing:
        yield passing


def _finish(queue: MemoryStorage, count: int) -> None:
    with queue.register_worker("worker") as lease:
        stream = queue.poll(lease)
        for _ in range(count):
            task = next(stream)
            assert task is not None
            lease.finish(task, bytes(SIZE))


def _look(waiting: Awaited, count: int) -> None:
    """Until so many came for the one."""
    while len(waiting._waiters[ONE].came) < count:
        waiting.sort()


def _end(waiting: Awaited, left: list[TaskId]) -> None:
    """The one gets the rest; nothing is left of it then."""
    found = set[TaskId]()
    while found != set(left):
        waiting.sort()
        found |= {task_id for task_id, _ in waiting.fetch(ONE, 9) or ()}
    assert not waiting._waiters
    assert not waiting._askers
    assert (waiting._size, waiting._tasks._all, waiting._waits._all) == (0, 0, 0)


def test_few_lie_there_for_one_who_does_not_fetch(queue: MemoryStorage, backend: MemoryStorage) -> None:
    """The others stay in the queue, and come in their order when it fetches again."""
    waiting, ids = Awaited(backend), queue.push_bulk(range(9))
    waiting.ask(CLIENT, ONE, ids)
    for count in (1, 2, 3):
        _finish(queue, 1)
        _look(waiting, count)
    _finish(queue, 6)
    for _ in range(3):
        waiting.sort()
    assert len(waiting._waiters[ONE].came) == 3
    first = waiting.fetch(ONE, 2)
    assert first is not None
    assert [task_id for task_id, _ in first] == ids[:2]
    _end(waiting, ids[2:])


def test_others_are_not_held_up(queue: MemoryStorage, backend: MemoryStorage) -> None:
    """Who waits for the same tasks gets them; so does the one, later."""
    waiting, ids = Awaited(backend), queue.push_bulk(range(5))
    waiting.ask(CLIENT, ONE, ids)
    _finish(queue, 3)
    _look(waiting, 3)
    waiting.ask(CLIENT, OTHER, ids[2:])
    _finish(queue, 2)
    found = list[TaskId]()
    while len(found) < 3:
        waiting.sort()
        found += [task_id for task_id, _ in waiting.fetch(OTHER, 9) or ()]
    assert sorted(found) == ids[2:]
    _end(waiting, ids)


def test_what_was_removed_meanwhile(queue: MemoryStorage, backend: MemoryStorage) -> None:
    """The one is told so; of what was not there in the first place at once."""
    waiting, ids = Awaited(backend), queue.push_bulk(range(5))
    waiting.ask(CLIENT, ONE, ids[:4])
    _finish(queue, 3)
    _look(waiting, 3)
    waiting.ask(CLIENT, ONE, ids[4:])
    with pytest.raises(TaskNotFound):
        waiting.ask(CLIENT, ONE, [TaskId.new()])
    _finish(queue, 2)
    assert queue.vacuum() == 5
    waiting.fetch(ONE, 3)
    came = waiting.fetch(ONE, 9)
    assert came is not None
    assert sorted(came) == [(task_id, None) for task_id in ids[3:]]
    _end(waiting, [])


def test_one_who_is_forgotten(queue: MemoryStorage, backend: MemoryStorage) -> None:
    """Whether it paused or not, nothing is left of it."""
    waiting, ids = Awaited(backend), queue.push_bulk(range(5))
    waiting.ask(CLIENT, ONE, ids)
    _finish(queue, 3)
    _look(waiting, 3)
    waiting.forget(ONE, ids[3:4])
    waiting.tend(1e12)
    _end(waiting, [])
