"""Pushing: what is accepted, what is refused, and in which order it is handed out."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    CodecError,
    ConfigMismatch,
    DuplicateTask,
    IllegalTransition,
    IpcqError,
    MemoryStorage,
    PushError,
    QueueFull,
    Status,
    Task,
    TaskId,
)

from .acting import SIZES, Rot13, fetched, pattern, total, until, work, worker

if TYPE_CHECKING:
    from ...conftest import MakeQueue

# --- the five ways in --------------------------------------------------------------------------


def test_push_stores_a_pending_task_with_its_parts(queue: MemoryStorage) -> None:
    """What was pushed can be looked up by its id, with every part as it was given."""
    before = time.time()
    own = TaskId.new()
    task_id = queue.push(
        {"n": 1},
        id=own,
        priority=3,
        max_attempts=4,
        max_deaths=5,
        run_timeout=1.5,
        metadata={"who": "me", "list": [1, None]},
        keep_result=False,
    )
    task = fetched(queue, task_id)
    assert task_id == own == task.id
    assert (task.args, task.queue, task.status, task.codec) == (
        {"n": 1},
        queue.queue,
        Status.PENDING,
        "msgpack",
    )
    assert (task.priority, task.max_attempts, task.max_deaths, task.timeout) == (3, 4, 5, 1.5)
    assert task.metadata == {"who": "me", "list": [1, None]}
    assert not task.keep_result
    assert (task.attempts, task.deaths, task.lock_by, task.lock_at, task.done_at) == (0, 0, None, None, None)
    assert before - 0.01 <= task.created_at <= time.time() + 0.01


def test_push_defaults(queue: MemoryStorage) -> None:
    """Without parts a task has those that `Task` documents."""
    task = fetched(queue, queue.push(None))
    assert (task.args, task.priority, task.max_attempts, task.max_deaths) == (None, 0, 1, 2)
    assert (task.timeout, task.metadata, task.keep_result) == (None, {}, True)


def test_fetch_by_id_takes_text(queue: MemoryStorage) -> None:
    """A task is found by its id's text, an unknown id gives None, and no id is a ValueError."""
    task_id = queue.push(1)
    assert fetched(queue, TaskId.parse(str(task_id))).id == task_id
    found = queue.fetch_by_id(str(task_id))
    assert found is not None
    assert found.id == task_id
    assert queue.fetch_by_id(TaskId.new()) is None
    with pytest.raises(ValueError, match="not a task id"):
        queue.fetch_by_id("nonsense")


def test_bulk_keeps_the_order(queue: MemoryStorage) -> None:
    """push_bulk returns the ids in order and the tasks are handed out in that order."""
    ids = queue.push_bulk(iter(range(500)), priority=1)
    assert len(set(ids)) == 500
    assert [fetched(queue, task_id).args for task_id in ids[:3]] == [0, 1, 2]
    assert work(queue, 500) == list(range(500))


def test_bulk_of_nothing(queue: MemoryStorage) -> None:
    """push_bulk and push_all of nothing store nothing."""
    assert queue.push_bulk([]) == queue.push_all([]) == []
    assert queue.push_stream([]) == total(queue) == 0


def test_bulk_is_all_or_nothing_when_encoding(queue: MemoryStorage) -> None:
    """Nothing is pushed when one of many cannot be encoded."""
    with pytest.raises(CodecError, match="object"):
        queue.push_bulk([*range(100), object()])
    with pytest.raises(CodecError):
        queue.push_all([Task.of(1), Task.of(1 << 70)])
    assert total(queue) == 0


def test_bulk_whose_source_raises(queue: MemoryStorage) -> None:
    """What the source of push_bulk raises passes through, and nothing is pushed."""

    def source() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        queue.push_bulk(source())
    assert total(queue) == 0


def test_stream_counts(queue: MemoryStorage) -> None:
    """push_stream returns how many it stored, whether or not they fill the last batch."""
    assert queue.push_stream(range(64 * 2), metadata={"a": 1}) == 128
    assert queue.push_stream(iter(range(128, 131)), batch=2) == 3
    assert work(queue, 131) == list(range(131))


def test_stream_is_lazy(queue: MemoryStorage) -> None:
    """push_stream never reads more than a batch beyond what it stored."""

    def source() -> Iterator[int]:
        for n in range(100):
            assert total(queue) > n - 9, "it hoards"
            yield n

    assert queue.push_stream(source(), batch=8) == 100


