"""A server in a process of its own: ``python -m tests.unit.pipe.serving URL ENDPOINT [VERB]``."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ipcq
from ipcq.backends.pipe import Server
from ipcq.backends.pipe.frames import Reply, Request, Verb

Served = subprocess.Popen[str]


@contextmanager
def serving(url: str, endpoint: str, mute: str | None = None) -> Iterator[Served]:
    """One that listens; killed at the end, if it still is there.

    Args:
        mute: a verb that it does, and does not answer.
    """
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-m", __name__, url, endpoint, *([mute] if mute else [])],
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


class _Mute(Server):
    """Does what it is asked, and says nothing to one verb."""

    verb: Verb | None = None

    def _answer(self, who: bytes, reply: Reply, **others: Any) -> None:
        if self._asked is not self.verb:
            super()._answer(who, reply, **others)

    def _begin(self, who: bytes, request: Request) -> None:
        self._asked = request.verb
        super()._begin(who, request)


if __name__ == "__main__":
    _Mute.verb = Verb[sys.argv[3]] if len(sys.argv) > 3 else None
    with ipcq.connect(sys.argv[1]) as backend, _Mute(backend, sys.argv[2]):
        print("ready", flush=True)
        sys.stdin.read()
