"""Messages that nobody of ours wrote, by the million: ``IPCQ_MALFORMED`` says how many."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgpack
import psutil
import pytest
import zmq

from ipcq import MemoryStorage, Pipe
from ipcq.backends.pipe.frames import VERSION, Request, Verb, write_request

from .serving import free_port, serving

MANY = int(os.environ.get("IPCQ_MALFORMED", "1000000"))
TOGETHER = 500
MOST_GROWTH = 24 << 20  # bytes of resident memory: caches and buffers of sockets
SEED = 20_240_501


def malformed(chance: random.Random) -> Iterator[list[bytes]]:
    """Messages without end: noise, heads of all kinds, damaged requests, frames that belong to nothing."""
    (good,) = write_request(Request(7, Verb.PUSH, [b"i" * 16, [[0.0] * 7], 0.0], [b"payload"]))
    deep, long = b"\x91" * 5000 + b"\xc0", msgpack.packb(list(range(5000)))
    while True:
        noise = chance.randbytes(chance.randrange(60))
        head: list[Any] = [
            VERSION,
            0,
            chance.randrange(1 << 40),
            chance.choice((0, 99, "x", None)),
            noise,
            [],
        ]
        cut = chance.randrange(len(good))
        yield from (
            [noise or b"x"],
            [msgpack.packb(head)],
            [msgpack.packb([VERSION + 1, *head[1:]])],
            [msgpack.packb([VERSION, 1, *head[2:]])],
            [msgpack.packb({"version": VERSION, noise: head})],
            [good[:cut]],
            [good, noise],
            [good, b""],
            [deep],
            [long],
            [noise] * chance.randrange(2, 40),
        )


def by_zeromq(port: int, count: int) -> None:
    """A raw socket of ZeroMQ's that sends so many, and hears nothing."""
    messages = malformed(random.Random(SEED))
    with zmq.Context() as context, context.socket(zmq.DEALER) as sender:
        sender.linger = -1
        sender.connect(f"tcp://127.0.0.1:{port}")
        for message in islice(messages, count):
            sender.send_multipart(message)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"


def by_tcp(port: int, count: int) -> None:
    """Raw connections: noise, half a greeting, frames without end, frames that lie about their length."""
    chance, sent = random.Random(SEED), 0
    messages = malformed(chance)
    while sent < count:
        _connection(port, chance.randbytes(200), greet=False)
        _connection(port, GREETING[: chance.randrange(len(GREETING))], greet=False)
        _connection(port, b"\x02" + (1 << 62).to_bytes(8, "big") + b"x")
        _connection(port, chance.randbytes(100))
        part = list(islice(messages, min(TOGETHER, count - sent)))
        _connection(port, b"".join(map(_framed, part)))
        sent += len(part)


def _connection(port: int, data: bytes, *, greet: bool = True) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            if greet:
                connection.sendall(GREETING + READY)
                heard = b""
                while b"READY" not in heard:
                    heard += connection.recv(4096)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):  # until the other side has read all, and has no more to say
                pass
        except OSError:
            pass  # it was refused: that is what is tested


def _framed(message: list[bytes]) -> bytes:
    framed = b""
    for number, frame in enumerate(message):
        flags = (number + 1 < len(message)) | (len(frame) > 255) << 1
        framed += bytes([flags]) + len(frame).to_bytes(8 if flags & 2 else 1, "big") + frame
    return framed


@pytest.mark.parametrize(
    "count", [pytest.param(2000, id="short"), pytest.param(MANY, id="long", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("flood", [by_zeromq, by_tcp])
def test_honest_clients_are_served_meanwhile(
    queue: MemoryStorage, flood: Callable[[int, int], None], count: int
) -> None:
    """The server lives, answers, and does not grow."""
    port = free_port()
    with (
        serving(f"memory://{queue.queue}", f"tcp://127.0.0.1:{port}") as server,
        Pipe(f"tcp://127.0.0.1:{port}") as honest,
    ):
        flood(port, max(1000, count // 10))  # what it takes once is taken now
        honest.cancel(honest.push(0))
        honest.vacuum()
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        flooding = threading.Thread(target=flood, args=(port, count))
        flooding.start()
        served = 0
        while flooding.is_alive() or not served:
            task_id = honest.push(served)
            found = honest.fetch_by_id(task_id)
            assert found is not None
            assert found.args == served
            assert honest.cancel(task_id)
            assert honest.vacuum() == 1
            served += 1
        flooding.join()
        assert honest.push("last")
        grown = process.memory_info().rss - before
        assert server.poll() is None
    print(f"\n{flood.__name__}: {count} messages, {served} tasks meanwhile, {grown / 1e6:.1f} MB more")
    assert grown < MOST_GROWTH
