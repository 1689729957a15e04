"""A queue for another machine: producer and workers on two sides of a network, over TCP with keys.

    $ python -m examples.two_sides
    the workers are in a network of their own
    [1, 2, 6, 24, 120]

Where it may (root, with ``ip``), this makes two network namespaces, as two machines are; else both sides
share the network of this one, and it says so. Each side is a process of its own, and the queue is on the
first.
"""

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ipcq import MemoryStorage, Pipe, Worker
from ipcq.backends.pipe import make_keys

HERE, THERE = "198.18.77.1", "198.18.77.2"  # of a range that is kept for tests of networks
LINK, OTHER = "ipcq-here", "ipcq-there"


def produce(endpoint: str, keys: Path) -> None:
    """Push, and wait for the results: the first side."""
    with Pipe(endpoint, keys=keys / "producer.key_secret", server=keys / "server.key") as queue:
        ids = queue.push_bulk([1, 2, 3, 4, 5])
        print([queue.wait(each, 60).unwrap() for each in ids])


def work(endpoint: str, keys: Path) -> None:
    """Run what comes: the other side, which has nothing of the first but the endpoint and a public key."""
    with Pipe(endpoint, keys=keys / "worker.key_secret", server=keys / "server.key") as queue:
        Worker(None, queue, math.factorial).run()


@contextmanager
def another_network() -> Iterator[list[str]]:
    """What to write before a command that is to run there; nothing where that cannot be."""
    namespace = ["ip", "netns", "exec", OTHER]
    steps = [
        ["ip", "netns", "add", OTHER],
        ["ip", "link", "add", LINK, "type", "veth", "peer", "name", OTHER],
        ["ip", "link", "set", OTHER, "netns", OTHER],
        ["ip", "addr", "add", f"{HERE}/30", "dev", LINK],
        ["ip", "link", "set", LINK, "up"],
        [*namespace, "ip", "addr", "add", f"{THERE}/30", "dev", OTHER],
        [*namespace, "ip", "link", "set", OTHER, "up"],
    ]
    try:
        yield namespace if all(map(_done, steps)) else []
    finally:
        _done(["ip", "link", "del", LINK])
        _done(["ip", "netns", "del", OTHER])


def _done(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def main() -> None:
    """Make keys, serve, and start both sides."""
    with ExitStack() as stack:
        there = stack.enter_context(another_network())
        print(f"the workers are in {'a network of their own' if there else 'the same network'}", flush=True)
        keys = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (keys / "clients").mkdir(0o700)
        for name in ("server", "producer", "worker"):
            make_keys(keys / name)
        for name in ("producer", "worker"):
            (keys / f"{name}.key").rename(keys / "clients" / f"{name}.key")
        queue = MemoryStorage(f"two-sides-{os.getpid()}", ephemeral=True)
        stack.callback(queue.destroy, force=True)
        address = f"tcp://{HERE if there else '127.0.0.1'}:*"
        serving = Pipe.serve(queue, address, keys=keys / "server.key_secret", clients=keys / "clients")
        server = stack.enter_context(serving)
        me = [sys.executable, "-m", "examples.two_sides"]
        worker = stack.enter_context(subprocess.Popen([*there, *me, "work", server.endpoint, str(keys)]))
        stack.callback(worker.terminate)
        subprocess.run([*me, "produce", server.endpoint, str(keys)], check=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        {"produce": produce, "work": work}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    else:
        main()
