"""A limit of runs at once, kept by real worker processes of every backend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ipcq
from ipcq import Layer, MemoryStorage, Monitor, Pipe
from ipcq.layers import ConcurrencyLimit, RateLimit

LIMIT, WORKERS, TASKS = 2, 4, 24
BEHIND = {"pipe+ipc": "memory://limits", "pipe+tcp": "json://{}/limits.jsonl"}
AT = {"memory": "memory://limits", "json": "json://{}/limits.jsonl", "pipe+ipc": "ipc://{}/socket"}

Span = tuple[float, float]


def work(_: Any) -> Span:
    """When a run began, and when it ended."""
    began = time.monotonic()
    time.sleep(0.02)
    return began, time.monotonic()


async def work_in_loop(_: Any) -> Span:
    """The same as a coroutine function."""
    began = time.monotonic()
    await asyncio.sleep(0.02)
    return began, time.monotonic()


def most_at_once(spans: list[Span]) -> int:
    """How many there were at one moment."""
    ends = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    now = most = 0
    for _, step in ends:
        now += step
        most = max(most, now)
    return most


@contextmanager
def _queue(kind: str, directory: Path) -> Iterator[Any]:
    if kind in ("memory", "json"):
        with ipcq.connect(AT[kind].format(directory)) as queue:
            yield queue
            queue.destroy(force=True)  # type: ignore[union-attr]
        return
    endpoint = "tcp://127.0.0.1:*" if kind == "pipe+tcp" else AT[kind].format(directory)
    with ipcq.connect(BEHIND[kind].format(directory)) as behind:
        with Pipe.serve(behind, endpoint) as server, Pipe(server.endpoint) as queue:
            yield queue
        behind.destroy(force=True)  # type: ignore[union-attr]


slow = pytest.mark.slow


@pytest.mark.parametrize("handler", [work, pytest.param(work_in_loop, marks=slow)])
@pytest.mark.parametrize("kind", ["memory", *(pytest.param(k, marks=slow) for k in ("json", *BEHIND))])
def test_workers_keep_one_limit(kind: str, handler: Callable[[Any], Any], private_directory: Path) -> None:
    """Of four workers two run at once, while there is enough to do, and no more."""
    with _queue(kind, private_directory) as queue:
        layers = [ConcurrencyLimit(LIMIT, per=queue)]
        concurrency = 1 if handler is work else 3
        with Monitor(queue, handler, workers=WORKERS, layers=layers, concurrency=concurrency):
            until = time.monotonic() + 60
            while len(queue.list_workers()) < WORKERS and time.monotonic() < until:
                time.sleep(0.01)
            results = [result.unwrap() for result in queue.wait_for(queue.push_bulk(range(TASKS)), 60)]
        spans = [(began, ended) for began, ended in results]
    assert most_at_once(spans) == LIMIT


@slow
def test_two_queues_keep_one_limit(queue: MemoryStorage, private_directory: Path) -> None:
    """Of a service that both use: the limits are those of a third queue, each by its name."""
    with MemoryStorage("service") as service, ipcq.JsonStorage(private_directory / "other.jsonl") as other:
        layers: list[Layer] = [
            ConcurrencyLimit(1, per=service, name="calls"),
            RateLimit(40, per=service, name="calls"),
        ]
        with (
            Monitor(queue, work, workers=2, layers=layers),
            Monitor(other, work, workers=2, layers=layers),
        ):
            ids, others = queue.push_bulk(range(10)), other.push_bulk(range(10))
            results = [*queue.wait_for(ids, 60), *other.wait_for(others, 60)]
        spans = [(began, ended) for began, ended in (result.unwrap() for result in results)]
        service.destroy(force=True)
    assert most_at_once(spans) == 1
    begun = sorted(began for began, _ in spans)
    assert begun[-1] - begun[0] > 19 / 40 - 0.05
