"""How ``ipcq map`` ends when it is told to, or when something around it ends."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ipcq import MemoryStorage

from .command import call, end, eventually, keep_pressing, press, run, start


@pytest.fixture
def knocking(tmp_path: Path) -> str:
    """A FIFO as an item; reading it waits until a worker runs that item."""
    os.mkfifo(tmp_path / "knock")
    return str(tmp_path / "knock")


@pytest.fixture
def nothing_left(private_directory: Path) -> Iterator[None]:
    """The command has removed its queue."""
    yield
    assert list(private_directory.iterdir()) == []


def _read(knocking: str) -> None:
    assert Path(knocking).read_text("utf-8") == "here"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("nothing_left")
def test_a_signal_ends_it_and_what_is_done_is_written(knocking: str, number: int, status: int) -> None:
    """The item that runs is given up, the others' lines are out, and the summary says what is missing."""
    process = start("map", call("knock"), "-n", "2", "a", knocking, "b", "c")
    assert process.stdout is not None
    assert process.stdout.readline() == '{"item": "a", "value": "a"}\n'
    _read(knocking)
    press(process, number)
    ended = end(process)
    assert set(ended.values) <= {"b", "c"}
    assert ended.status == status
    assert ended.err.startswith("ipcq: interrupted: ")
    assert " unfinished, " in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_lines_that_waited_are_written_too(knocking: str) -> None:
    """What was done behind the item that runs does not get lost with it."""
    process = start("map", call("knock"), "-n", "2", knocking, "a", "b", stdin=subprocess.DEVNULL)
    _read(knocking)
    eventually(lambda: _finished(process.pid) == 2)
    press(process, signal.SIGINT)
    ended = end(process)
    assert ended.values == ["a", "b"]
    assert "interrupted: 2 done, 0 failed, 1 unfinished" in ended.err


def _finished(pid: int) -> int:
    """How many items of a running command are done."""
    (name,) = os.listdir(os.environ["IPCQ_DIR"])
    assert name.startswith(f"map-{pid}-")
    with MemoryStorage(name, create=False) as queue:
        (info,) = [info for info in queue.list_queues() if info.name == name]
        return int(next(s.value for s in info.stats if s.title == "DONE_JOBS"))


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_a_second_ctrl_c_ends_even_what_does_not_want_to(knocking: str) -> None:
    """A function that swallows everything is killed, and the command ends at once."""
    process = start("map", call("refuse_to_end"), "-n", "1", knocking)
    _read(knocking)
    workers = psutil.Process(process.pid).children(recursive=True)
    keep_pressing(process)
    ended = end(process)
    assert (ended.status, ended.out) == (130, "")
    eventually(lambda: not any(worker.is_running() for worker in workers))


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_a_reader_that_has_seen_enough_ends_it() -> None:
    """As in ``ipcq map ... | head``: no complaint, and the status that a shell shows for it."""
    process = start("map", call("same"), "-n", "1", "-q", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("a\n")
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write("b\n")
    process.stdin.flush()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stdin.close()
    assert process.wait(60) == 141
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_a_reader_that_does_not_read_holds_nothing_up() -> None:
    """While its output is stuck in a pager, the command still ends at the second Ctrl-C."""
    process = start("map", call("grow"), "-n", "1", *["100000"] * 4)
    assert process.stdout is not None
    eventually(lambda: _is_full(process.stdout))
    keep_pressing(process)
    assert end(process).err.startswith("ipcq: interrupted: ")
    assert process.returncode == 130


def _is_full(pipe: Any) -> bool:
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] >= 60_000


@pytest.mark.slow
def test_what_a_killed_command_leaves_is_removed_by_gc(knocking: str, private_directory: Path) -> None:
    """Its workers end by themselves; ``ipcq gc`` removes its queue, unfinished items and all."""
    process = start("map", call("knock"), "-n", "1", knocking, "a")
    _read(knocking)
    process.kill()
    end(process)
    (left,) = [path.name for path in private_directory.iterdir()]
    eventually(lambda: f"removed {left}: " in run("gc").out)
    assert list(private_directory.iterdir()) == []
    assert run("gc") == (0, "", "ipcq: there are no queues\n")
