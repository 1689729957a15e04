"""How long does one task take, from the push to its result?

No-op tasks one after the other through one worker with default settings: ``wait(push(n))``, beside
``submit(...).result()`` of the pools. Below it, what the system itself takes: a byte to another
process and back, through ``multiprocessing.Pipe`` and through two raw pipes.

    python benchmarks/round_trip.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median, quantiles
from time import perf_counter

from figures import Bar, Row, Table
from ipcq import MemoryStorage
from measuring import Options, main
from peers import Peer, opened
from tasks import same, working

LEAST = 20  # trips in one measurement
PIPE = "multiprocessing.Pipe, ping-pong"
RAW = "raw pipes, ping-pong"
Trip = Callable[[], object]


def measure(options: Options) -> Iterator[Table]:
    with ExitStack() as stack:
        ways: dict[str, Trip] = {"ipcq": of_queue(stack.enter_context(working(same, 1)))}
        peers, skipped = opened(stack, 1)
        ways.update({name: of_peer(peer) for name, peer in peers.items()})
        ways[PIPE] = stack.enter_context(connected())
        ways[RAW] = stack.enter_context(piped())
        for trip in ways.values():
            trips(trip, options.seconds / 2)
        middle: dict[str, list[float]] = {name: [] for name in ways}
        slow: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(options.rounds):
            for name, trip in list(ways.items())[:: -1 if number % 2 else 1]:
                found = trips(trip, options.seconds)
                middle[name].append(median(found))
                slow[name].append(quantiles(found, n=100)[98])
    bars = [Bar("<=", 0.1, than="ProcessPoolExecutor"), Bar("<=", 2, than=PIPE)]
    floors = [PIPE, RAW]
    yield Table(
        "Round trip of a no-op task, one worker", "µs", _rows(middle), bars, skipped=skipped, floors=floors
    )
    yield Table("The slowest of a hundred round trips", "µs", _rows(slow), floors=floors)


def _rows(found: dict[str, list[float]]) -> list[Row]:
    return [Row(name, figures) for name, figures in found.items()]


def trips(trip: Trip, seconds: float) -> list[float]:
    """How long each trip took, in microseconds; as many as fit into ``seconds``."""
    until = perf_counter() + seconds
    found: list[float] = []
    while len(found) < LEAST or perf_counter() < until:
        started = perf_counter()
        trip()
        found.append((perf_counter() - started) * 1e6)
    return found


def of_queue(queue: MemoryStorage) -> Trip:
    return lambda: queue.wait(queue.push(1)).unwrap()


def of_peer(peer: Peer) -> Trip:
    return lambda: peer.call(same, 1)


@contextmanager
def connected() -> Iterator[Trip]:
    """A process that sends back what it is sent, through a connection."""
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=send_back, args=(there,), daemon=True)
    process.start()
    there.close()

    def trip() -> None:
        here.send_bytes(b"x")
        here.recv_bytes()

    try:
        yield trip
    finally:
        here.close()  # which ends it
        process.join()


def send_back(link: Connection) -> None:
    while True:
        try:
            link.send_bytes(link.recv_bytes())
        except EOFError:
            return


@contextmanager
def piped() -> Iterator[Trip]:
    """A process that writes back each byte, through two pipes."""
    (read_there, write), (read, write_there) = os.pipe(), os.pipe()
    spawn = get_context("fork")
    process = spawn.Process(target=write_back, args=(read_there, write_there, write), daemon=True)
    process.start()
    os.close(read_there)
    os.close(write_there)

    def trip() -> None:
        os.write(write, b"x")
        os.read(read, 1)

    try:
        yield trip
    finally:
        os.close(write)  # which ends it
        process.join()
        os.close(read)


def write_back(read: int, write: int, other: int) -> None:
    os.close(other)
    while data := os.read(read, 1):
        os.write(write, data)


if __name__ == "__main__":
    main(__doc__, measure, rounds=9)
