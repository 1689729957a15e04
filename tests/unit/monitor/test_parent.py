"""What becomes of workers whose Monitor's process ends in some other way than by stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .fakes import Files, eventually, gone

start_methods = pytest.mark.parametrize(
    "methods",
    [
        pytest.param(["forkserver"], id="default"),
        pytest.param(["spawn", "fork"], id="others", marks=pytest.mark.slow),
    ],
)
ROOT = Path(__file__).parents[3]

SCRIPT = """
import os, sys, threading, time
from pathlib import Path
from ipcq.monitor import Monitor
from tests.unit.monitor.fakes import Files, eventually, handle

def main():
    backend = Files(Path(sys.argv[1]))
    monitor = Monitor(backend, handle, workers=2, start_method=sys.argv[2])
    {body}

if __name__ == "__main__":
    main()
"""


def _script(directory: Path, body: str, *arguments: str, guard: bool = True) -> subprocess.Popen[str]:
    script = directory / "script.py"
    text = SCRIPT.format(body=body)
    script.write_text(text if guard else text.replace('if __name__ == "__main__":', "if True:"))
    return subprocess.Popen(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", script, directory, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def _scripts(
    directory: Path, body: str, methods: list[str]
) -> Iterator[list[tuple[Files, subprocess.Popen[str]]]]:
    """The script once for each start method, all at the same time, each with a queue of its own."""
    with ExitStack() as stack:
        scripts = []
        for number, method in enumerate(methods):
            (directory / str(number)).mkdir()
            backend = Files(directory / str(number))
            process = stack.enter_context(_script(backend.directory, body, method))
            stack.callback(_kill_group, process)
            scripts.append((backend, process))
        yield scripts


def _kill_group(process: subprocess.Popen[str]) -> None:
    """Where a test failed, nothing of its scripts stays."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.fixture
def backend(tmp_path: Path) -> Files:
    """An empty queue."""
    return Files(tmp_path)


def _workers(backend: Files, count: int) -> list[int]:
    eventually(lambda: len(backend.names("workers")) == count)
    return [int(pid) for pid in backend.names("workers")]


def _begin(backend: Files, word: str = "wait") -> None:
    """Have a worker run a task that waits."""
    backend.push(f"{word} {backend.directory}/go")
    eventually((backend.directory / "go.begun").exists)


@start_methods
def test_workers_do_not_outlive_a_killed_monitor(tmp_path: Path, methods: list[str]) -> None:
    """SIGKILL to its process ends them, those in native code too, however they were started."""
    cases = [(method, task) for method in methods for task in ("wait", "wait-natively")]
    with _scripts(tmp_path, "monitor.run()", [method for method, _ in cases]) as scripts:
        for (backend, process), (_, task) in zip(scripts, cases, strict=True):
            workers = _workers(backend, 2)
            _begin(backend, task)

            process.kill()
            eventually(lambda workers=workers: all(gone(pid) for pid in workers), timeout=5)  # type: ignore[misc]
            process.communicate()


def test_workers_do_not_outlive_a_killed_monitor_whose_process_forked(backend: Files) -> None:
    """A fork holds copies of all its pipes' ends; the workers notice all the same."""
    body = """with monitor:
        eventually(lambda: len(backend.names("workers")) == 2)
        if os.fork() == 0:
            eventually(Path(sys.argv[1], "go").exists)
            os._exit(0)
        (backend.directory / "forked").touch()
        time.sleep(60)"""
    with _script(backend.directory, body, "forkserver") as process:
        workers = _workers(backend, 2)
        eventually((backend.directory / "forked").exists)

        process.kill()
        eventually(lambda: all(gone(pid) for pid in workers), timeout=5)
        (backend.directory / "go").touch()
        process.communicate()


@start_methods
def test_a_forgotten_stop_does_not_hang_the_exit(tmp_path: Path, methods: list[str]) -> None:
    """A program that ends without stopping its Monitor stops it then, and ends."""
    body = "monitor.start(); eventually(lambda: backend.names('done'))"
    with _scripts(tmp_path, body, methods) as scripts:
        for backend, _ in scripts:
            backend.push("pid")
        for _, process in scripts:
            assert process.communicate(timeout=20)[1] == ""
            assert process.returncode == 0


@pytest.mark.slow
def test_a_script_whose_workers_cannot_start_fails(backend: Files) -> None:
    """It ends with a non-zero status and the reason in one line, though it waited for results."""
    body = "monitor = Monitor(backend, 'no_such:f')\n    with monitor: threading.Event().wait()"
    with _script(backend.directory, body, "spawn") as process:
        told = process.communicate(timeout=20)[1]

    assert process.returncode == 1
    assert told.splitlines()[-1].startswith("ipcq.errors.MonitorFailed: monitor ")
    assert "No module named 'no_such'" in told.splitlines()[-1]


@pytest.mark.slow
def test_a_script_without_a_guard_fails_with_advice(backend: Files) -> None:
    """Workers that import it do not start Monitors of their own without end."""
    with _script(backend.directory, "monitor.run()", "spawn", guard=False) as process:
        told = process.communicate(timeout=60)[1]

    assert process.returncode == 1
    assert "put what starts it under: if __name__ == '__main__'" in told
    assert (
        "a script must start its Monitor or Executor under: if __name__ == '__main__'"
        in told.splitlines()[-1]
    )


@pytest.mark.slow
def test_a_signal_to_the_whole_group_is_one_stop(tmp_path: Path) -> None:
    """Ctrl-C in a terminal, or the stop of a service: tasks finish, in all processes."""
    with _scripts(tmp_path, "monitor.run()", ["forkserver"] * 2) as scripts:
        for (backend, process), number in zip(scripts, (signal.SIGINT, signal.SIGTERM), strict=True):
            workers = _workers(backend, 2)
            _begin(backend)

            os.killpg(process.pid, number)
            eventually(lambda workers=workers: sum(gone(pid) for pid in workers) == 1)  # type: ignore[misc]
            (backend.directory / "go").touch()  # the idle one is gone
            told = process.communicate(timeout=20)[1]

            assert (process.returncode, told) == (0, "")
            assert backend.names("done") == ["0"]


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_second_ctrl_c_gives_back_what_runs(backend: Files, method: str) -> None:
    """In a with block, too: the first one is the program's, the second is for the workers."""
    with _script(backend.directory, "with monitor: time.sleep(60)", method) as process:
        _workers(backend, 2)
        _begin(backend)

        os.killpg(process.pid, signal.SIGINT)
        eventually(lambda: len([p for p in map(int, backend.names("workers")) if not gone(p)]) == 1)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)

    assert backend.names("todo") == ["0"]
    assert process.returncode == -signal.SIGINT
