"""Changing tasks that do not run, whole or not at all."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    CodecError,
    Conflict,
    ErrorInfo,
    IllegalTransition,
    MemoryStorage,
    QueueFull,
    Status,
    Task,
    TaskId,
    TaskNotFound,
    Update,
)
from ipcq.backends.memory import pushing, updating
from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import M_INLINE, M_RUN_AT
from ipcq.backends.memory.reading import Reader

from .acting import BOOM, SIZES, Rot13, error_of, fetched, pattern, status, work, worker
from .children import child, elsewhere
from .test_storage_recovery import _holder, _kill_a_holder

if TYPE_CHECKING:
    from ...conftest import MakeQueue


def _changed(queue: MemoryStorage, task_id: TaskId, **changes: Any) -> Task[Any]:
    """The task as it is, with these parts of it changed here only."""
    task = fetched(queue, task_id)
    for name, value in changes.items():
        setattr(task, name, value)
    return task


def _update(queue: MemoryStorage, task_id: TaskId, **changes: Any) -> Task[Any]:
    """Change parts of a task; as it is stored then."""
    stored = queue.update(_changed(queue, task_id, **changes))
    assert audit(queue._connection.core) == []
    return stored


def _blobs(queue: MemoryStorage) -> int:
    return len(queue._connection.blobs.files())


def test_it_says_so(queue: MemoryStorage) -> None:
    """It fulfils `Update`, and lists it."""
    assert isinstance(queue, Update)
    assert "Update" in queue.capabilities()


# --- what may change ------------------------------------------------------------------------------


def test_every_part(queue: MemoryStorage) -> None:
    """Arguments, moment, priority, limits and metadata: the worker in another process gets the new ones."""
    task_id = queue.push("old", metadata={"a": 1})
    due = time.time() + 0.05
    changes = {
        "args": {"new": [1, 2]}, "priority": 5, "max_attempts": 7, "max_deaths": 3, "timeout": 1.5,
        "metadata": {"b": "two"}, "run_at": round(due, 3),
    }  # fmt: skip
    stored = _update(queue, task_id, **changes)
    assert {name: getattr(stored, name) for name in changes} == changes
    assert elsewhere(lambda: work(queue, 1)) == "[{'new': [1, 2]}]"
    assert time.time() >= due


def test_the_rest_stays(queue: MemoryStorage) -> None:
    """What nobody may change is as it was, and so is what nobody changed."""
    task_id = queue.push("x", metadata={"a": 1}, keep_result=False, max_attempts=3)
    before = fetched(queue, task_id)
    after = _update(queue, task_id, status=Status.DONE, attempts=9, created_at=1.0, keep_result=True)
    assert repr(after) == repr(before)
    assert (after.args, after.metadata, after.keep_result) == ("x", {"a": 1}, False)
    assert (after.created_at, after.run_at) == (before.created_at, before.run_at)


CLASSES = [0, 105, 4097, (256 << 10) + 1]


@pytest.mark.parametrize("sizes", [CLASSES, pytest.param(SIZES, id="all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("before", CLASSES)
def test_arguments_of_every_size(queue: MemoryStorage, before: int, sizes: list[int]) -> None:
    """From any class of payload to any other; nothing of the old one is left."""
    for size in sizes:
        task_id = queue.push(pattern(before), metadata={"size": before})
        new = pattern(size)[::-1]
        assert queue.update(_changed(queue, task_id, args=new, metadata={})).args == new
        assert work(queue, 1) == [new]
    assert audit(queue._connection.core) == []
    queue.vacuum()
    assert _blobs(queue) == 0
    assert {figure.title: figure.value for figure in queue.queue_stats()}["BYTES_IN_USE"] == 0


def test_a_file_is_changed_again_and_again(queue: MemoryStorage) -> None:
    """Each version has a file of its own, and there is one at a time; who has an old one keeps it."""
    task_id = queue.push(b"0" * 300_000)
    first = fetched(queue, task_id)
    for n in b"1234":
        assert bytes(_update(queue, task_id, args=bytes([n]) * 300_000).args[:2]) == bytes([n]) * 2
        assert _blobs(queue) == 1
    assert bytes(first.args[:3]) == b"000"
    queue.vacuum()  # its sweep leaves what a task has
    assert bytes(work(queue, 1)[0][:3]) == b"444"


def test_a_large_payload_is_not_copied_for_another_part(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is the same stays where it is, whether somebody looked at the arguments or not."""
    task_id = queue.push(b"x" * 300_000, metadata={"a": 1})
    monkeypatch.setattr(pushing.Pusher, "write", None)
    _update(queue, task_id, priority=3)
    task = fetched(queue, task_id)
    assert len(task.args) == 300_000
    task.priority = 4
    assert queue.update(task).priority == 4


