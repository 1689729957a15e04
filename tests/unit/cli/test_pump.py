"""The loop between source, queue and output, with a queue that does what the test says."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest

from ipcq import ErrorInfo, PushError, QueueClosed, QueueFull, Status, Task, TaskId, TaskResult
from ipcq.cli.bell import Bell
from ipcq.cli.inbox import Inbox
from ipcq.cli.interrupts import Interrupted
from ipcq.cli.ledger import Chain, Ledger, Recorded
from ipcq.cli.pump import Pump, PumpQueue
from ipcq.cli.record import Record
from ipcq.cli.stream import Window
from ipcq.cli.tally import Tally
from ipcq.cli.writer import Writer


class FakeQueue:
    """Stores up to ``capacity`` items one by one; runs them when their results are asked for.

    Attributes:
        stored: every item that it took, in order.
        last_first: finish what came last first.
    """

    def __init__(self, capacity: int = 100) -> None:
        self.stored: list[bytes] = []
        self.capacity, self.last_first, self.closed = capacity, False, False
        self.waiting: deque[Task[bytes]] = deque()
        self.awaited: set[TaskId] = set()

    def push_all(self, tasks: Iterable[Task[bytes]], *, block: bool = True) -> list[TaskId]:
        assert not block
        for task in tasks:
            if self.closed:
                raise QueueClosed("gone")
            if task.args.startswith(b"huge"):
                raise PushError("over the limit")
            if len(self.waiting) >= self.capacity:
                raise QueueFull("full")
            self.stored.append(task.args)
            self.waiting.append(task)
        return []

    def check_status(self, ids: Iterable[TaskId]) -> dict[TaskId, Status]:
        there = {task.id for task in self.waiting}
        return {key: Status.PENDING for key in ids if key in there}

    def wait_for(self, ids: Iterable[TaskId]) -> FakeQueue:
        return self

    def add(self, ids: Iterable[TaskId]) -> None:
        self.awaited |= set(ids)

    def wake(self) -> None:
        pass

    def __len__(self) -> int:
        return len(self.awaited)

    def ready(self, timeout: float | None = 0.0) -> list[TaskResult[Any]]:
        if self.closed:
            raise QueueClosed("gone")
        if not timeout or not self.waiting:
            return []
        task = self.waiting.pop() if self.last_first else self.waiting.popleft()
        self.awaited.remove(task.id)
        if task.args.startswith(b"bad"):
            return [TaskResult(task.id, Status.KILLED, error=ErrorInfo("ValueError", "bad"))]
        return [TaskResult(task.id, Status.DONE, value=task.args.upper() + b"\n")]


class Sheet(Writer):
    """A writer that keeps what is written; tells how often it was flushed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.flushes = 0
        self.stuck = False

    def write(self, lines: list[bytes]) -> None:
        self.lines += lines

    def flush(self) -> bool:
        self.flushes += 1
        return not self.stuck


class Bench:
    """A pump with all around it."""

    def __init__(
        self,
        queue: FakeQueue,
        source: Iterator[list[bytes]],
        ledger: Ledger | None = None,
        **window: Any,
    ) -> None:
        self.sheet, self.tally, bell = Sheet(), Tally(), Bell()
        self.look: Callable[[], None] = lambda: None
        self.inbox = Inbox(source, bell.ring)
        self.pump = Pump(
            cast("PumpQueue", queue), self.inbox, Window(**window), self.sheet, bell, self.tally,
            lambda: self.look(), ledger,
        )  # fmt: skip

    def run(self) -> list[bytes]:
        self.inbox.start()
        self.pump.run()
        return self.sheet.lines


def test_every_item_gets_its_line_in_order() -> None:
    """Items go in, lines come out in the order of the items, whichever is done first."""
    queue = FakeQueue()
    queue.last_first = True
    bench = Bench(queue, iter([[b"a", b"b"], [b"c"]]))
    assert bench.run() == [b"A\n", b"B\n", b"C\n"]
    assert bench.tally.done == 3
    assert bench.pump.unfinished == 0


def test_without_order_lines_come_as_they_are_done() -> None:
    """Unordered, the line of what is done first is first."""
    queue = FakeQueue()
    queue.last_first = True
    assert Bench(queue, iter([[b"a", b"b"]]), ordered=False).run() == [b"B\n", b"A\n"]


def test_a_full_queue_is_waited_for_and_nothing_runs_twice() -> None:
    """Part of a batch may be stored before the queue is full: only the rest is pushed again."""
    queue = FakeQueue(capacity=2)
    assert Bench(queue, iter([[b"a", b"b", b"c", b"d", b"e"]])).run() == [
        b"A\n",
        b"B\n",
        b"C\n",
        b"D\n",
        b"E\n",
    ]
    assert queue.stored == [b"a", b"b", b"c", b"d", b"e"]


def test_a_queue_that_takes_nothing_is_an_error() -> None:
    """Nothing is under way that could make room: waiting would be for ever."""
    with pytest.raises(QueueFull):
        Bench(FakeQueue(capacity=0), iter([[b"a"]])).run()


def test_a_refused_item_is_an_error_of_its_own() -> None:
    """The items around it are run once, and its line says why it was not."""
    queue = FakeQueue()
    bench = Bench(queue, iter([[b"a", b"huge 1", b"b", b"huge 2", b"c"]]))
    lines = bench.run()
    assert queue.stored == [b"a", b"b", b"c"]
    assert [lines[0], lines[2], lines[4]] == [b"A\n", b"B\n", b"C\n"]
    assert json.loads(lines[1])["error"]["type"] == "ipcq.errors.PushError"
    assert json.loads(lines[3])["item"] == "huge 2"
    assert (bench.tally.done, bench.tally.failed) == (3, 2)


