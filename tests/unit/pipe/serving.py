"""A server in a process of its own: ``python -m tests.unit.pipe.serving URL ENDPOINT``."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ipcq

Served = subprocess.Popen[str]


@contextmanager
def serving(url: str, endpoint: str) -> Iterator[Served]:
    """One that listens; killed at the end, if it still is there."""
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-m", __name__, url, endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def end(process: Served) -> None:
    """Have it end by itself."""
    process.communicate("")
    assert process.returncode == 0


def kill(process: Served) -> None:
    """SIGKILL it."""
    process.kill()
    process.communicate()


if __name__ == "__main__":
    with ipcq.connect(sys.argv[1]) as backend, ipcq.Pipe.serve(backend, sys.argv[2]):
        print("ready", flush=True)
        sys.stdin.read()
