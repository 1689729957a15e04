"""What a worker does with the records and the output of its tasks; the receiver is in this process, too."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import types
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest

from ipcq import Task, Worker
from ipcq.layer import ForcedStop
from ipcq.logs import LogReceiver, Output
from ipcq.logs.hooks import _Handler, hooked
from ipcq.logs.running import KEY, Forwarding, current
from ipcq.logs.tee import Tee
from tests.unit.worker.fakes import FakeBackend

log = logging.getLogger("my.tasks")


class Received:
    """A receiver, and what it got: records by name and text, lines by stream and text."""

    def __init__(self, **options: Any) -> None:
        self.records: list[Any] = []
        self.lines: list[Output] = []
        self.logs = LogReceiver(thread=False, **options)

    def emit(self, record: Any) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """Texts of records."""
        return [record.getMessage() for record in self.records]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Of output."""
        return [(line.stream, line.text) for line in self.lines]


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """A receiver that workers of this process take for another process's, and that keeps what it gets."""
    monkeypatch.setattr("ipcq.logs.channel.is_own", lambda _: False)
    lines: list[Output] = []
    received = Received(level=logging.INFO, on_output=lines.append)
    received.lines = lines
    monkeypatch.setattr("ipcq.logs.receiver.log_here", received.emit)
    yield received
    received.logs.close()


def _run(handler: Any, received: Received | None, count: int = 1, **options: Any) -> list[Any]:
    """Run as many tasks; what the worker told its backend."""
    backend = FakeBackend()
    metadata = {} if received is None else received.logs.metadata
    for number in range(count):
        backend.tasks.put(Task.of(number, metadata=metadata))
    Worker("w", backend, handler, **options).run(until_empty=True)
    if received is not None:
        received.logs.flush()
    return [entry for entry in backend.log if entry[0] in ("finish", "fail", "give back")]


def test_records_and_output_go_to_who_pushed(received: Received, capsys: pytest.CaptureFixture[str]) -> None:
    """From the level on that it asked for, whatever the root logger's; lines whole; nothing stays behind."""
    before = logging.root.level, list(logging.root.handlers), sys.stdout, sys.stderr

    def handle(number: int) -> int:
        log.debug("too low")
        log.info("number %d", number, extra={"of": "mine"})
        print("a", number)
        print("no newline", end="", file=sys.stderr)
        return number

    assert _run(handle, received, 2) == [("finish", 0, 0), ("finish", 1, 1)]
    assert received.messages == ["number 0", "number 1"]
    assert (received.records[0].of, received.records[0].worker) == ("mine", "w")
    rest = ("stderr", "no newline")
    assert received.texts == [("stdout", "a 0\n"), rest, ("stdout", "a 1\n"), rest]
    assert received.records[1].task_id == received.lines[2].task_id
    assert capsys.readouterr() == ("", "")
    assert (logging.root.level, list(logging.root.handlers), sys.stdout, sys.stderr) == before


def test_a_run_that_fails_has_its_records(received: Received) -> None:
    """And a traceback that it logs; arguments that do not fit are no failure of the task."""

    def handle(number: int) -> None:
        try:
            raise ValueError(number)
        except ValueError:
            log.exception("caught")
        raise KeyError

    assert _run(handle, received)[0][:2] == ("fail", "KeyError")
    assert received.records[0].exc_text.endswith("ValueError: 0")


