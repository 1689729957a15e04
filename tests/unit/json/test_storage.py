"""What `JsonStorage` adds to what every queue in a store does."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import ConfigMismatch, JsonStorage, QueueClosed, QueueInUse, QueueNotFound, Status, TaskId, Worker
from tests.unit.memory.children import Line, child

OpenQueue = Callable[..., JsonStorage]


@pytest.fixture
def open_queue(path: Path) -> Iterator[OpenQueue]:
    """Opens the file's queue, as often as one likes; closes all after the test."""
    opened: list[JsonStorage] = []

    def make(*names: str, **options: Any) -> JsonStorage:
        opened.append(JsonStorage(path, *names, **{"fsync": "never", **options}))
        return opened[-1]

    yield make
    for queue in opened:
        queue.close()


def double(n: int) -> int:
    """A handler."""
    return 2 * n


@pytest.mark.slow
def test_an_older_copy_in_its_place(open_queue: OpenQueue, path: Path) -> None:
    """Who has the queue open while a backup of it is put in its place sees what is there, and what comes."""
    queue, copy = open_queue(), path.with_name("copy")
    kept = queue.push(1)
    shutil.copy(path, copy)  # with the mode
    lost = queue.push_bulk([2, 3, 4])
    assert len(queue.check_status([kept, *lost])) == 4
    copy.rename(path)
    new = open_queue().push_bulk([5, 6, 7, 8])  # as many versions as were lost, and one more
    assert set(queue.check_status([kept, *lost, *new])) == {kept, *new}
    Worker("w", queue, double).run(until_empty=True)
    more = open_queue().push(9)
    Worker("w", queue, double).run(until_empty=True)
    assert _values(queue, [kept, *new, more]) == [2, 10, 12, 14, 16, 18]


def _values(queue: JsonStorage, ids: list[TaskId]) -> list[int]:
    return sorted(int(result.unwrap()) for result in queue.wait_for(ids, 30))


@pytest.mark.slow
def test_tasks_are_there_after_reopening(open_queue: OpenQueue, path: Path) -> None:
    """What was pushed is run by who opens the file later, and the result is for who opens it after that."""
    with open_queue() as queue:
        ids = queue.push_bulk(range(3))
    with open_queue() as queue:
        Worker("w", queue, double).run(until_empty=True)
    with open_queue() as queue:
        assert _values(queue, ids) == [0, 2, 4]
        assert queue.path == str(path)


@pytest.mark.slow
def test_a_file_holds_several_queues(open_queue: OpenQueue) -> None:
    """Each has its tasks and settings; all of them are listed."""
    one, two = open_queue("one", codec="json"), open_queue("two", capacity=1)
    one.push_bulk([1, 2])
    two.push(3)
    assert [info.name for info in two.list_queues()] == ["one", "two"]
    assert (one.config["codec"], two.config["codec"], two.config["capacity"]) == ("json", "msgpack", 1)
    Worker("w", one, double).run(until_empty=True)
    assert [page.total for page in (one.list_tasks("one"), one.list_tasks("two"))] == [2, 1]
    assert two.list_tasks("two").items[0].status is Status.PENDING


def test_settings_are_the_files(open_queue: OpenQueue) -> None:
    """Who opens a queue with other settings is told both values; nothing is changed."""
    open_queue(capacity=5, codec="json")
    assert open_queue().config["capacity"] == 5
    with pytest.raises(ConfigMismatch, match=r"capacity=5, not 6"):
        open_queue(capacity=6)
    with pytest.raises(ConfigMismatch, match=r"codec='json', not 'raw'"):
        open_queue(codec="raw")
    assert open_queue(capacity=5, codec="json", create=False).config["capacity"] == 5


def test_a_refused_handle_leaves_nothing(path: Path, open_queue: OpenQueue) -> None:
    """Whoever asks for a queue that is not there has no hold on the file."""
    open_queue("one").close()
    with pytest.raises(QueueNotFound, match="no queue 'two'"):
        open_queue("two", create=False)
    with pytest.raises(ValueError, match="is not a queue name"):
        open_queue(".two")
    open_queue("one").destroy()
    assert not path.exists()


def test_payloads_can_be_read(open_queue: OpenQueue, path: Path) -> None:
    """With the codec ``json`` arguments stand in the file as they are."""
    open_queue(codec="json").push({"file": "a.jpg"})
    assert r'"payload":"{\"file\":\"a.jpg\"}"' in path.read_text("utf-8")


def test_another_process(open_queue: OpenQueue) -> None:
    """A forked child opens the file anew, and works for its parent."""
    queue = open_queue()
    ids = queue.push_bulk(range(20))

    def work(_: Line) -> None:
        Worker("w", queue, double).run(until_empty=True)
        queue.close()

    with child(work) as process:
        assert _values(queue, ids) == [2 * n for n in range(20)]
        assert process.join() == 0


def test_a_pickled_queue(open_queue: OpenQueue) -> None:
    """It opens the same queue of the same file, with the same policy."""
    queue = open_queue("one", codec="json")
    task_id = queue.push(1)
    with pickle.loads(pickle.dumps(queue)) as other:
        assert other.fetch_by_id(task_id).args == 1
        assert (other.queue, other.config) == ("one", queue.config)


def test_the_end(open_queue: OpenQueue, path: Path) -> None:
    """The file goes when nobody else has it, or by force; who still has it is told so."""
    one, two = open_queue(), open_queue()
    one.compact()
    with pytest.raises(QueueInUse):
        one.destroy()
    one.destroy(force=True)
    assert os.listdir(path.parent) == []
    with pytest.raises(QueueClosed, match="this handle was closed"):
        one.push(1)
    with pytest.raises(QueueClosed, match="was removed"):
        two.push(1)
    assert "[closed]" in repr(one)


def test_damage_can_be_seen(open_queue: OpenQueue, path: Path) -> None:
    """A queue tells how many lines of its file were damaged, and is there all the same."""
    with open_queue(codec="json") as queue:
        ids = queue.push_bulk(["one", "two", "three"])
        assert queue.set_aside == 0
    path.write_bytes(path.read_bytes().replace(b"two", b"tw0"))
    queue = open_queue()
    assert queue.set_aside == 1
    assert "1 damaged lines set aside" in repr(queue)
    assert list(queue.check_status(ids)) == [ids[0], ids[2]]
