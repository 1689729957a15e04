"""Clients that do not read, say nothing, or come and go: the server does not grow, and others go on."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from ipcq import MemoryStorage, Pipe
from ipcq.backends.pipe import Server
from ipcq.backends.pipe import server as server_module
from ipcq.backends.pipe.frames import Outcome, Request, Verb, read_reply, write_request

from .serving import Served, free_port, serving
from .stranger import PATIENCE, stranger

TASKS, SIZE = 128, 8000
MOST_GROWTH = 24 << 20  # bytes
ALL = [[None, 1, 1000, None]]


@pytest.fixture
def port() -> int:
    """Of a server to be."""
    return free_port()


@pytest.fixture
def served(queue: MemoryStorage, port: int) -> Iterator[Served]:
    """A server in a process of its own, whose queue has a page of a megabyte."""
    queue.push_bulk([bytes(SIZE)] * TASKS)
    with serving(f"memory://{queue.queue}", f"tcp://127.0.0.1:{port}") as process:
        yield process


def _memory(process: Served) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) << 10


def _work(client: Pipe) -> None:
    task_id = client.push("served")
    assert client.cancel(task_id)
    assert client.vacuum() == 1


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_one_that_never_reads(served: Served, port: int, count: int) -> None:
    """Few of its answers are kept for it, however many there are and however large."""
    endpoint = f"tcp://127.0.0.1:{port}"
    with Pipe(endpoint) as honest, zmq.Context() as context, context.socket(zmq.DEALER) as deaf:
        honest.list_all_tasks()
        _work(honest)
        before = _memory(served)
        deaf.linger = 0
        for option, value in ((zmq.RCVHWM, 1), (zmq.RCVBUF, 4096), (zmq.SNDHWM, 0)):
            deaf.setsockopt(option, value)
        deaf.connect(endpoint)
        for number in range(1, count + 1):
            deaf.send_multipart(write_request(Request(number, Verb.LIST_ALL_TASKS, ALL)))
            _work(honest)
        deaf.send_multipart(write_request(Request(count + 1, Verb.VACUUM, [1e9, []])))
        _work(honest)
        assert _memory(served) - before < MOST_GROWTH
        heard = 0
        while deaf.poll(200):  # what was kept for it comes whole, when it reads at last
            assert read_reply(deaf.recv_multipart()).outcome is Outcome.DONE
            heard += 1
        assert 0 < heard < count


@pytest.mark.parametrize("count", [50, pytest.param(3000, marks=pytest.mark.slow)])
def test_those_that_come_and_go(served: Served, port: int, count: int) -> None:
    """Neither connections that ask nor such that say nothing leave anything behind."""
    endpoint = f"tcp://127.0.0.1:{port}"
    with Pipe(endpoint) as honest:
        for _ in range(20):
            with stranger(endpoint) as asking:
                asking.ask(Verb.HELLO)
        before, process = _memory(served), psutil.Process(served.pid)
        descriptors = process.num_fds()
        for _ in range(count):
            with stranger(endpoint) as asking:
                asking.ask(Verb.HELLO)
            with socket.create_connection(("127.0.0.1", port)):
                _work(honest)
        assert _memory(served) - before < MOST_GROWTH
        while process.num_fds() > descriptors + 5:
            _work(honest)


def test_one_that_says_nothing(queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection has so long to say who it is, and is closed then."""
    monkeypatch.setattr(server_module, "_HANDSHAKE", 0.2)
    port = free_port()
    with (
        Pipe.serve(queue, f"tcp://127.0.0.1:{port}"),
        socket.create_connection(("127.0.0.1", port)) as silent,
    ):
        silent.settimeout(PATIENCE)
        while silent.recv(100):
            pass


def test_more_connections_than_descriptors(served: Served, port: int) -> None:
    """All are closed, so that there are some for the backend; clients of ours connect again."""
    endpoint = f"tcp://127.0.0.1:{port}"
    with Pipe(endpoint) as honest:
        _work(honest)
        resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (110, 110))
        crowd: list[socket.socket] = []
        try:
            while len(crowd) < 80:
                crowd.append(socket.create_connection(("127.0.0.1", port)))
            for silent in crowd:
                silent.settimeout(PATIENCE)
                while silent.recv(100):
                    pass
        except (ConnectionRefusedError, ConnectionResetError):
            pass  # all were closed already
        finally:
            for silent in crowd:
                silent.close()
        _work(honest)
        with Pipe(endpoint) as another:
            _work(another)
        process = psutil.Process(served.pid)
        while process.num_fds() > 60:
            _work(honest)


def test_a_place_for_many_is_not_closed_at_every_turn(
    queue: MemoryStorage, private_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it does not help, because others have the descriptors, it is not done again at once."""
    monkeypatch.setattr("ipcq.backends.pipe.listening._descriptors", lambda: (10, 32))
    with Pipe.serve(queue, f"ipc://{private_directory}/socket") as server:
        _close_and_listen(server, monkeypatch)
        with Pipe(server.endpoint) as client:
            for _ in range(30):
                _work(client)
        assert server.refusals.counts["connections"] == 1


def _close_and_listen(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _await(server, listens=False)
    monkeypatch.setattr("ipcq.backends.pipe.listening._descriptors", lambda: (100, 32))
    _await(server, listens=True)
    monkeypatch.setattr("ipcq.backends.pipe.listening._descriptors", lambda: (10, 32))


def _await(server: Server, *, listens: bool) -> None:
    while server._listening.listens != listens:
        pass
