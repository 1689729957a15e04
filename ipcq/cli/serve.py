"""``ipcq serve``: a queue behind a socket, until it is told to end."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .exits import OK, UsageError

__all__ = ["run", "told_to_end"]

_GARBAGE = 50_000  # objects between two looks for it: a server makes many small ones, and few cycles


def run(url: str, endpoint: str, keys: str | None = None, clients: str | None = None) -> int:
    """Serve the queue that ``url`` names at ``endpoint`` until SIGINT or SIGTERM.

    Args:
        keys: path of the server's secret key.
        clients: directory of its clients' public keys.

    Raises:
        UsageError: one of them is none.
        IpcqError: as `connect` and `Pipe.serve`.
    """
    from ..backends.pipe import Pipe
    from ..urls import connect

    gc.freeze()
    gc.set_threshold(_GARBAGE)
    if url.startswith("pipe+"):
        raise UsageError(f"{url} is served already: connect to it")
    with told_to_end() as told:
        try:
            with connect(url) as queue, Pipe.serve(queue, endpoint, keys=keys, clients=clients) as server:
                print(f"ipcq: {queue.queue} is at pipe+{server.endpoint}", file=sys.stderr, flush=True)
                told.wait()
        except ValueError as error:
            raise UsageError(str(error)) from error
    return OK


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """Set by the first signal to end; what it was told to do by them before is restored afterwards."""
    told = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: told.set()) for number in signals}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
