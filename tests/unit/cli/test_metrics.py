"""``ipcq metrics``, in this process and as one of its own."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from ipcq import IpcqError, JsonStorage, MemoryStorage
from ipcq.cli import main
from ipcq.cli.metrics import Figures
from ipcq.metrics import CONTENT_TYPE


def _get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def _ask_and_go(url: str) -> None:
    """Reset the connection instead of reading the answer."""
    place = urllib.parse.urlsplit(url)
    with socket.create_connection((place.hostname, place.port or 80), 20) as asking:
        asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_the_figures_are_written(queue: MemoryStorage, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, to standard output."""
    queue.push(1)
    assert main(["metrics", f"memory://{queue.queue}"]) == 0
    told = capsys.readouterr()
    assert f'ipcq_backlog_tasks{{queue="{queue.queue}"}} 1\n' in told.out
    assert told.err == ""


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["memory://missing"], 1, "missing"),
        (["nothing://a"], 2, "is no URL of a queue"),
        ([], 2, "see ipcq metrics --help"),
    ],
)
def test_what_is_no_queue(
    arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told, and none is made."""
    assert main(["metrics", *arguments]) == status
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("address", ["9464", ":9464", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"])
def test_what_is_no_address(address: str, queue: MemoryStorage, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told with one that is."""
    assert main(["metrics", f"memory://{queue.queue}", "--serve", address]) == 2
    assert "is no address: write HOST:PORT" in capsys.readouterr().err


def test_they_are_served_until_a_signal(queue: MemoryStorage) -> None:
    """Each request reads them anew; a queue that is gone is an answer, not the end."""
    command = [sys.executable, "-m", "ipcq", "metrics", f"memory://{queue.queue}", "--serve", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().removeprefix("ipcq: ").strip()
        for pushed in range(2):
            status, kind, text = _get(url)
            assert (status, kind) == (200, CONTENT_TYPE)
            assert f'ipcq_backlog_tasks{{queue="{queue.queue}"}} {pushed}\n' in text
            queue.push(pushed)
        assert _get(url.removesuffix("metrics"))[0] == 404
        _ask_and_go(url)
        queue.destroy(force=True)
        assert _get(url)[0] == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_a_file_stays_open_between_scrapes(tmp_path: Path) -> None:
    """Opening reads all of it; what others push meanwhile is seen all the same."""
    path = tmp_path / "queue.jsonl"
    with JsonStorage(path) as queue, Figures(f"json://{path}") as figures:
        assert repr(figures) == f"<Figures of json://{path}, not open>"
        for pushed in range(2):
            assert f'ipcq_backlog_tasks{{queue="{queue.queue}"}} {pushed}\n' in figures.read()
            assert repr(figures) == f"<Figures of json://{path}, open>"
            queue.push(pushed)


def test_a_queue_that_comes_later_is_found(queue: MemoryStorage) -> None:
    """A look that failed is not remembered, and a queue in memory is not held."""
    name = f"{queue.queue}-later"
    with Figures(f"memory://{name}") as figures:
        with pytest.raises(IpcqError, match=name):
            figures.read()
        with MemoryStorage(name) as later:
            assert "ipcq_tasks" in figures.read()
            later.destroy()