def test_arguments_changed_in_place(queue: MemoryStorage) -> None:
    """Who decodes them and changes the object has changed the arguments."""
    task_id = queue.push({"n": 1})
    task = fetched(queue, task_id)
    task.args["n"] = 2
    queue.update(task)
    assert work(queue, 1) == [{"n": 2}]


def test_a_codec_that_is_not_known_here(make_queue: MakeQueue) -> None:
    """Other parts can be changed by who cannot read the arguments."""
    queue = make_queue("q", codec=Rot13())
    task_id = queue.push("secret")
    with queue._other(queue.queue) as same:
        assert same is queue
    board = make_queue("board")
    (task,) = board.list_tasks("q").items
    task.priority = 3
    with pytest.raises(TaskNotFound):
        board.update(task)
    assert queue.update(task).priority == 3
    assert work(queue, 1) == ["secret"]
    assert fetched(queue, task_id).priority == 3


def test_what_is_out_of_bounds(queue: MemoryStorage) -> None:
    """It is refused as in a push, and nothing is changed."""
    task_id = queue.push(1)
    for wrong in (
        {"priority": 99},
        {"max_attempts": 0},
        {"max_deaths": 256},
        {"timeout": -1},
        {"run_at": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            queue.update(_changed(queue, task_id, args=2, **wrong))
    for unreadable in ({"args": object()}, {"metadata": {"o": object()}}):
        with pytest.raises(CodecError):
            queue.update(_changed(queue, task_id, priority=3, **unreadable))
    task = fetched(queue, task_id)
    assert (task.args, task.priority) == (1, 0)


# --- where it waits -------------------------------------------------------------------------------


def test_order(queue: MemoryStorage) -> None:
    """By the new priority, at its old place among those; what is no more delayed is due."""
    ids = queue.push_bulk(range(5))
    late = queue.push(5, run_at=time.time() + 60)
    _update(queue, ids[3], priority=2)
    _update(queue, ids[1], priority=2)
    _update(queue, ids[0], run_at=time.time() + 60)
    _update(queue, late, run_at=0.0)
    _update(queue, ids[2], args="two")
    assert work(queue, 5) == [1, 3, "two", 4, 5]
    assert status(queue, ids[0]) is Status.PENDING


def test_an_idle_worker_learns_of_it(queue: MemoryStorage) -> None:
    """A task that becomes due is handed out at once."""
    task_id = queue.push(0, run_at=time.time() + 60)
    task = _changed(queue, task_id, run_at=0.0)
    with worker(queue) as hands:
        timer = threading.Timer(0.05, queue.update, (task,))
        timer.start()
        assert hands.take().args == 0
        timer.join()


def test_a_task_that_is_held_ahead(queue: MemoryStorage) -> None:
    """It is back in the queue as it is now; whoever held it has lost it."""
    ids = queue.push_bulk(range(3))
    with worker(queue, prefetch=3) as hands:
        first = hands.take()
        task = _changed(queue, ids[1], args="new", priority=-1)
        assert task.status is Status.QUEUED
        assert queue.update(task, expect=Status.QUEUED).status is Status.PENDING
        hands.lease.finish(first, None)
        assert [hands.take().args] == [2]
        with pytest.raises(Conflict, match="handed out or given back"):
            queue.update(task)
    assert work(queue, 2) == [2, "new"]


def test_a_failed_task(queue: MemoryStorage) -> None:
    """It stays FAILED; without an attempt left it is PENDING, for the one run that it was owed."""
    task_id = queue.push(0, max_attempts=3)
    with worker(queue) as hands:
        hands.lease.fail(hands.take(), BOOM, retry_in=60)
    task = _update(queue, task_id, max_attempts=2)
    assert (task.status, task.attempts) == (Status.FAILED, 1)
    task = _update(queue, task_id, max_attempts=1, run_at=0.0)
    assert (task.status, task.attempts) == (Status.PENDING, 1)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), BOOM) is Status.KILLED


@pytest.mark.parametrize("message", ["boom", "b" * 400_000], ids=["short", "in a file"])
def test_a_killed_task(queue: MemoryStorage, message: str) -> None:
    """It stays KILLED, its error readable; resumed, it runs with what it is now."""
    task_id = queue.push("poison", max_deaths=0)
    with worker(queue) as hands:
        hands.lease.fail(hands.take(), ErrorInfo("E", message))
    assert _update(queue, task_id, args="cure", priority=1).status is Status.KILLED
    assert error_of(queue.wait(task_id, 0)).message == message
    queue.resume_by_id(task_id)
    assert work(queue, 1) == ["cure"]


def test_fewer_deaths_than_it_has(queue: MemoryStorage) -> None:
    """What it has over its new limit is forgiven: it has the run that it is owed, and no other."""
    task_id = queue.push(0, max_deaths=3)
    for _ in range(2):
        _kill_a_holder(queue)
        queue.resume_abandoned()
    assert _update(queue, task_id, max_deaths=1).deaths == 1
    _kill_a_holder(queue)
    queue.resume_abandoned()
    assert status(queue, task_id) is Status.KILLED


