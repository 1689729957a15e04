"""The public surface is a decision: this file and `ipcq.__all__` change together."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ipcq
from ipcq import errors

PUBLIC = """
    Task TaskId Queue Lease Progress Status Transition TRANSITIONS TERMINAL
    Codec MsgpackCodec JsonCodec RawCodec PickleCodec get_codec
    TaskSink WeakTaskSink WeakSink pipe_to TaskQueue TaskFunction TaskHandle
    Backend ConfigExt FetchById Update Reschedule ResumeById ResumeAbandoned Cancel EndRun AskWorker
    WorkerRequest RegisterWorker ShareLimits Vacuum WaitForCompletion ShowProgress
    TaskStream Completions WorkerLease WorkerExit Turn Permit
    MemoryStorage JsonStorage Pipe SharedConnection connect CustomBackend TaskStore Record Write
    ListQueues ListTasks ListAllTasks ListWorkers Metrics Histograms Expose Filter Page QueueInfo
    RunningWorker Statistic StatType Histogram
    Worker WorkerContext Attempt Router Layer CallNext
    PollStrategy Interval Backoff Waiter Signal Race Notify
    Monitor RestartPolicy Limits LogReceiver
    Executor ExecutorFailed NotPicklable share Shared
    TaskResult ErrorInfo
    IpcqError TaskSinkError PushError CodecError QueueFull QueueClosed DuplicateTask TaskNotFound
    ResultExpired WaitTimeout TaskFailed WorkerDied WorkerExists Conflict LeaseLost TaskTimeout MemoryExceeded
    IllegalTransition NotSupported HandlerNotFound MonitorFailed Abort RetryAfter StorageError ConfigMismatch
    CorruptQueue VersionMismatch UnsafeDirectory QueueNotFound QueueInUse QueueExists QueueStalled
    UnsupportedPlatform
    __version__
""".split()


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names_are_these() -> None:
    """Nothing is added to or taken from the package by accident."""
    assert ipcq.__all__ == PUBLIC


def test_every_public_name_can_be_used() -> None:
    """Each name is there, the lazy ones too, and `dir` shows it."""
    assert [name for name in PUBLIC if getattr(ipcq, name, None) is None] == []
    assert set(PUBLIC) <= set(dir(ipcq))


def test_every_error_is_public() -> None:
    """What ipcq raises can be caught without knowing its modules."""
    assert set(errors.__all__) <= set(ipcq.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy names do not change what a misspelt one does."""
    with pytest.raises(AttributeError, match="module 'ipcq' has no attribute 'Wroker'"):
        _ = ipcq.Wroker


def test_importing_ipcq_imports_nothing_heavy() -> None:
    """Sockets, process lists, progress bars, msgpack, numpy and more wait until they are needed."""
    heavy = {
        "zmq",
        "psutil",
        "tqdm",
        "msgpack",
        "numpy",
        "asyncio",
        "multiprocessing",
        "ipcq.backends",
        "ipcq.cli",
    }
    loaded = _run("import ipcq, sys; print(*sys.modules)").split()

    assert not heavy & set(loaded)


def test_a_star_import_gives_all_of_it() -> None:
    """``from ipcq import *`` resolves the lazy names."""
    assert (
        _run("from ipcq import *; print(MemoryStorage.__name__, Monitor.__name__)") == "MemoryStorage Monitor"
    )


def test_windows_is_refused_in_one_sentence() -> None:
    """On Windows every import of ipcq raises UnsupportedPlatform, which says what to use instead."""
    told = _run(
        "import sys, ipcq\n"
        "for name in [n for n in sys.modules if n.startswith('ipcq')]: del sys.modules[name]\n"
        "sys.platform = 'win32'\n"
        "try: import ipcq.cli\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    assert told == "UnsupportedPlatform ipcq needs Linux or macOS; on Windows, run it inside WSL 2"
