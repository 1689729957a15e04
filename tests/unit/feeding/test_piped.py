"""Queues that are fed from a source."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import zmq

from ipcq import JsonStorage, MemoryStorage, Pipe, PushError, Status, StorageError, Worker, pipe_to

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 20.0


def numbers(count: int) -> Iterator[int]:
    """A source that can be read once."""
    yield from range(count)


async def slowly(count: int) -> AsyncIterator[int]:
    """An async source."""
    for number in range(count):
        await asyncio.sleep(0)
        yield number


@pytest.mark.parametrize(
    "source", [range(100), numbers(100), slowly(100)], ids=["iterable", "iterator", "async"]
)
def test_a_worker_ends_with_the_source(queue: MemoryStorage, source: Any) -> None:
    """It has run all items, in their order."""
    done: list[int] = []
    with pipe_to(source, queue, keep_result=False) as piped:
        Worker("worker", piped, done.append).run()
        assert done == list(range(100))
        assert (piped.pushed, piped.refused, piped.drained()) == (100, 0, True)


@pytest.mark.parametrize("kind", ["json", "pipe"])
def test_every_queue_can_be_fed(queue: MemoryStorage, private_directory: Path, kind: str) -> None:
    """A file, and a queue behind a socket."""
    done: list[int] = []
    if kind == "json":
        with JsonStorage(private_directory / "queue.jsonl", fsync="never") as stored:
            Worker("worker", pipe_to(range(10), stored), done.append).run()
            stored.destroy(force=True)
    else:
        endpoint = f"ipc://{private_directory}/socket"
        with Pipe.serve(queue, endpoint), Pipe(endpoint) as client:
            Worker("worker", pipe_to(range(10), client), done.append).run()
    assert done == list(range(10))


@pytest.mark.slow
def test_several_workers_end_together(queue: MemoryStorage) -> None:
    """One with nothing to do waits for what the other runs: it may have to be run again."""
    release, done = threading.Event(), list[int]()

    def handle(number: int) -> None:
        if number == 9:
            assert release.wait(PATIENCE)
        done.append(number)

    with pipe_to(range(10), queue) as piped:
        threads = [threading.Thread(target=Worker(name, piped, handle).run) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        while len(done) < 9:
            threads[0].join(0.01)
        assert all(thread.is_alive() for thread in threads)
        release.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert sorted(done) == list(range(10))


def test_a_full_queue_holds_the_source_up(make_queue: MakeQueue) -> None:
    """An endless source is read no further than there is room, and a few items ahead."""
    queue, read = make_queue(capacity=16), list[int]()

    def endless() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield len(read)

    with pipe_to(endless(), queue, batch=4, keep_result=False) as piped:
        stream = piped.poll("worker")
        while queue.list_tasks().total < 15:
            pass
        seen = len(read)
        assert seen <= 16 + 2 * 4 + 1
        lease = piped.register_worker("another")
        taken = next(queue.poll(lease))
        assert taken is not None
        lease.finish(taken, None)
        lease.close()
        feeding = threading.Thread(target=piped.close)  # it pushes what it read: there must be room
        feeding.start()
        while feeding.is_alive():
            task = next(stream, None)
            if task is not None:
                stream._stream._lease.finish(task, None)  # type: ignore[attr-defined]
        stream.close()


class Stubborn:
    """What cannot be encoded."""

    def __repr__(self) -> str:
        return "<Stubborn>"


MIXED = [1, Stubborn(), 2, b"x" * 5_000_000, 3]


@pytest.fixture
def small(make_queue: MakeQueue) -> MemoryStorage:
    """A queue that has no place for the large one."""
    return make_queue(blob_bytes=1_000_000)


def test_an_item_that_is_refused_ends_the_feeding(small: MemoryStorage) -> None:
    """The error names it; what was before it is accepted."""
    piped = pipe_to(MIXED, small)
    with pytest.raises(PushError, match="item 1 of the source, <Stubborn>, was not pushed"):
        piped.feed()
    assert [task.args for task in small.list_tasks().items] == [1]


def test_whoever_works_is_told(small: MemoryStorage) -> None:
    """A worker ends with the error of the feeding."""
    done: list[int] = []
    with pipe_to(MIXED, small) as piped, pytest.raises(PushError, match="item 1"):
        Worker("worker", piped, done.append).run()
    assert done == [1]


def test_items_that_are_refused_are_skipped(small: MemoryStorage) -> None:
    """They are counted; all others are accepted, in their order."""
    piped = pipe_to(MIXED, small, "skip")
    assert piped.feed() == 3
    assert piped.refused == 2
    assert [task.args for task in reversed(small.list_tasks().items)] == [1, 2, 3]


def test_items_that_are_refused_are_kept(small: MemoryStorage, tmp_path: Path) -> None:
    """In a file, a JSON line each; or by a function of one's own."""
    kept = tmp_path / "dead.jsonl"
    assert pipe_to([*MIXED[:3], ["a", 2**70]], small, "dead_letter", dead_letter=kept).feed() == 2
    first, second = map(json.loads, kept.read_text().splitlines())
    assert (first["repr"], first["error"]["type"], "item" in first) == ("<Stubborn>", "CodecError", False)
    assert second["item"] == ["a", 2**70]
    told: list[tuple[Any, Exception]] = []
    pipe_to(MIXED, small, "dead_letter", dead_letter=lambda *all_of: told.append(all_of)).feed()
    assert [item for item, _ in told] == [MIXED[1], MIXED[3]]


