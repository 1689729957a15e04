"""How many small messages a second, from one process to one other?

Messages of 100 bytes, a hundred in one call where one call can have many. ipcq pushes them with
``push_bulk`` (codec raw, no results kept) to a consumer that takes them from ``poll`` and finishes
each; each is safe from the death of either process, which the queues and sockets beside it do not
promise.

    python benchmarks/transport.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from channels import BATCH, CHANNELS, Channel
from figures import Bar, Table
from measuring import Options, in_turn, main, rate, timed

MESSAGE = bytes(range(100))
MOST = 500_000


def measure(options: Options) -> Iterator[Table]:
    with ExitStack() as stack:
        ways: dict[str, Callable[[], float]] = {}
        skipped: dict[str, str] = {}
        for name, channel in CHANNELS.items():
            try:
                sent = stack.enter_context(sending(channel))
            except ImportError as error:
                skipped[name] = str(error)
            else:
                ways[name] = rate(sent, options.seconds, MOST)
        rows = in_turn(options.rounds, ways)
    yield Table(
        f"Messages of {len(MESSAGE)} bytes, one producer, one consumer",
        "messages/s",
        rows,
        [Bar(">=", 1.5, than="faster-fifo"), Bar(">=", 3, than="multiprocessing.Queue")],
        skipped=skipped,
        note=f"ipcq: push_bulk of {BATCH}, poll, finish; faster-fifo: put_many of {BATCH}, get_many.",
    )


@contextmanager
def sending(channel: Callable[[], AbstractContextManager[Channel]]) -> Iterator[Callable[[int], float]]:
    """A consumer process at the other end; sends so many messages and waits until it has them all."""
    with channel() as opened:
        spawn = get_context("spawn")
        here, there = spawn.Pipe()
        process = spawn.Process(target=consume, args=(opened, there), daemon=True)
        process.start()
        there.close()

        def run(count: int) -> float:
            here.send(count)
            assert here.recv() == "ready"

            def send() -> None:
                opened.send([MESSAGE] * count)
                assert here.recv() == count * len(MESSAGE)

            return timed(send)

        try:
            yield run
        except BaseException:
            process.kill()  # it may wait for more
            raise
        finally:
            here.close()  # which ends it
            process.join()


def consume(channel: Channel, link: Connection) -> None:
    """Take as many messages as the link says, tell it how many bytes they had, and again."""
    with channel.receiving() as receive:
        while True:
            try:
                count = link.recv()
            except (EOFError, KeyboardInterrupt):
                return
            link.send("ready")
            total = 0
            while count:
                for message in receive(count):
                    total += len(message)
                    count -= 1
            link.send(total)


if __name__ == "__main__":
    main(__doc__, measure, rounds=11)
