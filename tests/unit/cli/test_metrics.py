"""``ipcq metrics``, in this process and as one of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from ipcq import MemoryStorage
from ipcq.cli import main
from ipcq.metrics import CONTENT_TYPE


def _get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


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
        queue.destroy(force=True)
        assert _get(url)[0] == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