def test_a_failure_is_a_line_and_is_counted() -> None:
    """An item whose function raised has a line with its error."""
    bench = Bench(FakeQueue(), iter([[b"a", b"bad"]]))
    assert json.loads(bench.run()[1]) == {"item": "bad", "error": {"type": "ValueError", "message": "bad"}}
    assert bench.tally.example == "'bad': ValueError: bad"


def test_lines_are_written_out_whenever_there_is_nothing_else_to_do() -> None:
    """Before it waits for a result, what is there is flushed: a reader sees it at once."""
    bench = Bench(FakeQueue(), iter([[b"a", b"b", b"c"]]))
    bench.run()
    assert bench.sheet.flushes >= 4


def test_no_more_is_taken_than_the_window_holds() -> None:
    """However many items there are, only so many are under way."""
    queue = FakeQueue()
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, len(queue.waiting))

    bench = Bench(queue, iter([[b"x"] * 100]), items=8)
    bench.look = look
    assert len(bench.run()) == 100
    assert most == 8


def test_an_error_of_the_source_comes_after_what_it_gave() -> None:
    """The items before it have their lines; then it is raised."""

    def source() -> Iterator[list[bytes]]:
        yield [b"a"]
        raise ValueError("broken source")

    bench = Bench(FakeQueue(), source())
    with pytest.raises(ValueError, match="broken source"):
        bench.run()
    assert bench.sheet.lines == [b"A\n"]


def test_what_is_done_is_salvaged_after_an_interruption() -> None:
    """Lines that wait for an unfinished item are written, whatever came in between."""
    queue = FakeQueue()
    queue.last_first = True
    bench = Bench(queue, iter([[b"a", b"b", b"c"]]))

    def look() -> None:
        if bench.tally.done == 2:
            raise Interrupted

    bench.look = look
    with pytest.raises(Interrupted):
        bench.run()
    assert bench.sheet.lines == []
    bench.pump.salvage()
    assert bench.sheet.lines == [b"B\n", b"C\n"]


def test_lines_that_could_not_be_written_are_no_success() -> None:
    """All items are done, but a signal came while their lines were stuck: the run was interrupted."""
    bench = Bench(FakeQueue(), iter([[b"a"]]))
    bench.sheet.stuck = True

    def look() -> None:
        if bench.tally.done and not bench.pump.unfinished:
            raise Interrupted

    bench.look = look
    with pytest.raises(Interrupted):
        bench.run()


def test_a_lost_queue_does_not_lose_what_was_done() -> None:
    """Somebody removed the queue: the error is raised, and lines that are there can be written."""
    queue = FakeQueue()
    queue.last_first = True
    bench = Bench(queue, iter([[b"a", b"b"]]))

    def look() -> None:
        queue.closed = bench.tally.done == 1

    bench.look = look
    with pytest.raises(QueueClosed):
        bench.run()
    bench.pump.salvage()
    assert bench.sheet.lines == [b"B\n"]


def _earlier(written: int) -> Record:
    """Of an interrupted run that wrote lines for so many of the items a, b, c, ..."""
    record = Record("m:f")
    chain = Chain(record.key)
    for n in range(written):
        record.last, record.written = chain.next(b"abcdefgh"[n : n + 1]), n + 1
    return record


def test_a_resumed_run_pushes_only_what_is_not_there() -> None:
    """Items with a line are skipped, those in the queue are waited for, and the others are pushed."""
    record, queue = _earlier(2), FakeQueue()
    before = Recorded(record, ordered=True, resuming=True).tasks([b"a", b"b", b"c", b"d", b"e"])
    queue.waiting.extend(before[1:2])
    bench = Bench(
        queue, iter([[b"a", b"b", b"c"], [b"d", b"e"]]), Recorded(record, ordered=True, resuming=True)
    )
    assert bench.run() == [b"C\n", b"D\n", b"E\n"]
    assert queue.stored == [b"c", b"e"]
    assert record.written == 5


def test_many_items_with_lines_are_skipped_without_a_pause() -> None:
    """Batches of which nothing is to be done make the loop wait for nothing."""
    record = Record("m:f")
    items = [b"%d" % n for n in range(5000)]
    chain = Chain(record.key)
    for item in items[:-1]:
        record.last = chain.next(item)
    record.written = len(items) - 1
    bench = Bench(FakeQueue(), iter([items]), Recorded(record, ordered=True, resuming=True))
    assert bench.run() == [items[-1] + b"\n"]


def test_what_waits_for_an_earlier_item_is_left_to_the_next_run() -> None:
    """A run that can be resumed writes no line before its turn, when it is interrupted neither."""
    queue, record = FakeQueue(), Record("m:f")
    queue.last_first = True
    bench = Bench(queue, iter([[b"a", b"b"]]), Recorded(record, ordered=True, resuming=False))

    def look() -> None:
        if bench.tally.done:
            raise Interrupted

    bench.look = look
    with pytest.raises(Interrupted):
        bench.run()
    bench.pump.salvage()
    assert (bench.sheet.lines, record.written, record.ahead) == ([], 0, set())
