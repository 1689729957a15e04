"""Connections that are cut, and clients that are killed while they wait."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ipcq import MemoryStorage, Pipe, Status
from ipcq.backends.pipe import Server, awaited, desk

from .serving import free_port

PATIENCE = 20.0


class Wire:
    """A port whose connections lead to another port, until they are cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._asked = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cut(self) -> None:
        """Cut all connections, soon."""
        self._asked.set()

    def close(self) -> None:
        """Cut all for good."""
        self._over.set()
        self._thread.join()
        self._cut_all()
        self._selector.close()
        self._listener.close()

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.001):
                if key.fileobj is self._listener:
                    self._connect()
                else:
                    self._pass_on(key.fileobj)  # type: ignore[arg-type]
            if self._asked.is_set():
                self._asked.clear()
                self._cut_all()

    def _connect(self) -> None:
        here, _ = self._listener.accept()
        there = socket.create_connection(("127.0.0.1", self._target))
        for one, other in ((here, there), (there, here)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, here: socket.socket) -> None:
        if here not in self._pairs:
            return
        try:
            data = here.recv(1 << 16)
            self._pairs[here].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(here, self._pairs[here])

    def _cut_all(self) -> None:
        self.cuts += len(self._pairs) // 2
        for here, there in list(self._pairs.items()):
            self._drop(here, there)

    def _drop(self, *both: socket.socket) -> None:
        for each in both:
            if self._pairs.pop(each, None) is not None:
                self._selector.unregister(each)
                each.close()


@contextmanager
def _wired(queue: MemoryStorage) -> Iterator[tuple[Server, Wire]]:
    port = free_port()
    with Pipe.serve(queue, f"tcp://127.0.0.1:{port}") as server:
        wire = Wire(port)
        try:
            yield server, wire
        finally:
            wire.close()


def test_cut_connections_lose_and_double_nothing(queue: MemoryStorage) -> None:
    """Pushes, hand-outs and results go on over new connections; each task is run once."""
    done: list[int] = []
    with _wired(queue) as (_, wire), Pipe(f"tcp://127.0.0.1:{wire.port}") as client:
        ids = []
        for number in range(60):
            ids.append(client.push(number))
            if number % 10 == 5:
                wire.cut()
        assert queue.list_tasks().total == 60
        with client.register_worker("worker") as lease:
            stream = client.poll(lease, prefetch=4)
            while len(done) < 60:
                task = next(stream)
                if task is not None:
                    if task.args % 10 == 7:
                        wire.cut()
                    done.append(task.args)
                    lease.finish(task, task.args)
        assert [result.value for result in client.wait_for(ids, PATIENCE)] == done
        assert done == list(range(60))
        assert wire.cuts


_WAIT = """
import sys
from ipcq import Pipe
with Pipe(sys.argv[1]) as client:
    waiting = client.wait_for([client.push(None)])
    print("waits", flush=True)
    waiting.ready(None)
"""


@pytest.mark.slow
def test_clients_that_are_killed_while_they_wait(
    queue: MemoryStorage, private_directory: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server forgets them and what they waited for; their tasks stay."""
    monkeypatch.setattr(desk, "LONGEST_AWAIT", 0.3)
    monkeypatch.setattr(awaited, "_SILENCE", 0.5)
    endpoint = f"ipc://{os.fspath(private_directory)}/socket"
    with Pipe.serve(queue, endpoint) as server:
        for _ in range(2):
            command = [sys.executable, "-c", _WAIT, endpoint]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"waits\n"
                while not server._parking:
                    process.stdout.fileno()
                os.kill(process.pid, signal.SIGKILL)
        waited = server._desk.awaited
        while server._parking or waited._waiters or waited._askers:
            queue.check_status([])
        assert {task.status for task in queue.list_tasks().items} == {Status.PENDING}