def test_stream_without_end(make_queue: MakeQueue) -> None:
    """An endless source is read as far as there is room, a batch ahead at the most."""
    queue = make_queue(capacity=16)
    numbers = itertools.count()
    with pytest.raises(QueueFull):
        queue.push_stream(numbers, batch=4, block=False)
    assert total(queue) == 16
    assert next(numbers) <= 16 + 4


def test_stream_waits_for_room(make_queue: MakeQueue) -> None:
    """A stream larger than the queue gets through while a worker makes room."""
    queue = make_queue(capacity=4)
    with ThreadPoolExecutor() as pool:
        seen = pool.submit(work, queue, 100)
        assert queue.push_stream(range(100), batch=8, keep_result=False, timeout=10) == 100
        assert seen.result(10) == list(range(100))


def test_stream_whose_source_raises(queue: MemoryStorage) -> None:
    """The whole batches before a source's error are stored, and the error passes through."""

    def source() -> Iterator[int]:
        yield from range(10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        queue.push_stream(source(), batch=4)
    assert total(queue) >= 8


def test_stream_with_an_odd_batch(queue: MemoryStorage) -> None:
    """A batch must be one task or more."""
    with pytest.raises(ValueError, match="batch"):
        queue.push_stream([1], batch=0)
    assert queue.push_stream([1, 2], batch=1) == 2


async def _numbers(count: int) -> AsyncIterator[int]:
    for n in range(count):
        await asyncio.sleep(0)
        yield n


def test_async_stream(queue: MemoryStorage) -> None:
    """An async source makes push_stream awaitable; it gives the count."""

    async def main() -> int:
        return int(await queue.push_stream(_numbers(70), batch=16, priority=2))

    assert asyncio.run(main()) == 70
    assert work(queue, 70) == list(range(70))


def test_async_stream_leaves_the_loop_free(make_queue: MakeQueue) -> None:
    """While an async stream waits for room its event loop runs other things: here, the worker."""
    queue = make_queue(capacity=4)

    async def main() -> int:
        pushing = asyncio.ensure_future(
            queue.push_stream(_numbers(12), batch=4, keep_result=False, timeout=10)
        )
        with worker(queue) as hands:
            done = 0
            while done < 12:
                await asyncio.sleep(0)
                if total(queue, Status.PENDING):
                    hands.work(1)
                    done += 1
        return int(await pushing)

    assert asyncio.run(main()) == 12


def test_async_stream_whose_source_raises(queue: MemoryStorage) -> None:
    """What an async source raises reaches who awaits."""

    async def source() -> AsyncIterator[int]:
        yield 1
        raise ZeroDivisionError

    async def main() -> None:
        await queue.push_stream(source(), batch=1)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert total(queue) == 1


def test_push_task_keeps_its_parts(queue: MemoryStorage) -> None:
    """push_task stores a task with its own id and parts."""
    task = Task.of([1, 2], priority=-7, max_attempts=2, metadata={"a": b"b"}, timeout=3.0)
    assert queue.push_task(task) == task.id
    stored = fetched(queue, task.id)
    assert (stored.args, stored.priority, stored.max_attempts) == ([1, 2], -7, 2)
    assert (stored.metadata, stored.timeout) == ({"a": b"b"}, 3.0)


@pytest.mark.parametrize("parts", [{"status": status} for status in Status if status] + [{"attempts": 1}])
def test_push_task_of_one_that_lived(queue: MemoryStorage, parts: dict[str, Any]) -> None:
    """Only a PENDING task without attempts may be pushed."""
    with pytest.raises((PushError, IllegalTransition)):
        queue.push_task(Task.of(1, **parts))
    with pytest.raises((PushError, IllegalTransition)):
        queue.push_all([Task.of(0), Task.of(1, **parts)])
    assert total(queue) == 0


def test_push_task_of_another_queue(make_queue: MakeQueue) -> None:
    """A task that was read from one queue can be pushed into another, with another codec."""
    here, there = make_queue(), make_queue(codec="json")
    task = fetched(here, here.push({"a": [1, 2]}, priority=5))
    there.push_task(task)
    assert (fetched(there, task.id).args, fetched(there, task.id).priority) == ({"a": [1, 2]}, 5)
    assert fetched(there, task.id).codec == "json"


def test_push_all_keeps_the_order(queue: MemoryStorage) -> None:
    """push_all stores tasks of different parts in order."""
    tasks = [Task.of(n, priority=n % 2) for n in range(6)]
    assert queue.push_all(iter(tasks)) == [task.id for task in tasks]
    assert work(queue, 6) == [1, 3, 5, 0, 2, 4]


# --- parts and their bounds ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "bad"),
    [
        ("priority", -8),
        ("priority", 9),
        ("max_attempts", 0),
        ("max_attempts", 16384),
        ("max_deaths", -1),
        ("max_deaths", 256),
        ("run_timeout", 0),
        ("run_timeout", -1.0),
        ("run_timeout", math.nan),
        ("run_at", math.nan),
        ("run_at", math.inf),
        ("run_at", -1.0),
        ("run_at", 1e30),
    ],
)
def test_a_part_out_of_bounds(queue: MemoryStorage, part: str, bad: Any) -> None:
    """A part out of its bounds is a ValueError that names the part and the value."""
    with pytest.raises(ValueError, match=f"{part}|{part.removeprefix('run_')}") as caught:
        queue.push(1, **{part: bad})
    assert str(bad).removesuffix(".0") in str(caught.value)
    with pytest.raises(ValueError, match=f"{part}|{part.removeprefix('run_')}"):
        queue.push_bulk([1, 2], **{part: bad})
    assert total(queue) == 0


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("priority", "high"),
        ("priority", 1.5),
        ("max_attempts", None),
        ("max_deaths", "2"),
        ("run_at", "tomorrow"),
        ("run_timeout", "1"),
        ("id", 3.5),
        ("metadata", 5),
    ],
)
def test_a_part_of_a_wrong_type(queue: MemoryStorage, part: str, wrong: Any) -> None:
    """A part of a wrong type is a TypeError, ValueError or CodecError, and nothing is stored."""
    with pytest.raises((TypeError, ValueError, CodecError)):
        queue.push(1, **{part: wrong})
    assert total(queue) == 0
    queue.push(2)
    assert work(queue, 1) == [2]


