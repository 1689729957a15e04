"""A limit whose holders are killed, again and again: never more than it says, and no permit is lost."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ipcq
from ipcq import CustomBackend, Task
from ipcq.layers import ConcurrencyLimit
from tests.unit.memory.children import Child, Line, child
from tests.unit.pipe.serving import kill, serving
from tests.unit.store.stores import SqliteStore

from .test_journal_kills import ROUNDS, SEED

LIMIT, WORKERS = 3, 6
PATIENCE = 30.0
SOON = 5.0  # seconds; a second on an idle machine
RUNNING, TASK = SimpleNamespace(stopping=False), Task.of(1)
Opening = Callable[[], Any]


class Gauge:
    """Sees for itself how many run at once, by byte locks that the kernel frees before those of permits.

    A killed process's descriptors are closed in the order of their numbers, so this is opened before a queue.
    """

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory / "gauge", os.O_RDWR | os.O_CREAT, 0o600)
        self._runs = os.open(directory / "runs", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def run(self, *_: object) -> None:
        """Run for a while; note a mark of its own where there were too many."""
        byte = self._free()
        os.write(self._runs, b"!" if byte is None else b".")
        time.sleep(0.01 * random.random())
        if byte is not None:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def _free(self) -> int | None:
        for _ in range(5):  # one that was passed may be free by now
            for byte in range(LIMIT):
                try:
                    fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
                except OSError:
                    continue
                return byte
        return None

    @staticmethod
    def runs(directory: Path) -> bytes:
        """A mark for each run."""
        file = directory / "runs"
        return file.read_bytes() if file.exists() else b""


def _work(directory: Path, open_backend: Opening, limit: int) -> Callable[[Line], None]:
    def work(_: Line) -> None:
        gauge = Gauge(directory)
        random.seed(os.getpid())
        layer = ConcurrencyLimit(limit, per=open_backend())
        while True:
            layer(TASK, RUNNING, gauge.run)

    return work


def _await_runs(directory: Path, more: int) -> float:
    """Wait for so many runs; how long it took."""
    began, before = time.monotonic(), len(Gauge.runs(directory))
    while len(Gauge.runs(directory)) < before + more:
        assert time.monotonic() < began + PATIENCE, "nobody goes on"
        time.sleep(0.001)
    return time.monotonic() - began


@contextmanager
def _backend(kind: str, directory: Path) -> Iterator[Opening]:
    """How a process opens the queue."""
    if kind == "custom":
        yield lambda: CustomBackend(store=SqliteStore(str(directory / "queue.db")))
        return
    url = "memory://limits" if kind == "memory" else f"json://{directory}/limits.jsonl"
    yield lambda: ipcq.connect(url)
    with ipcq.connect(url) as backend:
        backend.destroy(force=True)  # type: ignore[union-attr]


def _check_permits(backend: Any) -> None:
    """There are all, and no more."""
    until, permits = time.monotonic() + PATIENCE, list[Any]()
    while len(permits) < LIMIT:
        permit = backend.take_permit("default", LIMIT)
        permits += [permit] if permit is not None else []
        assert time.monotonic() < until, f"{LIMIT - len(permits)} permits were lost"
    assert backend.take_permit("default", LIMIT) is None
    for permit in permits:
        permit.release()


rounds_of = pytest.mark.parametrize(
    "rounds", [pytest.param(5, id="short"), pytest.param(ROUNDS, id="long", marks=pytest.mark.slow)]
)


@rounds_of
@pytest.mark.parametrize(
    "kind",
    ["memory", *(pytest.param(each, marks=pytest.mark.slow) for each in ("json", "custom"))],
)
def test_killed_and_stopped_holders(kind: str, rounds: int, private_directory: Path) -> None:
    """Never more than the limit, the others go on within a second, and at the end all permits are there."""
    chance, longest = random.Random(SEED), 0.0
    with _backend(kind, private_directory) as open_backend, ExitStack() as stack:
        work = _work(private_directory, open_backend, LIMIT)
        crew: list[Child] = [stack.enter_context(child(work)) for _ in range(WORKERS)]
        _await_runs(private_directory, WORKERS)
        for _ in range(rounds):
            time.sleep(0.01 * chance.random())  # chance decides where they are
            victims = chance.sample(range(WORKERS), chance.randint(1, LIMIT))
            for each in victims:
                crew[each].kill()
            longest = max(longest, _await_runs(private_directory, LIMIT))
            for each in victims:
                crew[each] = stack.enter_context(child(work))
        crew[0].stop()
        crew[1].stop()
        _await_runs(private_directory, LIMIT)
        for process in crew:
            process.kill()
        with open_backend() as backend:
            _check_permits(backend)
    runs = Gauge.runs(private_directory)
    print(f"\n{kind}: {len(runs)} runs, {rounds} rounds of kills; {longest:.3f} s until others went on")
    assert b"!" not in runs
    assert longest < SOON


def test_the_gauge_sees_one_too_many(private_directory: Path) -> None:
    """With one permit more than it has bytes, it says so."""
    with _backend("memory", private_directory) as open_backend, ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(child(_work(private_directory, open_backend, LIMIT + 1)))
        until = time.monotonic() + PATIENCE
        while b"!" not in Gauge.runs(private_directory):
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [max(2, ROUNDS // 20)])
def test_killed_servers_and_clients(kills: int, private_directory: Path) -> None:
    """Clients tell the next server what they have: never more than the limit, and no permit is lost."""
    chance, endpoint = random.Random(SEED), f"ipc://{private_directory}/socket"
    with _backend("memory", private_directory) as open_backend, ExitStack() as stack:
        with open_backend():  # it is there before its server
            pass
        work = _work(private_directory, lambda: ipcq.Pipe(endpoint), LIMIT)
        crew: list[Child] = [stack.enter_context(child(work)) for _ in range(WORKERS)]
        for _ in range(kills):
            with serving("memory://limits", endpoint) as server:
                _await_runs(private_directory, 5 * LIMIT)
                victim = chance.randrange(WORKERS)
                crew[victim].kill()
                assert _await_runs(private_directory, LIMIT) < SOON
                crew[victim] = stack.enter_context(child(work))
                kill(server)
        for process in crew:
            process.kill()
        with serving("memory://limits", endpoint), ipcq.Pipe(endpoint) as pipe:
            _check_permits(pipe)
    assert b"!" not in Gauge.runs(private_directory)


@pytest.mark.slow
def test_a_client_that_is_killed(private_directory: Path) -> None:
    """Its permit is there for others within a second."""
    endpoint = f"ipc://{private_directory}/socket"

    def hold(line: Line) -> None:
        pipe = ipcq.Pipe(endpoint)
        while pipe.take_permit("default", 1) is None:
            time.sleep(0.01)
        line.say("taken")
        line.hear()

    with _backend("memory", private_directory) as open_backend:
        with open_backend():
            pass
        with serving("memory://limits", endpoint), ipcq.Pipe(endpoint) as pipe, child(hold) as holder:
            holder.hear()
            assert pipe.take_permit("default", 1) is None
            holder.kill()
            began = time.monotonic()
            while (permit := pipe.take_permit("default", 1)) is None:
                time.sleep(0.01)
            assert time.monotonic() - began < SOON
            permit.release()
