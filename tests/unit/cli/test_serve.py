"""``ipcq serve``, as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ipcq import MemoryStorage, connect
from ipcq.cli import main


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "ipcq", *arguments], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_queue_is_served_until_a_signal(number: signal.Signals, private_directory: Path) -> None:
    """It says where the queue is, serves it, and ends well."""
    url = f"pipe+ipc://{private_directory}/socket"
    with _start("serve", "memory://served", url.removeprefix("pipe+")) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"ipcq: served is at {url}\n"
        with connect(url) as queue:
            task_id = queue.push("task")
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert not (private_directory / "socket").exists()
    with MemoryStorage("served", create=False) as behind:
        assert behind.fetch_by_id(task_id) is not None
        behind.destroy(force=True)


@pytest.mark.parametrize(
    ("url", "endpoint", "told"),
    [
        ("memory://a", "socket", "is no endpoint"),
        ("nothing://a", "ipc:///a", "is no URL of a queue"),
        ("pipe+ipc:///a", "ipc:///b", "is served already"),
    ],
)
def test_what_is_no_queue_or_endpoint(
    url: str, endpoint: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Misuse is one line and the status of misuse."""
    assert main(["serve", url, endpoint]) == 2
    assert told in capsys.readouterr().err