@pytest.mark.parametrize(
    ("part", "good"),
    [("priority", -7), ("priority", 8), ("max_attempts", 16383), ("max_deaths", 0), ("max_deaths", 255)],
)
def test_a_part_at_its_bound(queue: MemoryStorage, part: str, good: Any) -> None:
    """The bounds themselves are accepted and kept."""
    assert getattr(fetched(queue, queue.push(1, **{part: good})), part) == good


def test_an_unknown_part(queue: MemoryStorage) -> None:
    """A part that tasks do not have is a TypeError that names it."""
    with pytest.raises(TypeError, match="prioritee"):
        queue.push(1, prioritee=1)
    with pytest.raises(TypeError, match="prioritee"):
        queue.push_bulk([1], prioritee=1)


@pytest.mark.parametrize(
    "part", ["status", "attempts", "deaths", "lock_by", "payload", "queue", "created_at"]
)
def test_a_part_that_is_not_the_callers(queue: MemoryStorage, part: str) -> None:
    """What the queue itself decides cannot be given as a part."""
    parts: dict[str, Any] = {part: 1}
    with pytest.raises((TypeError, ValueError, IpcqError), match=part):
        queue.push(1, **parts)
    assert total(queue) == 0


def test_metadata_of_every_plain_kind(queue: MemoryStorage) -> None:
    """Metadata of plain values travels unchanged, also when it is large; else it is a CodecError."""
    metadata: dict[str, Any] = {
        "none": None,
        "bytes": b"\0",
        "float": 0.1,
        "text": "äß\N{SNOWMAN}",
        "deep": {"a": [{}]},
    }
    assert fetched(queue, queue.push(1, metadata=metadata)).metadata == metadata
    large = {"x": "y" * 300_000}
    task = fetched(queue, queue.push("args", metadata=large))
    assert (task.args, task.metadata) == ("args", large)
    with pytest.raises(CodecError):
        queue.push(1, metadata={"x": object()})
    assert total(queue) == 2


def test_metadata_reaches_the_worker(make_queue: MakeQueue) -> None:
    """A worker sees the metadata of a task, whatever the codec of its arguments is."""
    queue = make_queue(codec="raw")
    queue.push(b"args", metadata={"trace": "t-1"})
    with worker(queue) as hands:
        task = hands.take()
        assert (task.metadata, bytes(task.args)) == ({"trace": "t-1"}, b"args")


# --- payloads and codecs -------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_payloads_of_every_class(make_queue: MakeQueue, size: int) -> None:
    """Arguments of every size arrive as they were, when looked up and when handed out."""
    queue = make_queue(codec="raw")
    data = pattern(size)
    ids = queue.push_bulk([data, data[::-1]], metadata={"size": size})
    assert bytes(fetched(queue, ids[0]).args) == data
    with worker(queue) as hands:
        first = hands.take()
        assert bytes(first.args) == data
        hands.lease.finish(first, b"")
        assert bytes(hands.take().args) == data[::-1]


