"""A full queue: who waits, who is told, and who must never be stopped by it."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq import ErrorInfo, MemoryStorage, QueueFull, Status, Task, TaskSinkError
from ipcq.backends.memory import segment
from ipcq.backends.memory.layout import META_WORDS, SLOT_CHUNK
from ipcq.layer import ForcedStop
from tests.disk import small_file_system

from .acting import error_of, fetched, pattern, total, until, work, worker

if TYPE_CHECKING:
    from ...conftest import MakeQueue

MIB = 1 << 20


def _fill(queue: MemoryStorage, payload: object = 0) -> int:
    """Push until there is no room; how many went in."""
    for count in range(100_000):
        try:
            queue.push(payload, block=False)
        except QueueFull:
            return count
    raise AssertionError("it takes everything")


# --- capacity ------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1, 2, 63, 64, 65])
def test_capacity(make_queue: MakeQueue, capacity: int) -> None:
    """A queue holds exactly as many tasks as its capacity says, again and again."""
    queue = make_queue(capacity=capacity)
    for _ in range(3):
        assert _fill(queue) == capacity == total(queue)
        work(queue, capacity)
        assert queue.vacuum() == capacity


def test_full_at_once(make_queue: MakeQueue) -> None:
    """With block=False a push to a full queue is refused at once, for all ways of pushing."""
    queue = make_queue(capacity=2)
    queue.push_bulk([1, 2])
    begin = time.monotonic()
    with pytest.raises(QueueFull, match=r"queue-0.*2 tasks.*capacity"):
        queue.push(3, block=False)
    with pytest.raises(QueueFull):
        queue.push_bulk([3], block=False)
    with pytest.raises(QueueFull):
        queue.push(3, timeout=0)
    assert time.monotonic() - begin < 0.4
    assert work(queue, 2) == [1, 2]


def test_full_after_a_while(make_queue: MakeQueue) -> None:
    """A push to a full queue waits as long as it may; the error names the capacity and the seconds."""
    queue = make_queue(capacity=2)
    queue.push_bulk([1, 2])
    begin = time.monotonic()
    with pytest.raises(QueueFull, match=r"'queue-0'.*2 tasks of capacity 2.*waited 0\.1 s.*capacity="):
        queue.push(3, timeout=0.1)
    assert 0.09 <= time.monotonic() - begin < 1
    assert total(queue) == 2


def test_a_waiting_push_is_woken(make_queue: MakeQueue) -> None:
    """A push that waits gets in as soon as there is room, not at the next tick."""
    queue = make_queue(capacity=1)
    queue.push(1, keep_result=False)
    with ThreadPoolExecutor() as pool, worker(queue) as hands:
        task = hands.take()
        pushing = pool.submit(queue.push, 2, timeout=10)
        until(pushing.running)
        finished = time.monotonic()
        hands.lease.finish(task, None)
        pushing.result(10)
        assert time.monotonic() - finished < 0.4
        assert hands.take().args == 2


def test_a_push_waits_for_another_to_fetch(make_queue: MakeQueue) -> None:
    """A push that waits because of results of another producer gets in when that one fetches them."""
    queue = make_queue(capacity=1)
    with MemoryStorage(queue.queue) as other, ThreadPoolExecutor() as pool:
        theirs = other.push("theirs")
        work(queue, 1)
        pushing = pool.submit(queue.push, "ours", timeout=10)
        until(pushing.running)
        assert other.wait(theirs, 10).value == "theirs"
        pushing.result(10)
    assert work(queue, 1) == ["ours"]


def test_ones_own_results(make_queue: MakeQueue) -> None:
    """Who waits for room that only its own unfetched results take is told so at once."""
    queue = make_queue(capacity=4)
    ids = queue.push_bulk(range(4))
    work(queue, 4)
    begin = time.monotonic()
    with pytest.raises(QueueFull, match=r"fetch|keep_result"):
        queue.push(5)
    assert time.monotonic() - begin < 0.4
    assert [result.value for result in queue.wait_for(ids, timeout=10)] == [0, 1, 2, 3]
    queue.push(5, block=False)


def test_a_bulk_that_can_never_fit(make_queue: MakeQueue) -> None:
    """A bulk larger than the queue, with results kept, ends with QueueFull instead of hanging."""
    queue = make_queue(capacity=4)
    with ThreadPoolExecutor() as pool:
        working = pool.submit(work, queue, 4)
        with pytest.raises(QueueFull):
            queue.push_bulk(range(10), timeout=20)
        assert working.result(10) == [0, 1, 2, 3]


def test_a_bulk_larger_than_the_queue(make_queue: MakeQueue) -> None:
    """A bulk larger than the queue gets through, in order, when no results are kept."""
    queue = make_queue(capacity=4)
    with ThreadPoolExecutor() as pool:
        working = pool.submit(work, queue, 50)
        ids = queue.push_bulk(range(50), keep_result=False, timeout=20)
        assert working.result(20) == list(range(50))
    assert len(set(ids)) == 50


def test_a_bulk_that_fits_only_in_part(make_queue: MakeQueue) -> None:
    """What a refused bulk did store is in order and runs; the error says how many that are."""
    queue = make_queue(capacity=4)
    with pytest.raises(QueueFull, match="4") as caught:
        queue.push_bulk(range(6), block=False)
    stored = total(queue)
    assert [fetched(queue, task_id).args for task_id in caught.value.accepted] == list(range(stored))
    assert work(queue, stored) == list(range(stored))


@pytest.mark.parametrize("sizes", [(9, 9, 9, 9, 9), (9, 9000, 9, 9, 9000), (9, 9, 9000, 9000, 9000)])
def test_a_refused_call_tells_what_it_stored(make_queue: MakeQueue, sizes: tuple[int, ...]) -> None:
    """Small and large payloads: those before the one at fault, in order, and nothing else."""
    queue = make_queue(capacity=4, codec="raw")
    with pytest.raises(QueueFull) as caught:
        queue.push_all([Task.of(pattern(size)) for size in sizes], block=False)
    accepted = caught.value.accepted
    assert [bytes(fetched(queue, task_id).args) for task_id in accepted] == [pattern(n) for n in sizes[:4]]
    with pytest.raises(QueueFull) as caught:
        queue.push(b"", block=False)
    assert list(caught.value.accepted) == []


@pytest.mark.parametrize("keep", [True, False])
def test_ones_own_dead_letters(make_queue: MakeQueue, keep: bool) -> None:
    """Who waits for room that only its own KILLED tasks take is told so at once, kept results or not."""
    queue = make_queue(capacity=2)
    ids = queue.push_bulk(range(2), keep_result=keep)
    with worker(queue) as hands:
        for _ in ids:
            hands.lease.fail(hands.take(), ErrorInfo("E", "m"))
    with pytest.raises(QueueFull, match=r"KILLED.*vacuum"):
        queue.push(5)
    assert queue.vacuum() == 2
    queue.push(5, block=False)


@pytest.mark.parametrize("capacity", [1, 2])
def test_tiny_queues_stream(make_queue: MakeQueue, capacity: int) -> None:
    """A queue of one or two places carries a stream and its results while they are fetched."""
    queue = make_queue(capacity=capacity)
    with ThreadPoolExecutor() as pool:
        working = pool.submit(work, queue, 30, lambda args: args * 2)
        values = [queue.wait(queue.push(n, timeout=10), 10).value for n in range(30)]
        working.result(10)
    assert values == [2 * n for n in range(30)]


def test_many_producers_and_little_room(make_queue: MakeQueue) -> None:
    """Several producers that wait for the same few places all get through."""
    queue = make_queue(capacity=3)

    def produce(name: int) -> None:
        for n in range(20):
            queue.push([name, n], keep_result=False, timeout=20)

    with ThreadPoolExecutor() as pool:
        producing = [pool.submit(produce, name) for name in range(4)]
        seen = work(queue, 80)
        for future in producing:
            future.result(10)
    for name in range(4):
        assert [n for who, n in seen if who == name] == list(range(20))


# --- bytes ---------------------------------------------------------------------------------------


def test_the_arena_is_full(make_queue: MakeQueue) -> None:
    """When the bytes are used up a push is refused with a message about bytes, and nothing is lost."""
    queue = make_queue(arena_bytes=MIB, codec="raw")
    data = pattern(50_000)
    count = _fill(queue, data)
    assert 10 <= count <= MIB // 50_000
    with pytest.raises(QueueFull, match=r"arena_bytes"):
        queue.push(data, timeout=0.01)
    with worker(queue) as hands:
        for _ in range(count):
            task = hands.take()
            assert bytes(task.args) == data
            hands.lease.finish(task, b"")
    queue.vacuum()
    assert _fill(queue, data) == count


def test_small_tasks_when_the_arena_is_full(make_queue: MakeQueue) -> None:
    """Tasks that need no arena still get in when the arena is full."""
    queue = make_queue(arena_bytes=MIB)
    _fill(queue, b"x" * 100_000)
    queue.push(1, block=False)


def test_the_blobs_are_full(make_queue: MakeQueue) -> None:
    """blob_bytes bounds what large payloads take together; the room comes back."""
    queue = make_queue(blob_bytes=4 * MIB, codec="raw")
    data = pattern(MIB)
    for _ in range(3):
        count = _fill(queue, data)
        assert 2 <= count <= 4
        with pytest.raises(QueueFull, match="blob_bytes"):
            queue.push(data, timeout=0.01)
        with worker(queue) as hands:
            for _ in range(count):
                task = hands.take()
                assert bytes(task.args) == data
                hands.lease.finish(task, b"")
        assert queue.vacuum() == count


def test_a_worker_in_a_hurry_waits_for_no_room(make_queue: MakeQueue) -> None:
    """Neither one that waits nor one that would: its task stays RUNNING, to be given back."""
    queue = make_queue(blob_bytes=4 * MIB, codec="raw")
    ids = queue.push_bulk([b""] * 5)
    with worker(queue) as hands, ThreadPoolExecutor(1) as pool:
        hands.lease.finish(hands.take(), bytes(3 * MIB))
        task = hands.take()
        finishing = pool.submit(hands.lease.finish, task, bytes(3 * MIB))
        assert not wait([finishing], 0.05).done
        hands.lease.hurry()
        with pytest.raises(ForcedStop):
            finishing.result(20)
        with pytest.raises(ForcedStop):
            hands.lease.finish(task, bytes(3 * MIB))
        assert hands.lease.give_back(task)
        hands.lease.finish(hands.take(), b"there is room for this")
    assert list(queue.check_status(ids).values()).count(Status.DONE) == 2


@pytest.mark.parametrize("size", [300_000, 3 * MIB])
def test_a_payload_over_the_limit(make_queue: MakeQueue, size: int) -> None:
    """A payload that can never fit is refused at once, by a message that names the limit."""
    queue = make_queue(blob_bytes=MIB // 4, codec="raw")
    begin = time.monotonic()
    with pytest.raises(TaskSinkError, match="blob_bytes"):
        queue.push(bytes(size), timeout=5)
    with pytest.raises(TaskSinkError, match="blob_bytes"):
        queue.push_bulk([b"small", bytes(size)], timeout=5)
    assert time.monotonic() - begin < 1
    queue.push(b"small", block=False)


def test_a_result_over_the_limit(make_queue: MakeQueue) -> None:
    """A result that can never be stored makes its task KILLED, with an error that says so, at once."""
    queue = make_queue(blob_bytes=MIB // 4, codec="raw")
    task_id = queue.push(b"args")
    begin = time.monotonic()
    with worker(queue) as hands:
        hands.lease.finish(hands.take(), bytes(3 * MIB))
    assert time.monotonic() - begin < 1
    result = queue.wait(task_id, 10)
    assert result.status == Status.KILLED
    for part in (str(3 * MIB), "blob_bytes"):
        assert part in error_of(result).message


@pytest.mark.parametrize("size", [50, 3000, 20_000])
def test_workers_finish_though_producers_filled_everything(make_queue: MakeQueue, size: int) -> None:
    """Producers that fill the arena never stop a worker from storing a result."""
    queue = make_queue(arena_bytes=MIB, codec="raw")
    count = _fill(queue, bytes(60_000))
    with worker(queue) as hands:
        task = hands.take()
        task_id = task.id
        begin = time.monotonic()
        hands.lease.finish(task, pattern(size))
        assert time.monotonic() - begin < 1
    assert bytes(queue.wait(task_id, 10).value or b"") == pattern(size)
    assert total(queue) == count


def test_workers_store_large_results_though_blobs_are_full(make_queue: MakeQueue) -> None:
    """Producers that fill the large files leave room for a large result."""
    queue = make_queue(blob_bytes=16 * MIB, codec="raw")
    _fill(queue, bytes(MIB))
    with worker(queue) as hands:
        task = hands.take()
        hands.lease.finish(task, pattern(400_000))
    assert bytes(queue.wait(task.id, 10).value or b"") == pattern(400_000)


@pytest.mark.parametrize("size", [10, 20_000])
def test_workers_fail_tasks_though_everything_is_full(make_queue: MakeQueue, size: int) -> None:
    """An error can be stored when producers filled everything, too."""
    queue = make_queue(arena_bytes=MIB, blob_bytes=MIB, capacity=64)
    _fill(queue, bytes(60_000))
    with worker(queue) as hands:
        task = hands.take()
        info = ErrorInfo("E", "m" * size)
        assert hands.lease.fail(task, info) == Status.KILLED
    assert queue.wait(task.id, 10).error == info


def test_results_that_nobody_fetches(make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results nobody fetches may fill all bytes; then tasks end as KILLED, after a while of waiting."""
    monkeypatch.setattr("ipcq.backends.memory.leasing._PATIENCE", 0.0)
    queue = make_queue(arena_bytes=MIB, blob_bytes=MIB // 4, capacity=256)
    queue.push_bulk(range(256))
    with worker(queue) as hands:
        for _ in range(256):
            hands.lease.finish(hands.take(), bytes(60_000))
    assert total(queue, Status.DONE) >= 2
    assert total(queue, Status.DONE) + total(queue, Status.KILLED) == 256
    for task in queue.list_tasks().items:
        result = queue.wait(task.id, 10)
        assert result.value == bytes(60_000) or error_of(result).type == "NoRoom"


# --- a file system that is full -------------------------------------------------------------------


@pytest.fixture
def full_disk(private_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Queues lie in a file system of 8 MiB, which tasks can fill."""
    with small_file_system(private_directory / "disk", "8m") as path:
        monkeypatch.setenv("IPCQ_DIR", str(path))
        yield path


@pytest.mark.parametrize("payload", [10, 3000])
@pytest.mark.usefixtures("full_disk")
def test_workers_finish_though_tasks_filled_the_file_system(payload: int) -> None:
    """Places or payloads leave no page: results lie in what was committed before them."""
    with MemoryStorage("full", codec="raw") as queue:
        with pytest.raises(QueueFull, match="shared memory exhausted"):
            queue.push_stream(itertools.repeat(bytes(payload)), block=False)
        begin = time.monotonic()
        with worker(queue) as hands:
            tasks = hands.take_many(1)
            for size in (57, 3000, 20_000, 60_000):
                hands.lease.finish(tasks[-1], pattern(size))
                tasks += hands.take_many(1)
            info = ErrorInfo("E", "m" * 20_000)
            hands.lease.fail(tasks[-1], info)
        assert time.monotonic() - begin < 1
        for task, size in zip(tasks, (57, 3000, 20_000, 60_000), strict=False):
            assert bytes(queue.wait(task.id, 10).value or b"") == pattern(size)
        assert queue.wait(tasks[-1].id, 10).error == info


def test_the_results_share_is_committed_before_the_first_place(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no page for it, no task is accepted."""
    queue = make_queue()
    sizes = []
    allocate = segment.allocate

    def record(fd: int, start: int, size: int) -> None:
        sizes.append(size)
        allocate(fd, start, size)

    with monkeypatch.context() as full:
        full.setattr(segment, "allocate", _refuse)
        with pytest.raises(QueueFull, match="exhausted"):
            queue.push(1)
    assert total(queue) == 0
    monkeypatch.setattr(segment, "allocate", record)
    queue.push(1)
    assert sizes == [MIB, SLOT_CHUNK * META_WORDS * 8]


def test_payloads_leave_the_results_share_of_what_is_committed(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine tenths of what there is; then more must be committed, and is, where there is more."""
    queue = make_queue(codec="raw", arena_bytes=2 * MIB)
    queue.push(b"")
    allocate = segment.allocate
    monkeypatch.setattr(segment, "allocate", _refuse)
    with pytest.raises(QueueFull, match="exhausted"):
        queue.push_bulk([bytes(60_000)] * 17, block=False)
    assert total(queue) == 1 + 14
    monkeypatch.setattr(segment, "allocate", allocate)
    assert _fill(queue, bytes(60_000)) == 14


def _refuse(fd: int, start: int, size: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
