"""Worker processes whose handlers left something running."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ipcq import MemoryStorage, Monitor


def leave_running(what: str) -> int:
    """Starts what never ends, and returns."""
    if what == "thread":
        threading.Thread(target=threading.Event().wait, daemon=False).start()
    elif what == "pool":
        ThreadPoolExecutor(1).submit(threading.Event().wait)
    elif what == "process":
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
    elif what == "logging":
        handler = logging.StreamHandler()
        logging.getLogger().addHandler(handler)
        threading.Thread(target=_hold, args=(handler,), daemon=False).start()
    return os.getpid()


def _hold(handler: logging.Handler) -> None:
    """As one does whose record is for a pipe that nobody reads."""
    handler.acquire()
    threading.Event().wait()


async def leave_in_a_thread_of_the_loop(what: str) -> int:
    """The same in a coroutine function."""
    return leave_running(what)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("what", ["thread", "pool", "process", "logging"])
@pytest.mark.parametrize("handler", [leave_running, leave_in_a_thread_of_the_loop])
def test_the_place_of_a_process_that_leaves_is_not_lost(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch, handler: Any, what: str
) -> None:
    """Others come in its place, and the Monitor ends, though Python would wait for a thread for ever."""
    monkeypatch.setattr("ipcq.monitor.leaving._PATIENCE", 0.05)
    monkeypatch.setattr("ipcq.monitor.leaving._TELLING", 0.05)
    with Monitor(queue, handler, workers=1, max_tasks=1, start_method="fork") as monitor:
        pids = [queue.wait(queue.push(what), 20).unwrap() for _ in range(3)]
        monitor.stop(20)
    assert len(set(pids)) == 3