def test_large_arguments_outlive_their_task(make_queue: MakeQueue) -> None:
    """What a worker got stays readable after the task is finished and its place used again."""
    queue = make_queue(codec="raw", capacity=1)
    data = pattern(1 << 20)
    with worker(queue) as hands:
        queue.push(data, keep_result=False)
        task = hands.take()
        args = task.args
        hands.lease.finish(task, b"")
        queue.push(data[::-1], keep_result=False)
        assert bytes(args) == data
        assert bytes(hands.take().args) == data[::-1]


@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 2**64 - 1, -(2**63), 0.5, "ä", b"", [], {}, {"a": [1, {}]}]
)
def test_plain_values(queue: MemoryStorage, value: object) -> None:
    """Every plain value arrives equal to what was pushed."""
    assert fetched(queue, queue.push(value)).args == value


@pytest.mark.parametrize("value", [1 << 64, object(), {1, 2}, len, {"a": [object()]}])
def test_values_without_a_form(queue: MemoryStorage, value: object) -> None:
    """What msgpack cannot carry is a CodecError that names the codec."""
    with pytest.raises(CodecError, match="msgpack"):
        queue.push(value)
    assert total(queue) == 0


def test_values_that_contain_themselves(queue: MemoryStorage) -> None:
    """A value without end is a CodecError, and the codec works afterwards."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CodecError):
        queue.push(endless)
    assert fetched(queue, queue.push([1])).args == [1]


def test_json(make_queue: MakeQueue) -> None:
    """A queue with the codec json carries JSON and refuses bytes."""
    queue = make_queue(codec="json")
    assert fetched(queue, queue.push({"a": [1 << 80, "ä"]})).args == {"a": [1 << 80, "ä"]}
    with pytest.raises(CodecError, match="json"):
        queue.push(b"bytes")


def test_raw(make_queue: MakeQueue) -> None:
    """A queue with the codec raw carries bytes and refuses the rest."""
    queue = make_queue(codec="raw")
    assert bytes(fetched(queue, queue.push(memoryview(b"abc"))).args) == b"abc"
    with pytest.raises(CodecError, match="raw"):
        queue.push("text")


def test_a_custom_codec(make_queue: MakeQueue) -> None:
    """A codec object is used for arguments and results, and the queue remembers its name."""
    queue = make_queue(codec=Rot13())
    task_id = queue.push("hello")
    assert queue.config["codec"] == "rot13"
    assert fetched(queue, task_id).codec == "rot13"
    assert work(queue, 1, str.upper) == ["hello"]
    assert queue.wait(task_id, 10).value == "HELLO"


def test_a_custom_codec_that_is_not_there(make_queue: MakeQueue) -> None:
    """Without the codec object its queue gives an error that names the codec, never garbage."""
    queue = make_queue(codec=Rot13())
    task_id = queue.push("hello")
    with pytest.raises(CodecError, match="rot13"), MemoryStorage(queue.queue) as other:
        _ = fetched(other, task_id).args


def test_another_codec(make_queue: MakeQueue) -> None:
    """Opening a queue with another codec is a ConfigMismatch that names both."""
    queue = make_queue(codec="json")
    with pytest.raises(ConfigMismatch, match=r"(?s)json.*msgpack"):
        MemoryStorage(queue.queue, codec="msgpack")
    with MemoryStorage(queue.queue) as other:
        assert other.config["codec"] == "json"
        assert fetched(other, queue.push([1])).args == [1]


def test_an_unknown_codec() -> None:
    """A codec's name that nobody knows is an error that lists the known ones."""
    with pytest.raises((CodecError, ValueError), match=r"json.*msgpack.*raw"):
        MemoryStorage("q", codec="cbor")


# --- ids -----------------------------------------------------------------------------------------


def test_an_id_twice(queue: MemoryStorage) -> None:
    """An id that is in the queue is refused, whatever became of its task and whoever pushes it."""
    task_id = queue.push(1)
    with MemoryStorage(queue.queue) as other:
        with pytest.raises(DuplicateTask, match=str(task_id)):
            other.push(2, id=task_id)
        with worker(queue) as hands:
            task = hands.take()
            with pytest.raises(DuplicateTask):
                queue.push(2, id=task_id)
            hands.lease.finish(task, "one")
        with pytest.raises(DuplicateTask):
            other.push(2, id=task_id)
        with pytest.raises(DuplicateTask):
            other.push_task(Task.of(2, id=task_id))
        assert total(queue) == 1
        assert queue.wait(task_id, 10).value == "one"


