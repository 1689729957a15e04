"""The receiver, by messages that a test sends."""

from __future__ import annotations

import logging
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import TaskId
from ipcq.errors import StorageError
from ipcq.logs import LogReceiver, Output, address
from ipcq.logs.loggers import Losses
from ipcq.logs.messages import MOST, Origin, dump_dropped, dump_output, dump_record
from ipcq.logs.running import KEY

ORIGIN = Origin(TaskId.new(), "w-0", "thumbs")
Connect = Callable[[LogReceiver], socket.socket]


class Clock:
    """Shows what it is set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Sockets to a receiver, as workers have them."""
    made: list[socket.socket] = []

    def connected(logs: LogReceiver) -> socket.socket:
        found = address.connect(logs.metadata[KEY][0])
        assert found is not None
        made.append(found)
        found.setblocking(True)
        return found

    yield connected
    for each in made:
        each.close()


def _record(message: str, level: int = logging.INFO, name: str = "my.tasks") -> bytes:
    return dump_record(ORIGIN, logging.LogRecord(name, level, "my.py", 1, message, (), None))


def _messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.name, record.getMessage()) for record in caplog.records]


def test_records_are_logged_as_if_here(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """By the logger of their name, and they tell which task they are of; in their order."""
    with LogReceiver() as logs:
        worker = connect(logs)
        worker.send(_record("one"))
        worker.send(_record("two", logging.ERROR))
        assert logs.flush(20)
        assert (logs.received, logs.dropped, logs.malformed) == (2, 0, 0)
    assert _messages(caplog) == [("my.tasks", "one"), ("my.tasks", "two")]
    found: Any = caplog.records[0]
    assert (found.task_id, found.worker, found.queue, found.levelname) == (*ORIGIN, "INFO")


def test_output_is_logged_or_handed_out(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A line each; a carriage return ends none."""
    with LogReceiver(capture=True) as logs:
        connect(logs).send(dump_output(ORIGIN, "stdout", "1 %\r2 %\nthe\u2028end"))
    assert _messages(caplog) == [("ipcq.stdout", "1 %\r2 %"), ("ipcq.stdout", "the\u2028end")]
    found: Any = caplog.records[0]
    assert (found.task_id, found.levelno) == (ORIGIN.task_id, logging.INFO)

    lines: list[Output] = []
    with LogReceiver(on_output=lines.append) as logs:
        assert logs.metadata[KEY][2] is True
        connect(logs).send(dump_output(ORIGIN, "stderr", "a\nb"))
    assert lines == [Output(*ORIGIN, "stderr", "a\n"), Output(*ORIGIN, "stderr", "b")]


def test_what_was_dropped_is_told(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, and in the figures."""
    with LogReceiver() as logs:
        connect(logs).send(dump_dropped(ORIGIN, 7))
    assert logs.dropped == 7
    assert "7 messages of worker 'w-0' were dropped" in caplog.text


def test_a_flood_of_what_was_dropped_is_told_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """The first at once, the others as one."""
    clock = Clock()
    losses = Losses(clock)
    losses.add("w-0", 1)
    for _ in range(1000):
        losses.add("w-0", 2)
        losses.add("w-1", 3)
    assert [each.args for each in caplog.records] == [(1, "w-0")]
    assert (losses.left(None), losses.left(0.5), Losses(clock).left(None)) == (1.0, 0.5, None)
    clock.now = 1.0
    losses.look()
    losses.look()
    assert [each.args for each in caplog.records[1:]] == [(2000, "w-0"), (3000, "w-1")]
    assert losses.left(None) is None


@pytest.mark.slow
def test_what_was_dropped_last_is_told_though_nothing_follows(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """When its time has come, and by `flush`."""
    with LogReceiver(thread=False) as logs:
        worker = connect(logs)
        for count in (1, 2):
            worker.send(dump_dropped(ORIGIN, count))
        assert logs.handle() == 2
        assert len(caplog.records) == 1
        assert logs.handle(2.0) == 0  # nothing comes
        assert [each.args for each in caplog.records] == [(1, "w-0"), (2, "w-0")]
        worker.send(dump_dropped(ORIGIN, 4))
        logs.flush()
    assert logs.dropped == 7
    assert len(caplog.records) == 3


@pytest.mark.parametrize("level", ["info", "LOUD", None, -1, 1 << 31, 20.0])
def test_a_level_is_one(level: Any, private_directory: Path) -> None:
    """By number or name; of a wrong one no socket is left."""
    for named in ("WARNING", logging.WARNING):
        with LogReceiver(level=named) as logs:
            assert logs.metadata[KEY][1] == logging.WARNING
    with pytest.raises(ValueError, match=r"level is one of logging's.*not"):
        LogReceiver(level=level)
    assert not list((private_directory / ".logs").iterdir())


@pytest.mark.parametrize("left", range(4))
def test_without_descriptors_there_is_none(left: int, private_directory: Path) -> None:
    """Nothing is left of what could not be made."""
    LogReceiver().close()  # what is imported and made at the first time is there
    before = len(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(left)]
    highest = os.open("/dev/null", os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        for each in spare:
            os.close(each)
        with pytest.raises(StorageError):
            LogReceiver()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(highest)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not list((private_directory / ".logs").iterdir())


@pytest.mark.parametrize("data", [b"?", b"x" * (MOST + 1), b"x" * 100_000])
def test_garbage_is_counted_and_dropped(
    data: bytes, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The receiver goes on, with that worker too."""
    with LogReceiver() as logs:
        worker = connect(logs)
        worker.send(data)
        worker.send(_record("good"))
        logs.flush(20)
        assert logs.malformed == 1
    assert _messages(caplog)[-1] == ("my.tasks", "good")


def test_what_a_dead_worker_sent_is_there(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Though it was gone before the receiver looked."""
    logs = LogReceiver(thread=False)
    worker = connect(logs)
    for number in range(20):
        worker.send(_record(str(number)))
    worker.close()
    logs.close()
    assert [message for _, message in _messages(caplog)] == [str(number) for number in range(20)]


def test_without_a_thread_the_program_handles_itself(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """What is there, or the first that comes; nothing after the end."""
    logs = LogReceiver(thread=False)
    assert logs.handle() == 0
    worker = connect(logs)
    worker.send(_record("one"))
    assert logs.handle() == 1
    timer = threading.Timer(0.01, worker.send, [_record("two")])
    timer.start()
    assert logs.handle(None) == 1
    assert logs.handle(0.001) == 0
    worker.send(_record("three"))
    assert logs.flush()
    logs.close()
    assert logs.handle(None) == 0
    timer.join()
    assert [message for _, message in _messages(caplog)] == ["one", "two", "three"]
    with LogReceiver() as other, pytest.raises(RuntimeError, match="thread"):
        other.handle()


@pytest.mark.parametrize("thread", [True, False])
def test_handlers_may_use_the_receiver(thread: bool, connect: Connect) -> None:
    """Flushing there is refused, closing ends it afterwards: nothing waits for itself."""
    told: list[bool] = []

    def use(_: Output) -> None:
        told.append(logs.flush())
        logs.close()

    logs = LogReceiver(on_output=use, thread=thread)
    connect(logs).send(dump_output(ORIGIN, "stdout", "x\n"))
    if thread:
        logs._thread.join(20)  # type: ignore[union-attr]
    else:
        logs.handle(20)
    assert told == [False]
    assert repr(logs).startswith("<LogReceiver [closed")
    assert logs.flush()
    logs.close()


def test_a_handler_that_fails_is_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The others are handled."""

    def fail(_: Output) -> None:
        raise ZeroDivisionError

    with LogReceiver(on_output=fail) as logs:
        worker = connect(logs)
        worker.send(dump_output(ORIGIN, "stdout", "x\n"))
        worker.send(_record("good"))
    assert "ZeroDivisionError" in caplog.text
    assert _messages(caplog)[-1] == ("my.tasks", "good")


class Kept(logging.Handler):
    """Keeps messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_loggers_that_were_given_a_level_keep_it(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the root logger has, ``level=`` says for tasks; nothing passes what is disabled."""
    kept, root = Kept(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [kept])
    monkeypatch.setattr(root, "level", logging.ERROR)
    monkeypatch.setattr(logging.getLogger("noisy"), "level", logging.WARNING)
    with LogReceiver() as logs:
        worker = connect(logs)
        worker.send(_record("passes"))
        worker.send(_record("does not", name="noisy.inner"))
        worker.send(_record("does", logging.WARNING, name="noisy.inner"))
        logs.flush(20)
        monkeypatch.setattr(root.manager, "disable", logging.WARNING)
        worker.send(_record("disabled"))
        logs.flush(20)
    assert kept.messages == ["passes", "does"]


def test_the_name_goes_with_the_receiver(private_directory: Path) -> None:
    """Nothing is left of it; each has another one."""
    with LogReceiver() as one, LogReceiver() as two:
        assert one.metadata != two.metadata
        assert len(os.listdir(private_directory / ".logs")) == 2
    assert os.listdir(private_directory / ".logs") == []
    one.close()


def test_a_forked_child_receives_nothing(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Its copies are closed, so that workers notice when the receiver itself is gone."""
    with LogReceiver() as logs:
        worker = connect(logs)
        worker.send(_record("before"))
        logs.flush(20)
        pid = os.fork()
        if pid == 0:
            logs.close()
            os._exit(0 if "closed" in repr(logs) and logs.flush() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        worker.send(_record("after"))
        logs.flush(20)
        assert os.path.exists(logs._path)
    assert [message for _, message in _messages(caplog)] == ["before", "after"]
    with pytest.raises(BrokenPipeError):
        worker.send(b"?")


def test_many_workers_at_once(connect: Connect) -> None:
    """Each one's lines in their order."""
    lines: list[Output] = []
    with LogReceiver(on_output=lines.append) as logs:
        workers = [connect(logs) for _ in range(20)]
        for number in range(50):
            for place, worker in enumerate(workers):
                origin = ORIGIN._replace(worker=f"w-{place}")
                worker.send(dump_output(origin, "stdout", f"{number}\n"))
        logs.flush(20)
        assert len(lines) == 1000
    for place in range(20):
        texts = [line.text for line in lines if line.worker == f"w-{place}"]
        assert texts == [f"{number}\n" for number in range(50)]
