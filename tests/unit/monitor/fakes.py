"""A backend of files in a directory: several processes share it, and a test sees what happened.

``todo/N`` is a task; ``running/PID.N`` one that process PID runs; ``done/N`` and ``failed/N`` are outcomes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ipcq.backend import WorkerExit, WorkerRequest
from ipcq.errors import NotSupported
from ipcq.layer import Layer, acknowledge
from ipcq.result import ErrorInfo
from ipcq.status import Status
from ipcq.task import Progress, Task, TaskId

FOLDERS = ("todo", "running", "done", "failed", "workers")


class Files:
    """Tasks are numbers with a word, which tells the handler what to do.

    Attributes:
        exits: what `resume_abandoned` was told, in this process.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.exits: list[WorkerExit] = []
        for name in FOLDERS:
            (directory / name).mkdir(exist_ok=True)

    def push(self, *words: str) -> None:
        """Add tasks, atomically each."""
        first = sum(len(self.names(folder)) for folder in FOLDERS[:4])
        for number, word in enumerate(words, first):
            draft = self.directory / f".{number}"
            draft.write_text(word)
            draft.rename(self.directory / "todo" / str(number))

    def names(self, folder: str) -> list[str]:
        """What is in a folder."""
        return sorted(os.listdir(self.directory / folder))

    def text(self, name: str) -> str:
        """What a file says."""
        return (self.directory / name).read_text()

    # --- Backend, RegisterWorker, ResumeAbandoned ---------------------------------------------

    def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> FileLease:
        return FileLease(self.directory, worker_id)

    def poll(self, worker: Any, *, prefetch: int = 1) -> FileStream:
        return FileStream(self.directory)

    def heartbeat(self, worker: Any) -> list[TaskId]:
        return []

    def middleware(self) -> Layer:
        return acknowledge

    def close(self) -> None: ...

    def capabilities(self) -> frozenset[str]:
        return frozenset({"Backend", "RegisterWorker", "ResumeAbandoned"})

    def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        for exit_ in exits:
            self.exits.append(exit_)
            for path in self.directory.glob(f"running/{exit_.pid}.*"):
                path.rename(self.directory / "todo" / path.name.partition(".")[2])
        return []


class FileLease:
    """Moves files."""

    request = WorkerRequest.RUN

    def __init__(self, directory: Path, worker_id: str) -> None:
        self.directory, self.worker_id = directory, worker_id

    def heartbeat(self) -> list[TaskId]:
        return []

    def finish(self, task: Task[Any], value: Any) -> None:
        self._end(task, "done", str(value))

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        self._end(task, "failed", str(error))
        return Status.KILLED

    def give_back(self, task: Task[Any]) -> bool:
        self._path(task).rename(self.directory / "todo" / str(int(task.id)))
        return True

    def postpone(self, task: Task[Any], seconds: float) -> bool:
        raise NotSupported("Reschedule", self)

    def progress(self, task: Task[Any], progress: Progress) -> None: ...

    def hurry(self) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> FileLease:
        draft = self.directory / f".{os.getpid()}"
        draft.write_text(self.worker_id)
        draft.rename(self.directory / "workers" / str(os.getpid()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def _path(self, task: Task[Any]) -> Path:
        return self.directory / "running" / f"{os.getpid()}.{int(task.id)}"

    def _end(self, task: Task[Any], folder: str, text: str) -> None:
        path = self._path(task)
        path.write_text(text)
        path.rename(self.directory / folder / str(int(task.id)))


class FileStream:
    """Looks for the first file every few milliseconds."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __iter__(self) -> Iterator[Task[Any] | None]:
        return self

    def __next__(self) -> Task[Any] | None:
        for name in sorted(os.listdir(self._directory / "todo"), key=int):
            taken = self._directory / "running" / f"{os.getpid()}.{name}"
            try:
                (self._directory / "todo" / name).rename(taken)
            except FileNotFoundError:  # another worker was faster
                continue
            return Task[Any](TaskId(int(name)), _args=taken.read_text())
        time.sleep(0.005)
        return None

    def __aiter__(self) -> AsyncIterator[Task[Any] | None]:
        raise NotImplementedError

    async def __anext__(self) -> Task[Any] | None:
        raise NotImplementedError

    def look(self) -> Task[Any] | None:
        return next(self)

    def wake(self) -> None: ...

    def close(self) -> None: ...


# --- handlers ---------------------------------------------------------------------------------


def handle(word: str) -> Any:
    """Do what the word says."""
    return _ACTIONS[word.partition(" ")[0]](*word.split()[1:])


def _wait(path: str) -> str:
    """Until there is such a file; one beside it tells that the handler has begun."""
    Path(f"{path}.begun").touch()
    eventually(Path(path).exists)
    return "waited"


def _wait_natively(path: str) -> None:
    """For ever, without letting any other thread run, as native code may."""
    import ctypes

    Path(f"{path}.begun").touch()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # or pause would end
    ctypes.PyDLL(None).pause()


def _die_once(path: str) -> str:
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


def _exit(code: str) -> None:
    os._exit(int(code))


def _mask() -> str:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return f"{sorted(blocked)} {signal.getsignal(signal.SIGINT)!r}"


_ACTIONS: dict[str, Callable[..., Any]] = {
    "pid": os.getpid,
    "wait": _wait,
    "wait-natively": _wait_natively,
    "die-once": _die_once,
    "exit": _exit,
    "mask": _mask,
}


def eventually(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Return as soon as the condition holds; fail after ``timeout`` seconds."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"not so after {timeout} s"
        time.sleep(0.002)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