def test_an_id_again_after_its_task_is_gone(queue: MemoryStorage) -> None:
    """An id can be used again when its task was removed."""
    task_id = queue.push(1)
    work(queue, 1)
    assert queue.vacuum() == 1
    assert queue.push(2, id=task_id) == task_id
    assert fetched(queue, task_id).args == 2


def test_an_id_twice_in_one_call(queue: MemoryStorage) -> None:
    """The same id twice in one push_all is refused, and no task is there twice."""
    task = Task.of(1)
    with pytest.raises(DuplicateTask):
        queue.push_all([task, Task.of(2), task])
    with pytest.raises((DuplicateTask, TypeError, ValueError)):
        queue.push_bulk([1, 2], id=TaskId.new())
    ids = [task.id for task in queue.list_tasks().items]
    assert len(ids) == len(set(ids))


def test_an_id_refused_large(queue: MemoryStorage) -> None:
    """A duplicate with a large payload leaves nothing behind."""
    task_id = queue.push(b"x" * (1 << 20))
    with pytest.raises(DuplicateTask):
        queue.push(b"y" * (1 << 20), id=task_id)
    assert total(queue) == 1
    assert fetched(queue, task_id).args == b"x" * (1 << 20)


def test_an_id_as_text(queue: MemoryStorage) -> None:
    """An id may be given as its text."""
    task_id = TaskId.new()
    assert queue.push(1, id=str(task_id)) == task_id
    with pytest.raises(ValueError, match="not a task id"):
        queue.push(1, id="mine")


# --- order ---------------------------------------------------------------------------------------


def test_order(queue: MemoryStorage) -> None:
    """Higher priorities first, then first in, first out."""
    for n, priority in enumerate([0, 8, -7, 3, 8, 0, -7, 3]):
        queue.push(n, priority=priority)
    assert work(queue, 8) == [1, 4, 3, 7, 0, 5, 2, 6]


def test_a_late_high_priority_overtakes(queue: MemoryStorage) -> None:
    """A task of higher priority overtakes all that wait and no one that runs."""
    queue.push_bulk([1, 2])
    with worker(queue) as hands:
        assert hands.take().args == 1
        queue.push(3, priority=1)
        assert hands.work(1) == [3]


def test_a_delayed_task(queue: MemoryStorage) -> None:
    """A task is not handed out before its run_at, and promptly then, without another push."""
    moment = time.time() + 0.2
    delayed = queue.push("later", run_at=moment)
    queue.push("now")
    assert abs(fetched(queue, delayed).run_at - moment) <= 0.001
    with worker(queue) as hands:
        assert hands.work(2) == ["now", "later"]
        assert -0.0015 <= time.time() - moment < 0.4


def test_delayed_tasks_join_by_their_moment(queue: MemoryStorage) -> None:
    """Delayed tasks of one priority come in the order of their moments, not of their acceptance."""
    now = time.time()
    for number, delay in [(3, 0.09), (1, 0.03), (2, 0.06)]:
        queue.push(number, run_at=now + delay)
    assert work(queue, 3) == [1, 2, 3]


def test_a_moment_that_is_over(queue: MemoryStorage) -> None:
    """A run_at of the past means now, in the order of acceptance."""
    queue.push(1)
    queue.push(2, run_at=time.time() - 1000)
    assert work(queue, 2) == [1, 2]


def test_a_returned_task_has_its_old_place(queue: MemoryStorage) -> None:
    """A task that is given back comes before what was accepted after it."""
    queue.push_bulk([1, 2, 3])
    with worker(queue) as hands:
        first, second = hands.take(), hands.take()
        assert hands.lease.give_back(second)
        assert hands.lease.give_back(first)
        assert hands.work(3) == [1, 2, 3]


def test_threads_push_on_one_object(queue: MemoryStorage) -> None:
    """Threads may push on one object: nothing is lost, and each one's order is kept."""
    start = threading.Barrier(4)

    def produce(name: int) -> None:
        start.wait()
        for n in range(50):
            queue.push([name, n])

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(produce, name) for name in range(4)]:
            future.result(30)
    seen = work(queue, 200)
    for name in range(4):
        assert [n for who, n in seen if who == name] == list(range(50))


def test_a_push_wakes_a_waiting_worker(queue: MemoryStorage) -> None:
    """A worker that waits for tasks gets one as soon as it is pushed."""
    with worker(queue) as hands, ThreadPoolExecutor() as pool:
        taking = pool.submit(hands.take)
        until(taking.running)
        pushed = time.monotonic()
        queue.push(1)
        assert taking.result(10).args == 1
        assert time.monotonic() - pushed < 0.4
