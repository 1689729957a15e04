from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.popen_forkserver import Popen
from pathlib import Path
from typing import Any

import pytest

from ipcq.errors import MonitorFailed
from ipcq.monitor import Monitor, RestartPolicy
from ipcq.monitor.process import Launcher

from .fakes import Files, eventually, gone, handle

pytestmark = pytest.mark.one_fork_server
QUICK = RestartPolicy(delay=0.001, max_delay=0.001, max_failures=2)


@pytest.fixture
def backend(tmp_path: Path) -> Files:
    """An empty queue."""
    return Files(tmp_path)


@pytest.fixture
def monitored(backend: Files) -> Iterator[Callable[..., Monitor]]:
    """Starts Monitors that are killed after the test, if they still run."""
    monitors = []

    def start(handler: Any = handle, workers: int = 1, **options: Any) -> Monitor:
        monitor = Monitor(backend, handler, workers=workers, name="m", **options)
        monitors.append(monitor)
        monitor.start()
        return monitor

    yield start
    for monitor in monitors:
        monitor.kill()


def exit_in_initializer(code: int) -> None:
    """End a worker before it is ready."""
    os._exit(code)


def import_from(directory: str) -> None:
    """Make a directory importable, as a program's initializer may."""
    sys.path.insert(0, directory)


def test_workers_run_tasks_until_the_block_ends(backend: Files) -> None:
    """Each task is run in a worker process; after the block there is none."""
    backend.push("pid", "pid", "pid")
    monitor = Monitor(backend, handle, workers=2, name="m")
    assert repr(monitor) == "<Monitor 'm' not started: 0 of 2 workers, 0 restarts>"

    with monitor:
        eventually(lambda: len(backend.names("done")) == 3)
        eventually(lambda: monitor.alive == 2)
        assert repr(monitor) == "<Monitor 'm' running: 2 of 2 workers, 0 restarts>"
        workers = monitor.workers
        eventually(lambda: len(backend.names("workers")) == 2)
        assert sorted(backend.text(f"workers/{pid}") for pid in workers) == ["m-0", "m-1"]

    assert {int(backend.text(f"done/{n}")) for n in range(3)} <= set(workers)
    assert all(gone(pid) for pid in workers)
    assert repr(monitor) == "<Monitor 'm' stopped: 0 of 2 workers, 0 restarts>"


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_other_start_methods_work(backend: Files, monitored: Callable[..., Monitor], method: str) -> None:
    """Workers can be forked or spawned, and are replaced then, too."""
    backend.push(f"die-once {backend.directory}/died")

    monitor = monitored(start_method=method)

    eventually(lambda: backend.names("done"))
    assert backend.text("done/0") == "survived"
    monitor.stop()


def test_the_task_of_a_killed_worker_is_returned_at_once(
    backend: Files, monitored: Callable[..., Monitor]
) -> None:
    """The other worker has it long before a new one is ready; the backend is told how it ended."""
    monitor = monitored(workers=2)
    eventually(lambda: len(backend.names("workers")) == 2)
    victim = _busy(backend)

    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: backend.names("running") and backend.names("running") != [f"{victim}.0"])
    took = time.monotonic() - killed

    assert took < 0.4  # a few ms on an idle machine; less than any tick
    assert [(end.pid, end.exitcode) for end in backend.exits] == [(victim, -signal.SIGKILL)]
    eventually(lambda: monitor.alive == 2)
    assert "1 restarts" in repr(monitor)
    (backend.directory / "go").touch()
    eventually(lambda: backend.names("done"))


def test_tasks_that_kill_their_workers_do_not_make_it_give_up(
    backend: Files, monitored: Callable[..., Monitor]
) -> None:
    """Six deaths in a row at work are replaced, each at once."""
    backend.push(*["exit 7"] * 6, "pid")
    monitor = monitored(restart=QUICK)
    returned = backend.resume_abandoned

    def discard(*, exits: Any = ()) -> Any:
        for end in exits:
            for path in backend.directory.glob(f"running/{end.pid}.*"):
                path.unlink()
        return returned(exits=exits)

    backend.resume_abandoned = discard  # type: ignore[method-assign]

    eventually(lambda: backend.names("done") == ["6"])
    assert {end.exitcode for end in backend.exits} == {7}
    monitor.check()


def test_workers_that_never_get_ready_make_it_give_up(monitored: Callable[..., Monitor]) -> None:
    """After the failures that the policy allows it stops, and says how the last worker ended."""
    monitor = monitored(initializer=exit_in_initializer, initargs=(3,), restart=QUICK)

    with pytest.raises(
        MonitorFailed, match=r"'m' gave up: .*'m-0' \(pid \d+\) ended with exit code 3 before it was"
    ):
        monitor.run()
    assert (monitor.alive, monitor.state) == (0, "failed")
    for call in (monitor.stop, monitor.check):
        with pytest.raises(MonitorFailed):
            call()


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("no_such_module:f", "No module named 'no_such_module'"),
        ("tests.unit.monitor.fakes:no_such", "has no attribute 'no_such'"),
    ],
)
def test_a_handler_that_is_not_there_makes_it_give_up_at_once(
    monitored: Callable[..., Monitor], handler: str, reason: str
) -> None:
    """What would fail again in the same way is not tried again; the reason is in the message."""
    with pytest.raises(MonitorFailed, match=f"HandlerNotFound: .*{reason}"):
        monitored(handler, restart=RestartPolicy(delay=60, max_failures=10**6)).run()