# --- what is refused ------------------------------------------------------------------------------


def test_another_status_than_expected(queue: MemoryStorage) -> None:
    """It is a Conflict that names both, and changes nothing."""
    task_id = queue.push(1)
    with pytest.raises(Conflict, match="is PENDING, not FAILED"):
        queue.update(_changed(queue, task_id, args=2), expect=Status.FAILED)
    assert work(queue, 1) == [1]


def test_running_done_and_unknown_ones(queue: MemoryStorage) -> None:
    """They are an error, and stay as they are."""
    task_id = queue.push(1)
    with worker(queue) as hands:
        task = hands.take()
        with pytest.raises(IllegalTransition, match="RUNNING"):
            queue.update(_changed(queue, task_id, priority=3))
        hands.lease.finish(task, "value")
    with pytest.raises(IllegalTransition, match="DONE"):
        queue.update(_changed(queue, task_id, priority=3))
    assert (fetched(queue, task_id).priority, queue.wait(task_id, 0).unwrap()) == (0, "value")
    with pytest.raises(TaskNotFound):
        queue.update(Task.of(1))


def test_a_running_task_of_the_dead(queue: MemoryStorage) -> None:
    """It is taken from who is dead first, and charged with that death."""
    task_id = queue.push(1)
    with child(_holder(queue)) as process:
        process.hear()
        task = _changed(queue, task_id, args=2)
        process.kill()
    stored = queue.update(task, expect=Status.RUNNING)
    assert (stored.status, stored.deaths) == (Status.PENDING, 1)
    assert work(queue, 1) == [2]


def test_two_that_update_at_once(queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second looks again: of two versions one is stored, whole."""
    task_id = queue.push("none", metadata={"by": "nobody"})
    task = _changed(queue, task_id, args="second", metadata={"by": "second"})
    commit = updating.Updater._commit

    def be_late(*args: Any) -> int:
        patch.undo()
        _update(queue, task_id, args=b"first" * 2000, metadata={"by": "first"}, priority=4)
        return commit(*args)

    with monkeypatch.context() as patch:
        patch.setattr(updating.Updater, "_commit", be_late)
        stored = queue.update(task)
    assert (stored.args, stored.metadata, stored.priority) == ("second", {"by": "second"}, 0)


def test_no_room(make_queue: MakeQueue) -> None:
    """A version that finds no room is QueueFull at once; the old one stays, and nothing is lost."""
    queue = make_queue("small", capacity=2, arena_bytes=1 << 20, blob_bytes=1 << 20)
    ids = [queue.push(pattern(3000)) for _ in range(2)]
    with pytest.raises(QueueFull, match="no places left"):
        queue.update(_changed(queue, ids[0], args=pattern(9000)))
    work(queue, 1)
    queue.vacuum()
    _update(queue, ids[1], args=pattern(700_000))
    with pytest.raises(QueueFull, match="blob_bytes"):
        queue.update(_changed(queue, ids[1], args=pattern(710_000)))
    assert audit(queue._connection.core) == []
    assert work(queue, 1) == [pattern(700_000)]


@pytest.mark.parametrize("word", range(M_RUN_AT, M_INLINE + 2))
def test_a_reader_never_sees_a_mixture(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch, word: int
) -> None:
    """A slot that is changed while it is read, before any of its words, is read again."""
    task_id = queue.push(b"old", metadata={"n": 1})
    task = _changed(queue, task_id, args=b"new!!", metadata={"n": 2}, priority=3)
    read = Reader._raw

    def change_meanwhile(reader: Reader, number: int) -> bytes:
        before = read(reader, number)
        patch.undo()
        queue.update(task)
        return before[: 8 * word] + read(reader, number)[8 * word :]

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "_raw", change_meanwhile)
        seen = fetched(queue, task_id)
    assert (seen.args, seen.metadata, seen.priority) == (b"new!!", {"n": 2}, 3)


@pytest.mark.slow
def test_readers_of_what_changes_all_the_time(queue: MemoryStorage) -> None:
    """Another process that changes a task all the time is seen before or after a change."""
    versions = {n: (bytes([n]) * (50 + 100 * n), {"n": n}) for n in range(1, 4)}
    task_id = queue.push(versions[1][0], metadata=versions[1][1], priority=1)

    def change(line: Any) -> None:
        line.say("begins")
        while True:
            for n, (args, metadata) in versions.items():
                queue.update(_changed(queue, task_id, args=args, metadata=metadata, priority=n))

    with child(change) as process:
        process.hear()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for task in (fetched(queue, task_id), *queue.list_tasks().items):
                assert (task.args, task.metadata) == versions[task.priority]
