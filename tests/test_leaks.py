"""What outlives a test makes it fail: the fixture of ``conftest.py`` on tests that leave something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Run in a process of its own, from outside of the tree: nobody collects them by accident.
LEAVING = """
import multiprocessing
import os
import subprocess
import threading
import time

import pytest

import tests.conftest
from ipcq import MemoryStorage

tests.conftest._GRACE = 0.1
kept = []


class Circle:
    def __init__(self):
        self.itself = self
        self.descriptor = os.open("/dev/null", os.O_RDONLY)

    def __del__(self):
        os.close(self.descriptor)


def test_child():
    os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")


def test_zombie():
    os.spawnlp(os.P_NOWAIT, "true", "true")


def test_orphan():
    subprocess.run(["sh", "-c", "sleep 1000 <&- >&- 2>&- &"], check=True)


@pytest.mark.one_fork_server
def test_worker():
    kept.append(multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(1000,)))
    kept[-1].start()


@pytest.mark.one_fork_server
def test_server():
    process = multiprocessing.get_context("forkserver").Process(target=int)
    process.start()
    process.join()
    process.close()


def test_thread():
    threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()


def test_descriptor():
    os.open("/dev/null", os.O_RDONLY)


def test_queue():
    kept.append(MemoryStorage("left-open", capacity=64, arena_bytes=1 << 20))


def test_circle():
    Circle()


def test_nothing(private_directory):
    with MemoryStorage("q", capacity=64, arena_bytes=1 << 20) as queue:
        queue.push(1)
    (private_directory / "file").write_bytes(b"goes with its directory")
"""

TOLD = {
    "child": r"process \d+: sleep 1000$",
    "zombie": r"process \d+: \(zombie\)$",
    "orphan": r"process \d+: sleep 1000$",
    "worker": r"process \d+: ",
    "thread": r"<Thread\(",
    "descriptor": "'/dev/null'",
    "queue": r"left-open/ctl\.v",
}


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found in /proc")
@pytest.mark.slow
def test_what_outlives_a_test_is_told_and_ended(tmp_path: Path) -> None:
    """A process, a thread, a descriptor, an open queue: an error that names it; a process is killed."""
    file = tmp_path / "test_leaving.py"
    file.write_text(LEAVING, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest", str(file)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    error = r"ERROR at teardown of test_(\w+) .*?AssertionError: outlived the test: (.*?)\n"
    told = dict(re.findall(error, done.stdout, re.DOTALL))

    assert set(told) == set(TOLD), done.stdout
    for name, pattern in TOLD.items():
        assert re.search(pattern, told[name])
    assert "10 passed, 7 errors" in done.stdout
    for pid in re.findall(r"outlived the test: process (\d+)", done.stdout):
        command_line = Path("/proc", pid, "cmdline")
        assert not command_line.exists() or not command_line.read_bytes()  # gone, or nobody's zombie yet
