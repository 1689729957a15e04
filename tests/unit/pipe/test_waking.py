"""Who waits behind a pipe is woken at once; in these tests nobody looks up by himself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ipcq import MemoryStorage, Pipe
from ipcq.backends import completions
from ipcq.backends.bells import Bells
from ipcq.backends.pipe import channels

from ..memory.acting import until

WAIT = 30.0  # seconds; only a test that fails waits so long


@pytest.fixture
def pipe(queue: MemoryStorage, private_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """A client that looks up every half minute."""
    endpoint = f"ipc://{private_directory}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client, monkeypatch.context() as patches:
        patches.setattr(channels, "_SLICE", WAIT)
        patches.setattr(completions, "_TICK", WAIT)
        yield client


def hang(bells: Bells) -> None:
    """Until somebody waits."""
    until(lambda: repr(bells) == "<Bells: 1 hung>")


def test_a_wait_for_results_is_woken(pipe: Pipe) -> None:
    """It returns without a result; so does one that was woken before it waits; the next one gets it."""
    results: Any = pipe.wait_for([pipe.push(1)])
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(results.ready, WAIT)
        hang(results._inbox._bells)
        results.wake()
        assert waiting.result(WAIT / 2) == []
        results.wake()
        assert results.ready(WAIT) == []
        with pipe.register_worker("w") as lease:
            stream = pipe.poll(lease)
            task = next(stream)
            assert task is not None
            lease.finish(task, 2)
            assert [result.value for result in results.ready(WAIT)] == [2]
            stream.close()


def test_a_worker_that_waits_is_woken(pipe: Pipe) -> None:
    """Before the server answers: what it answers is for the next look."""
    with pipe.register_worker("w") as lease:
        stream: Any = pipe.poll(lease)
        waiting = threading.Thread(target=stream.__next__)
        waiting.start()
        hang(stream._bells)
        stream.wake()
        waiting.join(WAIT / 2)
        assert not waiting.is_alive()
        assert stream._asking is not None
        stream.close()
