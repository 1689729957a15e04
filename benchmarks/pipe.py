"""How many tasks a second through a pipe, and what do clients that wait cost its server?

No-op tasks of one client, ``push_bulk`` and ``wait_for`` over ``ipc://``, two workers that reach the queue by
the pipe, too, each task with its own result: workers of a `Monitor`, which make a journey for each task, and
consumers that take and finish many small tasks together; beside `ProcessPoolExecutor` with ``chunksize=1``,
the same queue without a pipe, and the floor: as many journeys of the same frames to a socket that sends them
back, by as many processes. Then the CPU of a server with a thousand clients that wait for results.

    python benchmarks/pipe.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil
import zmq

from fanout import Way, of_peer, of_queue, seconds_of
from figures import OURS, Bar, Row, Table
from idle import used
from ipcq import MemoryStorage, Monitor, Pipe
from ipcq.backends.pipe.frames import Outcome, Reply, Request, Verb, write_reply, write_request
from measuring import Options, in_turn, main, rate, timed
from peers import PEERS
from tasks import a_queue, same, working

WORKERS = 2
CLIENTS = 1000
POOL = "ProcessPoolExecutor"
SINGLY = "ipcq, workers of a Monitor"
TOGETHER = 128
DIRECT = "the same queue without a pipe"
ECHO = "echo of the same frames"


def measure(options: Options) -> Iterator[Table]:
    yield throughput(options)
    yield waiting(options)


def throughput(options: Options) -> Table:
    with ExitStack() as stack:
        together = stack.enter_context(piped())
        for _ in range(WORKERS):
            stack.enter_context(apart("consume", together.endpoint))
        pipe = stack.enter_context(piped())
        stack.enter_context(Monitor(pipe, same, workers=WORKERS, prefetch=16))
        direct = stack.enter_context(working(same, WORKERS, prefetch=16))
        pool = stack.enter_context(PEERS[POOL](WORKERS))
        echo = stack.enter_context(echoing())
        ways: dict[str, Way] = {
            OURS: of_queue(together),
            SINGLY: of_queue(pipe),
            DIRECT: of_queue(direct),
            POOL: of_peer(pool),
        }
        measured = {name: rate(seconds_of(way), options.seconds) for name, way in ways.items()}
        measured[ECHO] = rate(echo, options.seconds)
        rows = in_turn(options.rounds, measured)
    return Table(
        f"No-op tasks with results by ipc://, one client, {WORKERS} workers",
        "tasks/s",
        rows,
        [Bar(">=", 5, than=POOL)],
        note=f"ipcq: take_many({TOGETHER}) and finish_many; a Monitor: prefetch=16; the pool: chunksize=1."
        " The echo makes one journey for each task.",
        floors=[ECHO],
    )


@contextmanager
def piped() -> Iterator[Any]:
    """A client of a queue whose server is a process of its own."""
    with (
        tempfile.TemporaryDirectory() as directory,
        a_queue() as queue,
        serving(queue, directory) as endpoint,
        Pipe(endpoint) as pipe,
    ):
        yield pipe


@contextmanager
def serving(queue: MemoryStorage, directory: str) -> Iterator[str]:
    """Where a server has the queue."""
    endpoint = f"ipc://{directory}/socket"
    with served(queue, endpoint):
        yield endpoint


@contextmanager
def served(queue: MemoryStorage, endpoint: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, which serves the queue there."""
    command = [sys.executable, "-m", "ipcq", "serve", f"memory://{queue.queue}", endpoint]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            assert endpoint.encode() in process.stderr.readline()
            yield process
        finally:
            process.kill()


@contextmanager
def apart(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this file's with that role, which says that it is ready."""
    command = [sys.executable, __file__, "--alone", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()  # its input may be open in a worker that was forked


def until_told() -> None:
    """Say that all is ready, and do nothing more until the input ends."""
    print("ready", flush=True)
    sys.stdin.read()


def consume(endpoint: str) -> None:
    """Run what comes, many tasks together."""
    with Pipe(endpoint) as pipe, pipe.register_worker(f"consumer-{os.getpid()}") as lease:
        stream = pipe.poll(lease)
        print("ready", flush=True)
        while True:
            tasks = stream.take_many(TOGETHER)
            lease.finish_many(tasks, [same(task.args) for task in tasks])


# --- the floor ----------------------------------------------------------------------------------------


@contextmanager
def echoing() -> Iterator[Any]:
    """Seconds for so many journeys by `WORKERS` processes at a time."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        endpoint = f"ipc://{directory}/echo"
        stack.enter_context(apart("echo", endpoint))
        askers = [stack.enter_context(apart("ask", endpoint)) for _ in range(WORKERS)]

        def run(count: int) -> float:
            def all_of_them() -> None:
                for asker in askers:
                    assert asker.stdin
                    asker.stdin.write(b"%d\n" % (count // WORKERS))
                    asker.stdin.flush()
                for asker in askers:
                    assert asker.stdout
                    asker.stdout.readline()

            return timed(all_of_them)

        yield run


def echo(endpoint: str) -> None:
    """Answer each question with the same frames, always."""
    answer = write_reply(Reply(1, Outcome.DONE, [b"x" * 16, 2, 0], [b"\x01"]))
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.bind(endpoint)

    def forever() -> None:
        while True:
            who, *_ = socket.recv_multipart()
            socket.send_multipart([who, *answer])

    threading.Thread(target=forever, daemon=True).start()
    until_told()


def ask(endpoint: str) -> None:
    """Make as many journeys as each line of the input says."""
    question = write_request(Request(1, Verb.FINISH, [1 << 60, b"x" * 16, [1, 2, 3, 4], True], [b"\x01"]))
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(endpoint)
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            socket.send_multipart(question)
            socket.recv_multipart()
        print("done", flush=True)


# --- many who wait ------------------------------------------------------------------------------------


def waiting(options: Options) -> Table:
    count = 10 if options.quick else CLIENTS
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        queue = stack.enter_context(a_queue())
        endpoint = f"ipc://{directory}/socket"
        server = stack.enter_context(served(queue, endpoint))
        stack.enter_context(apart("wait", endpoint, str(count)))
        process, found = psutil.Process(server.pid), list[float]()
        time.sleep(0 if options.quick else 1.0)  # for all to have come to rest
        for _ in range(options.rounds):
            before, begin = used(process), time.perf_counter()
            time.sleep(options.seconds if options.quick else 4.0)
            found.append(100 * (used(process) - before) / (time.perf_counter() - begin))
    return Table(
        f"CPU of a server with {count} clients that wait for results",
        "% of one CPU",
        [Row(OURS, found)],
        [Bar("<=", 2)],
        note="Each client has its own connection, and waits for a task that nobody runs.",
    )


def wait(endpoint: str, count: str) -> None:
    """So many clients; each waits in a thread."""
    threading.stack_size(256 << 10)
    with ExitStack() as stack:
        clients = [stack.enter_context(Pipe(endpoint)) for _ in range(int(count))]
        waits = [client.wait_for((client.push(None),)) for client in clients]
        for each in waits:
            threading.Thread(target=each.ready, args=(None,), daemon=True).start()
        until_told()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        roles: dict[str, Callable[..., None]] = {
            "consume": consume, "echo": echo, "ask": ask, "wait": wait,
        }  # fmt: skip
        roles[sys.argv[2]](*sys.argv[3:])
    else:
        main(__doc__, measure, rounds=7)
