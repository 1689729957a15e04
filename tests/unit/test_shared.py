"""Several typed queues over one connection."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import CustomBackend, JsonStorage, MemoryStorage, NotSupported, QueueExists, SharedConnection, Task

from .store.stores import DictStore
from .working import work


@pytest.fixture
def memory(queue: MemoryStorage) -> Iterator[SharedConnection[MemoryStorage]]:
    """Over a queue in shared memory."""
    with SharedConnection(queue) as shared:
        yield shared
        for made in list(shared._made.values()):
            if not made.closed:
                made.destroy(force=True)


@pytest.fixture
def store() -> Iterator[SharedConnection[Any]]:
    """Over a queue in a store."""
    with CustomBackend(store=DictStore()) as backend, SharedConnection(backend) as shared:
        yield shared


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedConnection[JsonStorage]]:
    """Over a queue in a file."""
    with JsonStorage(tmp_path / "q.jsonl", fsync="never") as backend, SharedConnection(backend) as shared:
        yield shared


@pytest.fixture(params=["memory", "store", "file"])
def shared(request: pytest.FixtureRequest) -> SharedConnection[Any]:
    """Over each kind of backend."""
    connection: SharedConnection[Any] = request.getfixturevalue(request.param)
    return connection


def test_each_queue_has_its_own_tasks(shared: SharedConnection[Any]) -> None:
    """Tasks of one queue are run by its workers only, and its results are its own."""
    words, numbers = shared.make("words", str), shared.make("numbers", int)
    word, number = words.push("a"), numbers.push(3)
    work(words, str.upper)
    assert numbers.fetch_by_id(number).status.name == "PENDING"
    work(numbers, abs)
    assert (words.wait(word, 10).value, numbers.wait(number, 10).value) == ("A", 3)
    assert words.fetch_by_id(number) is None


def test_only_its_type_goes_in(shared: SharedConnection[Any]) -> None:
    """Every way to push refuses arguments of another type, and stores none of a bulk with one."""
    numbers = shared.make("numbers", list[int])
    with pytest.raises(TypeError, match="queue 'numbers' takes list, not str: 'a'"):
        numbers.push("a")
    for push in (numbers.push_bulk, numbers.push_stream):
        with pytest.raises(TypeError, match="not int"):
            push([[1], 2])
    with pytest.raises(TypeError, match="not dict"):
        numbers.push_task(Task.of({}))

    async def rows() -> Any:
        yield 5

    with pytest.raises(TypeError, match="not int"):
        asyncio.run(numbers.push_stream(rows()))
    assert numbers.list_tasks().total == 0
    numbers.push([1], priority=3)
    numbers.push_all([Task.of([2])])
    assert numbers.push_stream([[3]]) == 1
    assert [task.args for task in numbers.list_tasks().items] == [[3], [2], [1]]


def test_the_same_queue_twice_is_refused(shared: SharedConnection[Any]) -> None:
    """A queue is open once over a connection, the backend's own one too; closed, it may be made again."""
    first = shared.make("words")
    with pytest.raises(QueueExists, match="has queue 'words' open already"):
        shared.make("words", str)
    with pytest.raises(QueueExists):
        shared.make(shared._backend.queue)
    first.push("kept")
    first.close()
    assert shared.make("words").list_tasks().total == 1


def test_settings_are_those_of_the_first(private_directory: object) -> None:
    """A queue that is made has the settings of the backend that the connection is of."""
    with MemoryStorage("first", capacity=32, codec="json", result_ttl=60) as first:
        with SharedConnection(first).make("second") as second:
            assert {**second.config} == {**first.config}
            second.destroy()
        first.destroy()


def test_a_queue_can_be_sent_to_workers(memory: SharedConnection[MemoryStorage]) -> None:
    """A typed queue opened by another process is the same queue."""
    numbers = memory.make("numbers", int)
    numbers.push(1)
    with pickle.loads(pickle.dumps(numbers)) as other:
        assert other.list_tasks().total == 1


def test_not_every_backend_has_a_place_for_more() -> None:
    """A backend of functions has one queue: NotSupported says so."""
    with pytest.raises(NotSupported, match="does not support SharedConnection"):
        SharedConnection(CustomBackend(push=print))  # type: ignore[type-var]


def test_what_it_made_can_be_seen(shared: SharedConnection[Any]) -> None:
    """Its repr tells the queues that are open."""
    assert "[no queues yet]" in repr(shared)
    made = shared.make("b"), shared.make("a")
    assert repr(shared).endswith("[a, b]>")
    made[0].close()
    assert repr(shared).endswith("[a]>")
