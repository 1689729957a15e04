"""What every test gets: a namespace of its own, and the proof that nothing outlives it."""

from __future__ import annotations

import gc
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from ipcq.backends.memory import MemoryStorage

    MakeQueue = Callable[..., MemoryStorage]

# Deterministic by default; HYPOTHESIS_PROFILE=long looks for new cases, as many as time allows.
settings.register_profile("default", deadline=None, derandomize=True, database=None, max_examples=50)
settings.register_profile(
    "long", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_FAILED = pytest.StashKey[bool]()
_GRACE = 3.0  # seconds for what a test has ended to be gone
_SHM = "/dev/shm"  # where queues live by default: only there does a full file system act the same

# tqdm starts one daemon thread in a process that shows a bar, and never ends it.
_RESIDENT_THREADS = {"TMonitor"}


def pytest_configure() -> None:
    """Take Ctrl-C, which shells have their background jobs ignore: the commands under test inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Which mode is tested."""
    from ipcq.backends.memory.mode import WHY_NOT

    return f"ipcq: {f'uncompiled ({WHY_NOT})' if WHY_NOT else 'compiled'}"


def pytest_collection_finish() -> None:
    """Set aside what the tests themselves are: collecting cycles then costs a hundredth of it."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note for the fixture below whether the test failed."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def private_directory(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A namespace of this test's own; checks that no process, thread or descriptor outlives it.

    A mapped file is a descriptor, too: ``mmap`` keeps one of its own. Files go with the directory.
    """
    base = _SHM if os.access(_SHM, os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="ipcq-test-", dir=base))
    monkeypatch.setenv("IPCQ_DIR", str(directory))
    monkeypatch.delenv("IPCQ_URL", raising=False)
    servers_stay = request.node.get_closest_marker("one_fork_server")
    if not servers_stay:
        _stop_multiprocessing_servers()  # those of tests that let them stay
    pids, threads, descriptors = _pids(), set(threading.enumerate()), _descriptors()
    try:
        yield directory
        request.node.funcargs.clear()  # or pytest keeps queues, and what they map, for longer than we look
        leaks = _lasting(lambda: _processes(pids, directory))
        leaks += _lasting(lambda: _threads(threads))
        if not servers_stay:
            _stop_multiprocessing_servers()
        if not request.node.stash.get(_FAILED, False):  # its traceback holds what it had
            leaks += _lasting(lambda: _descriptors() - descriptors)
    finally:
        _kill(_processes(pids, directory))
        shutil.rmtree(directory)
    assert not leaks, f"outlived the test: {', '.join(leaks)}"


@pytest.fixture
def make_queue(private_directory: Path) -> Iterator[MakeQueue]:
    """Opens queues by ``make_queue(name=None, **options)``; destroys them after the test."""
    from ipcq.backends.memory import MemoryStorage
    from ipcq.errors import QueueClosed, QueueNotFound

    opened: list[MemoryStorage] = []

    def make(name: str | None = None, **options: Any) -> MemoryStorage:
        storage = MemoryStorage(name or f"queue-{len(opened)}", **options)
        opened.append(storage)
        return storage

    yield make
    for storage in reversed(opened):
        try:
            storage.destroy(force=True)
        except (QueueClosed, QueueNotFound):
            pass  # the test did it
        storage.close()


@pytest.fixture
def queue(make_queue: MakeQueue) -> MemoryStorage:
    """An empty queue with the default settings."""
    return make_queue()


# --- what is left of a test -------------------------------------------------------------------


def _lasting(leaks: Callable[[], set[Any]]) -> list[str]:
    """What ``leaks`` still finds after a moment of grace, and after cycles were collected, as it is now.

    An exception that a test caught may hold its frame, and with it a handle, in a cycle.
    """
    until, pause = time.monotonic() + _GRACE, 0.0005
    found = leaks()
    while found and time.monotonic() < until:
        gc.collect()
        time.sleep(pause)
        pause = min(2 * pause, 0.01)
        found = leaks()
    return [str(leak) for leak in found]


def _descriptors() -> set[tuple[int, str]]:
    """Open descriptors with what they lead to, but those of servers; empty where /proc is missing."""
    found, servers = set(), _server_descriptors()
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            if int(name) not in servers:
                found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:  # the one that listed the directory
            pass
    return found


def _threads(before: set[threading.Thread]) -> set[threading.Thread]:
    now = set(threading.enumerate()) - before
    return {thread for thread in now if type(thread).__name__ not in _RESIDENT_THREADS}


class _Process(int):
    """A process id that shows its command."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"process {int(self)}: {_read(self, 'cmdline').replace(chr(0), ' ').strip() or '(zombie)'}"

    __str__ = __repr__


def _processes(before: set[int], directory: Path) -> set[_Process]:
    """Children of this process, and orphans of the test: they have its directory in their environment.

    Only what was not there ``before`` is looked at: this runs after each single test.
    multiprocessing's two servers are no leak: they are made to be reused, and stopped below.
    """
    mark, servers = f"IPCQ_DIR={directory}\0", _server_pids()
    return {
        _Process(pid)
        for pid in _pids() - before - servers
        if _parent(pid) in {os.getpid(), *servers} or mark in _read(pid, "environ")
    }


def _pids() -> set[int]:
    """All processes; only children where /proc is missing."""
    if not os.path.isdir("/proc/self"):
        import psutil

        return {child.pid for child in psutil.Process().children()}
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}


def _parent(pid: int) -> int:
    if sys.platform != "linux":
        return os.getpid()  # children are all that `_pids` finds there
    stat = _read(pid, "stat").rpartition(")")[2].split()
    return int(stat[1]) if stat else 0


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{int(pid)}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _kill(pids: set[_Process]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ChildProcessError, ProcessLookupError):
            pass


# --- multiprocessing's servers ----------------------------------------------------------------

_forkserver: Any = multiprocessing.forkserver._forkserver
_tracker: Any = multiprocessing.resource_tracker._resource_tracker


def _server_pids() -> set[int]:
    return {
        pid for pid in (getattr(_forkserver, "_forkserver_pid", None), getattr(_tracker, "_pid", None)) if pid
    }


def _server_descriptors() -> set[int | None]:
    """Closing these ends the servers."""
    return {getattr(_forkserver, "_forkserver_alive_fd", None), getattr(_tracker, "_fd", None)}


def _stop_multiprocessing_servers() -> None:
    """End the fork server and the resource tracker, as CPython's own tests do.

    The fork server keeps the environment of the test that started it: the next test's workers
    would open queues in a directory that is gone. ``one_fork_server`` is for those whose
    processes open none by its name.
    """
    for server in (_forkserver, _tracker):
        if getattr(server, "_stop", None) is not None:
            server._stop()