def test_a_block_in_the_main_thread_is_interrupted_when_it_gives_up(backend: Files) -> None:
    """A program that waits for results that nobody makes any more ends in MonitorFailed."""
    went_on = []

    def block() -> None:
        with Monitor(backend, "no_such_module:f", workers=1):
            went_on.append(threading.Event().wait(30))

    with pytest.raises(MonitorFailed, match="no_such_module"):
        block()
    assert went_on == []


def test_a_block_is_not_interrupted_where_the_program_handles_sigint(backend: Files) -> None:
    """Such a program looks by check; the end of the block raises."""
    got = []
    before = signal.signal(signal.SIGINT, lambda *_: got.append("SIGINT"))
    try:
        with pytest.raises(MonitorFailed), Monitor(backend, "no_such_module:f", workers=1) as monitor:
            eventually(lambda: monitor.state == "failed")
    finally:
        signal.signal(signal.SIGINT, before)
    assert got == []


def test_an_exception_in_the_block_stops_it_and_goes_on(backend: Files) -> None:
    """Workers finish what they run, and the block's own exception is what one sees."""
    backend.push("pid")
    monitor = Monitor(backend, handle, workers=1)

    def block() -> None:
        with monitor:
            eventually(lambda: backend.names("done"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert monitor.alive == 0


def test_an_initializer_runs_before_the_handler_is_looked_for(
    backend: Files, monitored: Callable[..., Monitor], tmp_path: Path
) -> None:
    """It may make the handler importable."""
    (tmp_path / "module_of_this_test.py").write_text("def f(word): return word.upper()\n")
    backend.push("abc")
    monitored("module_of_this_test:f", initializer=import_from, initargs=(str(tmp_path),))

    eventually(lambda: backend.names("done"))
    assert backend.text("done/0") == "ABC"


def test_a_worker_that_was_stopped_by_somebody_is_replaced(
    backend: Files, monitored: Callable[..., Monitor]
) -> None:
    """SIGTERM to one worker ends it after its task, however often it comes."""
    monitored()
    first = _busy(backend)

    for _ in range(3):
        os.kill(first, signal.SIGTERM)
    (backend.directory / "go").touch()

    eventually(lambda: len(backend.names("workers")) == 2)
    assert backend.names("done") == ["0"]
    assert [(end.pid, end.exitcode) for end in backend.exits] == [(first, 0)]


def close_all_descriptors(word: str) -> None:
    """Cut all ties, as programs do that become daemons, and go on."""
    os.closerange(3, 256)
    threading.Event().wait()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_worker_that_cut_its_ties_is_killed(backend: Files, monitored: Callable[..., Monitor]) -> None:
    """Its Monitor takes it for ended, and does not wait for that for ever."""
    monitor = monitored(close_all_descriptors, start_method="fork")
    backend.push("a")

    eventually(lambda: backend.exits)
    assert backend.exits[0].exitcode == -signal.SIGKILL
    monitor.kill()
    assert gone(backend.exits[0].pid)


def test_workers_ignore_ctrl_c(backend: Files, monitored: Callable[..., Monitor]) -> None:
    """A terminal sends it to them, too; what it means to them, the Monitor tells."""
    monitored()
    backend.push("mask")

    eventually(lambda: backend.names("done"))
    assert backend.text("done/0") == f"[] {signal.SIG_IGN!r}"


# --- stopping ---------------------------------------------------------------------------------


def _busy(backend: Files, word: str = "wait") -> int:
    """Have a worker run a task that waits; return its process id."""
    backend.push(f"{word} {backend.directory}/go")
    eventually((backend.directory / "go.begun").exists)
    return int(backend.names("running")[0].partition(".")[0])


def test_stop_waits_for_what_runs(backend: Files, monitored: Callable[..., Monitor]) -> None:
    """The task is finished, then the worker leaves by itself; a second stop changes nothing."""
    monitor = monitored()
    _busy(backend)
    stopping = threading.Thread(target=monitor.stop)
    stopping.start()
    eventually(lambda: monitor.state == "stopping")
    (backend.directory / "go").touch()
    stopping.join(20)
    monitor.stop()

    assert backend.names("done") == ["0"]
    assert [end.exitcode for end in backend.exits] == [0]


def test_stop_with_a_timeout_gives_back_what_runs(backend: Files, monitored: Callable[..., Monitor]) -> None:
    """When the time is over the handler is interrupted, and its task is due again uncharged."""
    monitor = monitored()
    _busy(backend)

    monitor.stop(timeout=0)

    assert backend.names("todo") == ["0"]
    assert [end.exitcode for end in backend.exits] == [0]


@pytest.mark.slow
def test_stop_with_a_timeout_kills_what_cannot_be_interrupted(
    backend: Files, monitored: Callable[..., Monitor]
) -> None:
    """Native code that does not come back is killed, its task is returned."""
    monitor = monitored()
    _busy(backend, "wait-natively")

    monitor.stop(timeout=0)

    assert backend.names("todo") == ["0"]
    assert [end.exitcode for end in backend.exits] == [-signal.SIGKILL]


def test_kill_ends_at_once_and_returns_the_tasks(backend: Files, monitored: Callable[..., Monitor]) -> None:
    """SIGKILL to all workers; what they ran is due again."""
    monitor = monitored()
    worker = _busy(backend)

    monitor.kill()

    assert gone(worker)
    assert backend.names("todo") == ["0"]
    assert [end.exitcode for end in backend.exits] == [-signal.SIGKILL]


def test_a_monitor_can_start_again(backend: Files, monitored: Callable[..., Monitor]) -> None:
    """After a stop, start makes new workers."""
    monitor = monitored()
    monitor.stop()
    monitor.start()
    monitor.start()  # it runs already

    backend.push("pid")
    eventually(lambda: backend.names("done"))
    assert monitor.alive == 1


def test_a_stop_that_comes_before_workers_are_ready_ends_them(
    backend: Files, monitored: Callable[..., Monitor]
) -> None:
    """Start and stop in one breath leave nothing behind."""
    for _ in range(3):
        monitor = monitored(workers=2)
        monitor.stop()
        assert monitor.alive == 0


@pytest.mark.parametrize(("signals", "folder"), [(1, "done"), (2, "todo"), (3, "todo")])
def test_signals_end_run(
    backend: Files, monitored: Callable[..., Monitor], signals: int, folder: str
) -> None:
    """The first lets tasks finish, the second has them given back, the third kills."""
    monitor = monitored()
    word = "wait-natively" if signals == 3 else "wait"
    before = signal.getsignal(signal.SIGTERM)

    def send() -> None:
        _busy(backend, word)
        for state in ("stopping", "stopping now", "killing")[:signals]:
            os.kill(os.getpid(), signal.SIGTERM)
            eventually(lambda state=state: monitor.state in (state, "stopped"))  # type: ignore[misc]
        (backend.directory / "go").touch() if signals == 1 else None

    sender = threading.Thread(target=send)
    sender.start()
    monitor.run()
    sender.join()

    assert backend.names(folder) == ["0"]
    assert signal.getsignal(signal.SIGTERM) is before
    monitor.check()


# --- trouble ----------------------------------------------------------------------------------


def test_starts_that_the_system_refuses_are_tried_again(
    backend: Files, monitored: Callable[..., Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while there may be no process or descriptor left."""
    start, refusals = Launcher.start, iter([True, True, False])

    def refuse(self: Launcher, place: int) -> Any:
        if next(refusals):
            raise BlockingIOError("Resource temporarily unavailable")
        return start(self, place)

    monkeypatch.setattr(Launcher, "start", refuse)
    backend.push("pid")
    monitor = monitored(restart=QUICK)

    eventually(lambda: backend.names("done"))
    monitor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux")
def test_a_fork_server_that_is_killed_is_replaced(
    backend: Files, monitored: Callable[..., Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very moment in which it is to fork, too: workers are started all the same."""
    launch, killed = Popen._launch, list[int]()  # type: ignore[attr-defined]

    def kill_first(self: Any, process: Any) -> None:
        if not killed:
            killed.append(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]
            os.kill(killed[0], signal.SIGKILL)
            raise EOFError("unexpected EOF")  # as it reads then
        launch(self, process)

    monkeypatch.setattr(Popen, "_launch", kill_first)
    backend.push("pid")
    monitor = monitored()
    eventually(lambda: backend.names("done"))
    assert killed
    monitor.stop()


def test_an_error_of_its_own_is_told(
    backend: Files, monitored: Callable[..., Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends its thread is a failure with that reason, and no worker is left."""
    monitor = monitored()
    worker = _busy(backend)
    monkeypatch.setattr("ipcq.monitor.supervisor.describe", None)
    os.kill(worker, signal.SIGKILL)

    with pytest.raises(MonitorFailed, match="TypeError: 'NoneType' object is not callable"):
        monitor.run()
    assert monitor.alive == 0


def test_a_queue_that_is_gone_does_not_hinder_the_end(
    backend: Files, monitored: Callable[..., Monitor], caplog: pytest.LogCaptureFixture
) -> None:
    """Tasks that cannot be returned are a line in the log."""

    def closed(*, exits: Any = ()) -> Any:
        raise OSError("closed")

    monitor = monitored()
    eventually(lambda: monitor.alive)
    backend.resume_abandoned = closed  # type: ignore[method-assign]
    monitor.stop()

    assert "were not returned: closed" in caplog.text
