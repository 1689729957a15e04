from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from ipcq.backend import WorkerExit
from ipcq.errors import HandlerNotFound, NotSupported
from ipcq.monitor import Monitor
from ipcq.monitor.job import Job
from ipcq.monitor.words import how
from ipcq.worker import Router

from .fakes import Files, handle


@pytest.fixture
def backend(tmp_path: Path) -> Files:
    """An empty queue."""
    return Files(tmp_path)


class Unsendable(Files):
    def __reduce__(self) -> str:
        raise TypeError("it holds a socket")


async def coroutine(task: Any, context: Any, call_next: Any) -> Any:
    """A layer for coroutine functions."""
    return await call_next(task, context)


def test_a_job_survives_the_way(backend: Files) -> None:
    """What is packed in one process is opened in another; a name stays a name."""
    opened, handler, layers, _ = Job.pack(backend, handle, [], 1).open()

    assert isinstance(opened, Files)
    assert (opened.directory, handler, layers) == (backend.directory, handle, ())
    assert Job.pack(backend, "m:f", [], 1).open()[1] == "m:f"
    assert isinstance(Job.pack(backend, Router({"tag": "m:f"}), [], 1).open()[1], Router), (
        "nothing is imported"
    )


def test_what_no_other_process_finds_is_refused_when_the_monitor_is_made(backend: Files) -> None:
    """Lambdas and local functions are told to move to a module."""
    with pytest.raises(HandlerNotFound, match=r"handler .*lambda.* cannot be sent .*top level of a module"):
        Monitor(backend, lambda word: word)
    with pytest.raises(HandlerNotFound, match=r"layers .*lambda.* cannot be sent"):
        Monitor(backend, handle, layers=[lambda *_: None])
    with pytest.raises(TypeError, match="coroutine function"):
        Monitor(backend, handle, layers=[coroutine])
    with pytest.raises(ValueError, match=r"concurrency=2 .* workers=2"):
        Monitor(backend, handle, concurrency=2)
    with pytest.raises(NotSupported, match="use from another process"):
        Monitor(Unsendable(backend.directory), handle)


def test_what_is_missing_in_the_worker_says_so() -> None:
    """A function that only the packing process has, as in an interactive session, is named."""
    job = Job(b"", b"c__main__\nno_such_function\n.", b"", b"", 1)

    with pytest.raises(HandlerNotFound, match=r"handler not found in a worker process .*no_such_function"):
        job.open()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (WorkerExit(1, 0), "ended with exit code 0"),
        (WorkerExit(1, 3), "ended with exit code 3"),
        (WorkerExit(1, -11), "was killed by SIGSEGV"),
        (WorkerExit(1, -9, out_of_memory=True), "was killed by SIGKILL (out of memory)"),
        (WorkerExit(1, -40), "was killed by signal 40"),
    ],
)
def test_ends_are_told_in_words(end: WorkerExit, words: str) -> None:
    """Signals have names where they have one."""
    assert how(end) == words


def test_numbers_and_methods_out_of_bounds_are_refused(backend: Files) -> None:
    """When the Monitor is made, not when it starts."""
    with pytest.raises(ValueError, match="must be 1 or more, not workers=0, prefetch=1"):
        Monitor(backend, handle, workers=0)
    with pytest.raises(ValueError, match="prefetch=0"):
        Monitor(backend, handle, workers=1, prefetch=0)
    with pytest.raises(ValueError, match="telepathy"):
        Monitor(backend, handle, start_method="telepathy")
    assert "fork" in multiprocessing.get_all_start_methods()