def test_a_source_that_raises(queue: MemoryStorage) -> None:
    """What it gave before is pushed, and its own error is raised."""

    def broken() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    piped = pipe_to(broken(), queue, "skip")
    with pytest.raises(OSError, match="the disk is gone"):
        piped.feed()
    assert (piped.pushed, queue.list_tasks().total) == (3, 3)


def test_a_source_is_read_once(queue: MemoryStorage) -> None:
    """A second reading is an error, and so is another process."""
    piped = pipe_to([1], queue)
    piped.feed()
    with pytest.raises(RuntimeError, match="read once"):
        piped.feed()
    with pytest.raises(TypeError, match="give workers there the queue itself"):
        pickle.dumps(piped)
    assert piped.queue == queue.queue  # what the queue can do, this can


def test_messages_of_an_endpoint(queue: MemoryStorage, private_directory: Path) -> None:
    """Each is an item, until it is closed; several frames are a list."""
    endpoint = f"ipc://{private_directory}/in"
    done: list[Any] = []
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.connect(endpoint)
        sender.send(b"one")
        sender.send_multipart([b"two", b"frames"])
        with pipe_to(endpoint, queue) as piped:

            def handle(item: Any) -> None:
                done.append(item)
                if len(done) == 2:
                    threading.Thread(target=piped.close).start()

            Worker("worker", piped, handle).run()
    assert done == [b"one", [b"two", b"frames"]]


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda queue: pipe_to(cast(Any, 5), queue), TypeError, "no iterable"),
        (lambda queue: pipe_to("rows.csv", queue), ValueError, "no endpoint"),
        (lambda queue: pipe_to("tcp://0.0.0.0:7777", queue), StorageError, "other machines"),
        (lambda queue: pipe_to([], queue, "ignore"), ValueError, "raise, skip, dead_letter"),
        (lambda queue: pipe_to([], queue, "dead_letter"), ValueError, "dead_letter="),
        (lambda queue: pipe_to([], queue, "skip", dead_letter="x"), ValueError, "only then"),
        (lambda queue: pipe_to([], queue, batch=0), ValueError, "batch"),
    ],
)
def test_misuse_is_told_at_once(
    queue: MemoryStorage, call: Callable[[Any], Any], error: type[Exception], told: str
) -> None:
    """Before anything is read."""
    with pytest.raises(error, match=told):
        call(queue)


_FEED = """
import itertools, sys
from ipcq import MemoryStorage, pipe_to
def endless():
    for number in itertools.count():
        if number == 500:
            print("ready", flush=True)
        yield number
pipe_to(endless(), MemoryStorage(sys.argv[1], create=False)).feed()
"""


def test_who_feeds_is_killed(queue: MemoryStorage) -> None:
    """What was accepted is there, in its order, with no gap."""
    with subprocess.Popen([sys.executable, "-c", _FEED, queue.queue], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done: list[int] = []
    Worker("worker", queue, done.append).run(until_empty=True)
    assert done == list(range(len(done)))
    assert len(done) > 300
    assert {task.status for task in queue.list_tasks().items} == {Status.DONE}
