"""How long does a large payload take, from the push to its result?

Bytes through push, a run that reads one byte of each page, and the wait; one worker. Below it, what
the machine itself takes: one copy of so many bytes to memory that was used before.

    python benchmarks/payload.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from figures import Bar, Table
from ipcq import MemoryStorage
from measuring import Options, in_turn, main, timed
from peers import Peer, opened
from tasks import read_pages, working

MIB = 1 << 20
COPY = "one copy in memory"


def measure(options: Options) -> Iterator[Table]:
    with ExitStack() as stack:
        queue = stack.enter_context(working(read_pages, 1, codec="raw"))
        peers, skipped = opened(stack, 1)
        for size in (64 * MIB, MIB):
            data = bytes(range(256)) * ((MIB // 64 if options.quick else size) // 256)  # no page of zeros
            ways = {"ipcq": of_queue(queue, data)}
            ways.update({name: of_peer(peer, data) for name, peer in peers.items()})
            ways[COPY] = a_copy(data)
            for way in ways.values():
                for _ in range(3):
                    way()
            repeated = {name: of_many(way, 1 if size > MIB else 20) for name, way in ways.items()}
            yield Table(
                f"A payload of {size // MIB} MiB: push, run, wait",
                "ms",
                in_turn(options.rounds, repeated),
                [Bar("<=", 1.5, than=COPY)] if size > MIB else [],
                skipped=skipped,
                floors=[COPY],
            )


def of_many(way: Callable[[], float], count: int) -> Callable[[], float]:
    """The mean of several."""
    return lambda: sum(way() for _ in range(count)) / count


def of_queue(queue: MemoryStorage, data: bytes) -> Callable[[], float]:
    return lambda: 1e3 * timed(lambda: queue.wait(queue.push(data)).unwrap())


def of_peer(peer: Peer, data: bytes) -> Callable[[], float]:
    return lambda: 1e3 * timed(lambda: peer.call(read_pages, data))


def a_copy(data: bytes) -> Callable[[], float]:
    into = memoryview(bytearray(len(data)))

    def copy() -> None:
        into[:] = data

    return lambda: 1e3 * timed(copy)


if __name__ == "__main__":
    main(__doc__, measure, rounds=15)
