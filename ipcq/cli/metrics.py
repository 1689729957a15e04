"""``ipcq metrics``: the figures of a queue for Prometheus, once or behind a port."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import IpcqError
from .exits import OK, UsageError, one_line
from .serve import told_to_end

__all__ = ["Figures", "run"]

_PATIENCE = 10.0  # seconds for a client to say what it wants: as long as Prometheus waits for an answer


def run(url: str, address: str | None = None) -> int:
    """Write the figures of the queue that ``url`` names, or serve them until SIGINT or SIGTERM.

    Args:
        address: ``HOST:PORT`` to serve at; None to write them to standard output.

    Raises:
        UsageError: one of them is none.
        IpcqError: as `connect`.
    """
    with Figures(url) as figures:
        text = figures.read()  # a name that is none is told at once
        if address is None:
            print(text, end="")
        else:
            _serve(figures, address)
    return OK


def _serve(figures: Figures, address: str) -> None:
    host, port = _parts(address)
    with told_to_end() as told, _Server(host, port, figures.read) as server:
        serving = threading.Thread(target=server.serve_forever, name="ipcq-metrics")
        serving.start()
        try:
            shown = f"[{host}]" if ":" in host else host
            print(f"ipcq: http://{shown}:{server.server_port}/metrics", file=sys.stderr, flush=True)
            told.wait()
        finally:
            server.shutdown()
            serving.join()


class Figures:
    """Reads the figures of a queue, for one thread at a time; close it, or use ``with``.

    A file is kept open, for opening reads all of it. A queue in memory is opened anew each time, at a cost of
    less than a millisecond: in between, it may be removed, and made again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._kept: Any = None

    def __repr__(self) -> str:
        return f"<Figures of {self._url}, {'open' if self._kept else 'not open'}>"

    def __enter__(self) -> Figures:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._close()

    def read(self) -> str:
        """The figures now, as text.

        Raises:
            UsageError: the URL is none.
            IpcqError: as `connect`; the next call opens the queue again.
        """
        from ..metrics import exposition

        with self._lock:
            keep = False
            try:
                self._kept = self._kept or self._open()
                text = exposition(self._kept)
                keep = not self._url.startswith("memory:")
                return text
            finally:
                if not keep:
                    self._close()

    def _open(self) -> Any:
        from ..urls import connect

        try:
            # What is behind a pipe is there, or its server is not.
            return connect(self._url, **({} if self._url.startswith("pipe+") else {"create": False}))
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise UsageError(f"{address!r} is no address: write HOST:PORT, as in 127.0.0.1:9464")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Server(ThreadingHTTPServer):
    """Answers each request with what ``read`` gives then."""

    daemon_threads = True
    block_on_close = False  # who asks slowly does not hold up the end

    def __init__(self, host: str, port: int, read: Callable[[], str]) -> None:
        self.read = read
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Answer)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing, if the one who asked has gone: that is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Answer(BaseHTTPRequestHandler):
    """One request: ``GET /metrics``."""

    server: _Server
    timeout = _PATIENCE

    def do_GET(self) -> None:
        """Answer with the figures, or with why there are none."""
        if self.path.partition("?")[0] != "/metrics":
            self._answer(404, "the figures are at /metrics\n")
            return
        try:
            text = self.server.read()
        except (IpcqError, OSError) as error:
            self._answer(503, f"{one_line(error)}\n")
        else:
            self._answer(200, text)

    def _answer(self, status: int, text: str) -> None:
        from ..metrics import CONTENT_TYPE

        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name in http.server
        """Nothing: a scrape every few seconds is no news."""