def test_a_record_that_cannot_be_formatted_is_no_failure(
    received: Received, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a task, as with any handler."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(logging.root, "handlers", [])
    assert _run(lambda _: log.info("%d", "text"), received) == [("finish", 0, None)]
    assert received.records == []


@pytest.mark.parametrize(
    "wish",
    [None, 7, [], ["../../x", 20, False], ["a" * 32, "20", False], ["a" * 32, 20, 1], ["a" * 32, 20, False]],
)
def test_a_wish_that_cannot_be_fulfilled_costs_nothing(wish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither nonsense nor the name of a receiver that is gone; all is as without."""
    seen: list[Any] = []
    backend = FakeBackend()
    backend.tasks.put(Task.of(1, metadata={KEY: wish}))

    def handle(_: int) -> None:
        seen.append((current.get(), [h for h in logging.root.handlers if isinstance(h, _Handler)]))
        print("here")

    Worker("w", backend, handle).run(until_empty=True)
    assert seen == [(None, [])]
    assert capsys.readouterr().out == "here\n"


def test_others_are_not_disturbed(received: Received, capsys: pytest.CaptureFixture[str]) -> None:
    """Code that does not belong to the task logs and prints as ever, meanwhile."""

    def work() -> None:
        print("a thread's")
        log.error("a thread's")

    def handle(_: int) -> None:
        thread = threading.Thread(target=work)
        thread.start()  # begins with an empty context
        thread.join()

    _run(handle, received)
    assert (received.messages, received.texts) == ([], [])
    assert capsys.readouterr().out == "a thread's\n"


def test_a_receiver_that_ends_gives_output_back(
    received: Received, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed after that is in the worker's own output."""

    def handle(_: int) -> int:
        print("one")
        received.logs.flush()
        received.logs.close()
        log.info("lost")
        print("two")
        print("three")
        return 1

    assert _run(handle, received) == [("finish", 0, 1)]
    assert received.texts == [("stdout", "one\n")]
    assert capsys.readouterr().out == "two\nthree\n"


def test_what_outlives_its_run_is_not_its_task(
    received: Received, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that inherited the context, and goes on after the run."""
    go, context = threading.Event(), list[Any]()

    def handle(_: int) -> None:
        context.append(copy_context())
        print("within")

    def late() -> None:
        go.wait(10)
        print("late")
        log.error("late")

    _run(handle, received)
    thread = threading.Thread(target=lambda: context[0].run(late))
    thread.start()
    go.set()
    thread.join()
    received.logs.flush()
    assert (received.texts, received.messages) == ([("stdout", "within\n")], [])
    assert capsys.readouterr().out == "late\n"


def test_coroutines_side_by_side(received: Received) -> None:
    """Each line and each record is of the task whose coroutine it was, in ``asyncio.to_thread``, too."""
    barrier = asyncio.Event()
    there: list[int] = []

    async def handle(number: int) -> int:
        there.append(number)
        if len(there) == 5:
            barrier.set()
        await barrier.wait()
        print("partly", end=" ")
        await asyncio.sleep(0)
        print(number)
        log.info("%d", number)
        await asyncio.to_thread(log.info, "%d", number)
        await asyncio.create_task(_say(number))
        return number

    assert len(_run(handle, received, 5, concurrency=5)) == 5
    of = {line.task_id: int(line.text.split()[1]) for line in received.lines}
    assert sorted(of.values()) == [0, 1, 2, 3, 4]
    assert all(line.text == f"partly {of[line.task_id]}\n" for line in received.lines)
    assert len(received.records) == 15
    assert all(int(record.getMessage()) == of[record.task_id] for record in received.records)
    assert not isinstance(sys.stdout, Tee)


async def _say(number: int) -> None:
    log.info("%d", number)


def test_levels_are_each_runs_own(received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two runs at once each has what it asked for."""
    both = asyncio.Event()

    async def handle(number: int) -> None:
        if number:
            both.set()
        await both.wait()
        log.debug("%d", number)
        log.warning("%d", number)

    backend = FakeBackend()
    name, _, capture = received.logs.metadata[KEY]
    for number, level in enumerate((logging.DEBUG, logging.WARNING)):
        backend.tasks.put(Task.of(number, metadata={KEY: [name, level, capture]}))
    Worker("w", backend, handle, concurrency=2).run(until_empty=True)
    received.logs.flush()
    assert sorted(received.messages) == ["0", "0", "1"]


def test_a_task_may_set_up_logging_itself(received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even by force; what it made of the root logger stays."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)

    def handle(_: int) -> None:
        log.info("before")
        logging.basicConfig(force=True, level=logging.CRITICAL)
        logging.root.handlers.clear()

    _run(handle, received)
    assert (received.messages, logging.root.level) == (["before"], logging.CRITICAL)


def test_a_run_that_is_broken_off_leaves_nothing(received: Received) -> None:
    """Whatever breaks in, the process is as it was."""
    before = logging.root.level, sys.stdout

    def handle(_: int) -> None:
        print("half", end="")
        raise ForcedStop

    assert _run(handle, received) == [("give back", 0)]
    assert received.texts == [("stdout", "half")]
    assert (logging.root.level, sys.stdout) == before


def test_in_the_receivers_process_records_are_there_already(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not logged twice; output comes, as it is not printed then."""
    monkeypatch.undo()
    lines: list[Output] = []
    with LogReceiver(on_output=lines.append) as logs:
        backend = FakeBackend()
        backend.tasks.put(Task.of(1, metadata=logs.metadata))

        def handle(_: int) -> None:
            print("once")
            log.error("once")

        Worker("w", backend, handle).run(until_empty=True)
        logs.flush()
        assert logs.received == 1
    assert [line.text for line in lines] == ["once\n"]


def test_a_forked_child_belongs_to_the_task(received: Received) -> None:
    """What it logs and prints is the task's, too: it has the context and the socket."""

    def handle(_: int) -> None:
        pid = os.fork()
        if pid == 0:
            log.info("child")
            print("child")
            os._exit(0)
        os.waitpid(pid, 0)
        log.info("parent")

    _run(handle, received)
    assert received.messages == ["child", "parent"]
    assert received.texts == [("stdout", "child\n")]


def test_a_coroutine_that_is_left_behind(received: Received) -> None:
    """It is closed some time, by whoever that is; its run ends then."""
    layer = Forwarding(hooked)

    async def call_next(_task: Any, _context: Any) -> None:
        print("half", end="")
        await _forever()

    task = Task.of(1, metadata=received.logs.metadata)
    coroutine: Any = layer.awaiting(task, types.SimpleNamespace(worker="w", queue="q"), call_next)
    copy_context().run(coroutine.send, None)
    assert [isinstance(sys.stdout, Tee), coroutine.close(), isinstance(sys.stdout, Tee)] == [
        True,
        None,
        False,
    ]
    assert current.get() is None
    received.logs.flush()
    assert received.texts == [("stdout", "half")]
    layer.close()


@types.coroutine
def _forever() -> Iterator[None]:
    yield
