"""Log records and output of tasks in the process that pushed them."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import Executor, JsonStorage, LogReceiver, Monitor, Pipe
from ipcq.logs import Output
from ipcq.tracing import inject

from . import logged
from .command import call, run

if TYPE_CHECKING:
    from ipcq import MemoryStorage

PATIENCE = 30.0
MANY = 20_000
KILLED_AT = 150  # tasks between two kills


class Kept(logging.Handler):
    """Keeps the records of the tasks' logger."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """What this process logs in the name of the tasks' logger."""
    handler, logger = Kept(), logging.getLogger("tests.logged")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def _check_all(backend: Any, kept: Kept, handler: Any = logged.speak, **options: Any) -> None:
    """Push tasks; with their results all that they logged and printed is there, of each its own."""
    lines: list[Output] = []
    with LogReceiver(on_output=lines.append) as logs, Monitor(backend, handler, workers=2, **options):
        ids = backend.push_bulk(range(20), metadata=logs.metadata)
        values = {result.task_id: result.unwrap() for result in backend.wait_for(ids, PATIENCE)}
        assert logs.flush(PATIENCE)
        assert {line.task_id: line.text for line in lines} == {i: f"printed {n}\n" for i, n in values.items()}
        records = {record.task_id: record.getMessage() for record in kept.records}
        assert records == {i: f"logged {n}" for i, n in values.items()}
        assert (len(lines), len(kept.records), logs.dropped) == (20, 20, 0)
        others = backend.push_bulk(range(5))
        assert all(result.unwrap() is not None for result in backend.wait_for(others, PATIENCE))
    assert len(kept.records) == 20


@pytest.mark.parametrize(
    "method", ["forkserver", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "fork"))]
)
def test_from_workers_of_each_start_method(queue: MemoryStorage, kept: Kept, method: str) -> None:
    """Without any configuration of theirs."""
    _check_all(queue, kept, start_method=method)


@pytest.mark.slow
def test_from_coroutines(queue: MemoryStorage, kept: Kept) -> None:
    """Many at once in one process."""
    _check_all(queue, kept, logged.speak_in_loop, concurrency=8)


@contextmanager
def _piped(path: Path) -> Iterator[Any]:
    path.chmod(0o700)
    endpoint = f"ipc://{path}/socket"
    store = JsonStorage(path / "behind.jsonl")
    with store, Pipe.serve(store, endpoint), Pipe(endpoint) as pipe:
        yield pipe


OTHERS: dict[str, Callable[[Path], Any]] = {
    "json": lambda path: JsonStorage(path / "queue.jsonl"),
    "pipe": _piped,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_with_other_backends(kind: str, kept: Kept, tmp_path: Path) -> None:
    """The way is the machine's, whatever the queue's is."""
    with OTHERS[kind](tmp_path) as backend:
        _check_all(backend, kept)


def test_what_a_killed_worker_sent_is_there(queue: MemoryStorage, kept: Kept, tmp_path: Path) -> None:
    """Of the run that was killed, and of the next one."""
    lines: list[Output] = []
    with LogReceiver(on_output=lines.append) as logs, Monitor(queue, logged.speak_and_die, workers=1):
        task_id = queue.push(str(tmp_path / "died"), metadata=logs.metadata)
        queue.wait(task_id, PATIENCE).unwrap()
        logs.flush(PATIENCE)
    assert [record.getMessage() for record in kept.records] == ["a run"] * 2
    assert [line.text for line in lines] == ["a line\n"] * 2
    assert {record.task_id for record in kept.records} == {task_id}


PUSHES = """
import sys
import ipcq
logs = ipcq.LogReceiver(capture=True)
queue = ipcq.MemoryStorage(sys.argv[1])
print(queue.push(7, metadata=logs.metadata), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_killed_receiver_costs_no_task(queue: MemoryStorage, kept: Kept, private_directory: Path) -> None:
    """Its tasks are run as ever; the next receiver removes what it left."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUSHES, queue.queue], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        task_id = process.stdout.readline().strip()
        process.kill()
    assert len(os.listdir(private_directory / ".logs")) == 1
    with Monitor(queue, logged.speak, workers=1):
        assert queue.wait(task_id, PATIENCE).unwrap() == 7
    assert kept.records == []
    with LogReceiver():
        assert len(os.listdir(private_directory / ".logs")) == 1
    assert os.listdir(private_directory / ".logs") == []


def test_a_receiver_that_is_too_slow_costs_records_not_time(queue: MemoryStorage, kept: Kept) -> None:
    """The task goes on; what is missing is counted, and with what came it is all."""
    logs = LogReceiver(thread=False)
    with Monitor(queue, logged.speak_much, workers=1):
        queue.wait(queue.push(0, metadata=logs.metadata), PATIENCE).unwrap()
        began = time.monotonic()
        queue.wait(queue.push(MANY, metadata=logs.metadata), PATIENCE).unwrap()
        assert time.monotonic() - began < PATIENCE / 2
        logs.flush()
        queue.wait(queue.push(1, metadata=logs.metadata), PATIENCE).unwrap()
        logs.flush()
    logs.close()
    assert logs.dropped > 0
    assert len(kept.records) + logs.dropped == MANY + 1


@pytest.mark.slow
def test_a_stopped_receiver_holds_nobody_up(queue: MemoryStorage) -> None:
    """A process that is stopped takes nothing in, and its tasks are run."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUSHES.replace("push(7", f"push({MANY}"), queue.queue],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        task_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGSTOP)
        with Monitor(queue, logged.speak_much, workers=1):
            assert queue.wait(task_id, PATIENCE).unwrap() == MANY
        process.kill()


def test_from_calls_of_an_executor(kept: Kept) -> None:
    """Of all of them, those of ``map`` and those with other options, too."""
    lines: list[Output] = []
    with LogReceiver(on_output=lines.append) as logs, Executor(2, logs=logs) as executor:
        assert executor.submit(logged.speak, 1).result(PATIENCE) == 1
        assert executor.options(priority=1).submit(logged.speak, 2).result(PATIENCE) == 2
        assert list(executor.map(logged.speak, [3, 4], timeout=PATIENCE)) == [3, 4]
        assert logs.flush(PATIENCE)
    assert sorted(line.text for line in lines) == [f"printed {n}\n" for n in (1, 2, 3, 4)]
    assert sorted(record.getMessage() for record in kept.records) == [f"logged {n}" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("queue", [(), ("--queue", "memory://logged")])
def test_from_items_of_the_command(queue: tuple[str, ...]) -> None:
    """Each line has its item in front; standard output has results alone."""
    ended = run("map", call("log_and_print"), "-n", "2", "--logs", "info", *queue, "a", "b\tc")
    assert ended.values == ["a", "b\tc"]
    *lines, last = ended.err.splitlines()
    odd = repr("b\tc")
    assert sorted(lines) == [
        f"{odd}: INFO speaking: logged b\tc",
        f"{odd}: printed b\tc",
        "a: INFO speaking: logged a",
        "a: printed a",
    ]
    assert last.startswith("ipcq: 2 done")


def test_a_level_that_is_none_is_told() -> None:
    """With those that there are."""
    ended = run("map", call("log_and_print"), "--logs", "loud", "a")
    assert (ended.status, "'loud' is not debug, info" in ended.err) == (2, True)


@pytest.mark.slow
def test_while_workers_are_killed(queue: MemoryStorage, kept: Kept) -> None:
    """Of every task the last run's words are all there, and nothing is torn."""
    lines: list[Output] = []
    chance = random.Random(7)
    with LogReceiver(on_output=lines.append) as logs, Monitor(queue, logged.speak, workers=2) as monitor:
        ids = queue.push_bulk(range(KILLED_AT * 20), metadata=logs.metadata, max_deaths=255)
        for number, result in enumerate(queue.wait_for(ids, 4 * PATIENCE)):
            result.unwrap()
            if number % KILLED_AT == 0 and monitor.workers:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(monitor.workers), signal.SIGKILL)
        logs.flush(PATIENCE)
    texts, of = {line.text for line in lines}, {record.task_id for record in kept.records}
    assert logs.malformed == 0
    assert texts <= {f"printed {number}\n" for number in range(len(ids))}
    assert of <= set(ids)
    missing = 2 * len(ids) - len(texts) - len(of)
    assert missing <= logs.dropped  # none, but on a machine that is very busy


def test_from_named_functions(kept: Kept) -> None:
    """By the metadata among the options of a push, beside those of a trace."""
    with logged.named, LogReceiver() as logs, Monitor(logged.named.backend, logged.named, workers=1):
        assert logged.say.options(metadata=inject(logs.metadata)).push(3).wait(PATIENCE) == 3
        assert logged.say.push(4).wait(PATIENCE) == 4
        logs.flush(PATIENCE)
    assert [record.getMessage() for record in kept.records] == ["logged 3"]
