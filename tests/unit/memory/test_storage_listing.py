"""What can be seen of a queue, and what vacuum removes from it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import CodecError, Expose, Filter, ListAllTasks, MemoryStorage, QueueNotFound, Status, StorageError

from .acting import BOOM, Rot13, fetched, status, total, work, worker

if TYPE_CHECKING:
    from ...conftest import MakeQueue

# --- tasks ---------------------------------------------------------------------------------------


def _args(queue: MemoryStorage, **wanted: Any) -> list[Any]:
    return [task.args for task in queue.list_tasks(filter=Filter(**wanted)).items]


def test_newest_first(queue: MemoryStorage) -> None:
    """Tasks are listed by acceptance, newest first, whatever their priority and status."""
    for n in range(5):
        queue.push(n, priority=n % 3)
    work(queue, 2)
    assert _args(queue) == [4, 3, 2, 1, 0]


def test_pages(queue: MemoryStorage) -> None:
    """Pages follow each other without gap or overlap; the last may be short, one beyond is empty."""
    queue.push_bulk(range(25))
    page = queue.list_tasks()
    assert (len(page.items), page.page, page.page_size, page.total) == (10, 1, 10, 25)
    assert _args(queue, page=1) + _args(queue, page=2) + _args(queue, page=3) == list(range(24, -1, -1))
    assert len(_args(queue, page=3)) == 5
    beyond = queue.list_tasks(filter=Filter(page=4))
    assert (list(beyond.items), beyond.total) == ([], 25)
    assert len(_args(queue, page_size=1000)) == 25
    assert _args(queue, page=10**9) == []


def test_an_empty_page(queue: MemoryStorage) -> None:
    """A queue without tasks gives an empty page."""
    page = queue.list_tasks()
    assert (list(page.items), page.total) == ([], 0)


def test_filter_by_status(queue: MemoryStorage) -> None:
    """A filter by status lists only such tasks, and counts only those."""
    queue.push_bulk(range(6), max_attempts=2)
    with worker(queue, prefetch=2) as hands:
        hands.work(1)
        hands.lease.fail(hands.take(), BOOM, final=True)
        hands.lease.fail(hands.take(), BOOM, retry_in=100)
        hands.take()
        assert _args(queue, status=Status.DONE) == [0]
        assert _args(queue, status=Status.KILLED) == [1]
        assert _args(queue, status=Status.FAILED) == [2]
        assert _args(queue, status=Status.RUNNING) == [3]
        assert total(queue, Status.QUEUED) + total(queue, Status.PENDING) == 2


def test_filter_by_worker(queue: MemoryStorage) -> None:
    """A filter by worker lists what that worker has, and nothing for an unknown one."""
    queue.push_bulk(range(6))
    with worker(queue, "a", prefetch=2) as one, worker(queue, "b") as two:
        one.take()
        mine = two.take().args
        assert _args(queue, worker="b") == [mine]
        assert _args(queue, worker="b", status=Status.PENDING) == []
        assert _args(queue, worker="nobody") == []
        assert all(task.lock_by == "a" for task in queue.list_tasks(filter=Filter(worker="a")).items)
    assert _args(queue, worker="b") == []


def test_list_tasks_of_another_queue(make_queue: MakeQueue) -> None:
    """list_tasks(queue) lists another queue's tasks, by that queue's codec; an unknown one is an error."""
    here, there = make_queue("here"), make_queue("there", codec="json")
    there.push({"a": 1})
    (task,) = here.list_tasks("there").items
    assert (task.queue, task.args) == ("there", {"a": 1})
    assert here.list_tasks("here").total == 0
    with pytest.raises(QueueNotFound, match="nowhere"):
        here.list_tasks("nowhere")
    with pytest.raises(ValueError, match="queue name"):
        here.list_tasks("../here")


class _Broken:
    name = "broken"

    def encode(self, value: Any) -> bytes:
        return bytes(value)

    def decode(self, data: bytes | memoryview) -> Any:
        raise CodecError("broken cannot decode")


@pytest.mark.parametrize("size", [3, 3000, 300_000])
def test_undecodable_payloads_are_listed(make_queue: MakeQueue, size: int) -> None:
    """A payload that cannot be decoded does not fail the listing; its args are a CodecError."""
    queue = make_queue(codec=_Broken())
    queue.push(b"x" * size)
    (task,) = queue.list_tasks().items
    for _ in range(2):
        with pytest.raises(CodecError, match="broken"):
            _ = task.args


def test_listing_lasts(make_queue: MakeQueue) -> None:
    """A listed task can be read after the queue removed it."""
    queue = make_queue(codec="raw")
    data = [b"a" * 10, b"b" * 10_000, b"c" * 300_000]
    queue.push_bulk(data)
    tasks = queue.list_tasks().items
    work(queue, 3)
    queue.vacuum()
    queue.push_bulk([bytes(len(item)) for item in data])
    assert [bytes(task.args) for task in reversed(tasks)] == data


# --- workers -------------------------------------------------------------------------------------


def test_list_workers(make_queue: MakeQueue) -> None:
    """Workers are listed by their start, of this queue, of another, or of all."""
    here, there = make_queue("here"), make_queue("there")
    with here.register_worker("b"), here.register_worker("a"), there.register_worker("c"):
        assert [seen.id for seen in here.list_workers()] == ["b", "a"]
        assert [seen.id for seen in here.list_workers("there")] == ["c"]
        assert {(seen.queue, seen.id) for seen in here.list_all_workers()} == {
            ("here", "a"),
            ("here", "b"),
            ("there", "c"),
        }
        with pytest.raises(QueueNotFound):
            here.list_workers("nowhere")
    assert here.list_all_workers() == []


def test_a_producer_is_no_worker(queue: MemoryStorage) -> None:
    """Who only pushes and waits is not listed as a worker."""
    task_id = queue.push(1)
    queue.wait_for([task_id]).ready(0.01)
    assert queue.list_workers() == []


def test_heartbeats_are_seen(queue: MemoryStorage) -> None:
    """A heartbeat is a later moment in the listing."""
    with queue.register_worker("w") as lease:
        first = queue.list_workers()[0].last_heartbeat
        time.sleep(0.002)
        lease.heartbeat()
        seen = queue.list_workers()[0]
        assert seen.last_heartbeat > first
        assert seen.started_at <= first
        assert seen.rss > 0


# --- tasks of all queues -------------------------------------------------------------------------


def test_tasks_of_all_queues(make_queue: MakeQueue) -> None:
    """The newest first whatever queue they are in, page by page, their payloads as they were stored."""
    one, two = make_queue("one"), make_queue("two", codec="json")
    ids = [queue.push(n) for n, queue in enumerate((one, two, two, one, two))]
    pages = [two.list_all_tasks(Filter(page=page, page_size=2)) for page in (1, 2, 3, 4)]
    listed = [task for page in pages for task in page.items]
    assert [task.id for task in listed] == ids[::-1]
    assert [task.queue for task in listed] == ["two", "one", "two", "two", "one"]
    assert [(page.page, page.page_size, page.total) for page in pages] == [(n, 2, 5) for n in (1, 2, 3, 4)]
    assert [task.args for task in listed] == [b"4", bytes([3]), b"2", b"1", bytes([0])]


def test_filters_of_all_queues(make_queue: MakeQueue) -> None:
    """By status and by worker; payloads of all sizes, and of a codec that nobody here knows."""
    one, two = make_queue("one"), make_queue("two", codec=Rot13())
    for size in (3, 3000, 300_000):
        one.push(b"x" * size)
    task_id = two.push("held")
    with worker(two, "w") as hands:
        hands.take()
        (held,) = one.list_all_tasks(Filter(worker="w")).items
        assert (held.id, held.status, held.args) == (task_id, Status.RUNNING, Rot13().encode("held"))
        waiting = two.list_all_tasks(Filter(status=Status.PENDING)).items
    assert [len(task.args) > size for task, size in zip(waiting, (300_000, 3000, 3), strict=True)] == [
        True
    ] * 3


def test_all_queues_but_damaged_ones(make_queue: MakeQueue, private_directory: Path) -> None:
    """What cannot be opened is left out, and does not fail the call."""
    queue, damaged = make_queue("good"), make_queue("damaged")
    damaged.push(1)
    queue.push(2)
    damaged.close()
    (control,) = (private_directory / "damaged").glob("ctl.*")
    control.write_bytes(b"garbage" * 1000)
    assert [task.queue for task in queue.list_all_tasks().items] == ["good"]


def test_what_a_board_needs(queue: MemoryStorage) -> None:
    """It fulfils `Expose` and `ListAllTasks`, and lists them."""
    assert isinstance(queue, Expose)
    assert isinstance(queue, ListAllTasks)
    assert {"Expose", "ListAllTasks"} <= queue.capabilities()


# --- queues --------------------------------------------------------------------------------------


def test_list_queues(make_queue: MakeQueue) -> None:
    """All queues of the namespace are listed by name, with figures, workers and activity."""
    one = make_queue("one")
    make_queue("another", capacity=3)
    one.push_bulk(range(5))
    work(one, 2)
    with one.register_worker("w"):
        another, shown = one.list_queues()
    assert (another.name, another.workers, another.activity) == ("another", (), (0,) * 7)
    assert (shown.name, shown.workers) == ("one", ("w",))
    assert len(shown.activity) == 7
    assert sum(shown.activity) == 2
    figures = {stat.title: stat.value for stat in shown.stats}
    assert (figures["PENDING_JOBS"], figures["DONE_JOBS"]) == (3, 2)


def test_queues_nobody_is_attached_to(make_queue: MakeQueue) -> None:
    """A queue that everybody left is listed, too, and listing attaches nobody for good."""
    queue = make_queue("here")
    with MemoryStorage("left") as left:
        left.push(1)
    assert [info.name for info in queue.list_queues()] == ["here", "left"]
    make_queue("left").destroy()


def test_a_damaged_queue_beside(make_queue: MakeQueue, private_directory: Path) -> None:
    """A damaged queue, a stray file and an empty directory beside do not fail the listing."""
    queue, damaged = make_queue("good"), make_queue("damaged")
    damaged.close()
    (control,) = (private_directory / "damaged").glob("ctl.*")
    control.write_bytes(b"garbage" * 1000)
    (private_directory / "stray").write_text("no queue")
    (private_directory / "empty").mkdir(mode=0o700)
    (private_directory / "odd name!").mkdir(mode=0o700)
    assert "good" in [info.name for info in queue.list_queues()]
    assert queue.list_all_workers() == []
    with pytest.raises(StorageError):
        queue.list_tasks("damaged")


def test_a_queue_of_an_unknown_codec_beside(make_queue: MakeQueue) -> None:
    """A queue whose codec this program does not have is listed, and its tasks without their args."""
    queue, odd = make_queue("plain"), make_queue("odd", codec=Rot13())
    odd.push("hello")
    with odd.register_worker("w"):
        assert [info.name for info in queue.list_queues()] == ["odd", "plain"]
        assert [seen.id for seen in queue.list_all_workers()] == ["w"]
        assert [seen.id for seen in queue.list_workers("odd")] == ["w"]
    (task,) = queue.list_tasks("odd").items
    assert (task.status, task.codec) == (Status.PENDING, "rot13")
    with pytest.raises(CodecError, match="rot13"):
        _ = task.args


def test_other_namespaces(make_queue: MakeQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue of the same name in another IPCQ_DIR is another queue, and is not listed here."""
    here = make_queue("same")
    here.push(1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setenv("IPCQ_DIR", str(elsewhere))
        with MemoryStorage("same") as there, MemoryStorage("only-there") as other:
            assert total(there) == 0
            assert [info.name for info in there.list_queues()] == ["only-there", "same"]
            other.destroy()
            there.destroy()
    assert [info.name for info in here.list_queues()] == ["same"]


# --- vacuum --------------------------------------------------------------------------------------


def test_vacuum(queue: MemoryStorage) -> None:
    """Vacuum removes what is finished, says how many, and never what is still owed a run."""
    ids = queue.push_bulk(range(6), max_attempts=2)
    with worker(queue) as hands:
        hands.work(2)
        hands.lease.fail(hands.take(), BOOM, final=True)
        hands.lease.fail(hands.take(), BOOM, retry_in=100)
        hands.take()
        assert queue.vacuum() == 3
        assert queue.vacuum() == 0
        assert list(queue.check_status(ids).values()) == [Status.FAILED, Status.RUNNING, Status.PENDING]


def test_vacuum_by_status(queue: MemoryStorage) -> None:
    """Vacuum removes only the statuses it is told, and refuses those that are not over."""
    done, killed = queue.push_bulk([1, 2])
    with worker(queue) as hands:
        hands.work(1)
        hands.lease.fail(hands.take(), BOOM)
    assert queue.vacuum(statuses=[]) == 0
    assert queue.vacuum(statuses=[Status.KILLED]) == 1
    assert queue.check_status([done, killed]) == {done: Status.DONE}
    waiting = queue.push(3)
    with pytest.raises(ValueError, match="DONE and KILLED"):
        queue.vacuum(statuses=[Status.PENDING])
    assert status(queue, waiting) == Status.PENDING


def test_vacuum_by_age(queue: MemoryStorage) -> None:
    """Vacuum spares what finished less than older_than seconds ago."""
    task_id = queue.push(1)
    work(queue, 1)
    assert queue.vacuum(older_than=100) == 0
    assert fetched(queue, task_id).status == Status.DONE
    assert queue.vacuum(older_than=0) == 1
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="older_than"):
            queue.vacuum(older_than=bad)


def test_vacuum_frees_files(queue: MemoryStorage, private_directory: Path) -> None:
    """Nothing of large payloads and results stays in the file system's accounts but a bounded pool."""
    for _ in range(3):
        queue.push_bulk([b"x" * (1 << 20)] * 8)
        work(queue, 8)
        assert queue.vacuum() == 8
    assert len(list((private_directory / queue.queue / "blob").iterdir())) <= 32
    assert queue.vacuum() == total(queue) == 0


def test_vacuum_of_everything_makes_room(make_queue: MakeQueue) -> None:
    """After vacuum the whole capacity is there again, many times over."""
    queue = make_queue(capacity=8)
    for _ in range(5):
        queue.push_bulk([b"x" * 2000] * 8, block=False)
        work(queue, 8)
        assert queue.vacuum() == 8
