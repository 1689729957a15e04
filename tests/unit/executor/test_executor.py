from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from ipcq import Executor, ExecutorFailed, NotPicklable, WorkerDied
from ipcq.backends.memory.namespace import queue_names
from ipcq.directory import base_directory

from .functions import (
    Explosive,
    Stubborn,
    die,
    die_once,
    double,
    end,
    environment,
    explosive,
    fail,
    fail_to_set_up,
    interrupting,
    keep,
    leave,
    pid,
    raise_bad_error,
    raise_with_stubborn,
    set_up,
    setting,
    square,
    stubborn,
    touch_and_wait,
    wait_for,
)

pytestmark = pytest.mark.one_fork_server
SOON = 30.0  # seconds: much more than anything here takes


@pytest.fixture
def make() -> Iterator[Callable[..., Executor]]:
    """Makes executors that are shut down after the test."""
    made = []

    def one(workers: int = 1, **options: Any) -> Executor:
        made.append(Executor(workers, **options))
        return made[-1]

    yield one
    for executor in made:
        executor.terminate_workers()


def test_a_call_is_made_in_another_process(make: Callable[..., Executor]) -> None:
    """Its result is in the future, with all that was passed."""
    executor = make()
    assert executor.submit(square, 3).result(SOON) == 9
    assert executor.submit(pid).result(SOON) == executor.workers[0] != os.getpid()
    assert executor.submit(keep, 1, fn=2, self=3).result(SOON) == ((1,), {"fn": 2, "self": 3})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_start_method(make: Callable[..., Executor], method: str) -> None:
    """A context of multiprocessing says how workers are started."""
    executor = make(2, mp_context=multiprocessing.get_context(method), initializer=set_up, initargs=(method,))
    assert executor.submit(setting).result(SOON) == method
    assert list(executor.map(square, range(5))) == [0, 1, 4, 9, 16]


def test_it_is_an_executor_of_the_standard_library(make: Callable[..., Executor]) -> None:
    """`wait`, `as_completed` and callbacks take its futures."""
    executor = make()
    assert isinstance(executor, futures.Executor)
    called: list[int] = []
    some = [executor.submit(square, n) for n in range(5)]
    some[0].add_done_callback(lambda future: called.append(future.result()))
    assert futures.wait(some, SOON).done == set(some)
    assert sorted(each.result() for each in futures.as_completed(some, SOON)) == [0, 1, 4, 9, 16]
    assert called == [0]


@pytest.mark.slow
def test_coroutines_await_calls(make: Callable[..., Executor]) -> None:
    """`asubmit`, and `run_in_executor` of a loop."""
    executor = make()

    async def both() -> list[int]:
        loop = asyncio.get_running_loop()
        return list(
            await asyncio.gather(executor.asubmit(square, 2), loop.run_in_executor(executor, square, 3))
        )

    assert asyncio.run(both()) == [4, 9]


def test_workers_start_as_they_are_needed(make: Callable[..., Executor], tmp_path: Path) -> None:
    """One for calls that follow each other; more for those at the same time; never more than allowed."""
    executor = make(2)
    assert executor.workers == []
    for _ in range(3):
        executor.submit(square, 1).result(SOON)
    assert len(executor.workers) == 1
    marks = [str(tmp_path / str(n)) for n in range(2)]
    for mark in marks:
        executor.submit(touch_and_wait, mark, str(tmp_path / "go"))
    for mark in marks:
        wait_for(mark)  # both run
    assert len(executor.workers) == 2
    (tmp_path / "go").touch()


@pytest.mark.slow
def test_threads_submit_at_the_same_time(make: Callable[..., Executor]) -> None:
    """Each gets its own results."""
    executor = make(2)
    found: dict[int, list[int]] = {}

    def run(number: int) -> None:
        some = [executor.submit(square, number * 100 + n) for n in range(50)]
        found[number] = [each.result(SOON) for each in some]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [(n * 100 + k) ** 2 for k in range(50)] for n in range(4)}


@pytest.mark.parametrize("waits", [True, False])
def test_callbacks_may_use_the_executor(make: Callable[..., Executor], waits: bool) -> None:
    """Submit, wait for other calls, shut down: in whatever thread they run."""
    executor = make()
    called: list[int] = []
    ended = threading.Event()

    def call(future: futures.Future[int]) -> None:
        others = [executor.submit(square, n) for n in range(3)]
        called.append(future.result() + sum(each.result(SOON) for each in others))
        executor.shutdown(wait=True)
        ended.set()

    future = executor.submit(square, 3)
    future.add_done_callback(call)
    if waits:
        assert future.result(SOON) == 9
    assert ended.wait(SOON)
    assert called == [14]


# --- what goes wrong in a call ---------------------------------------------------------------------


def test_an_exception_comes_back_with_its_traceback(make: Callable[..., Executor]) -> None:
    """The same class and arguments; its cause shows the line in the worker."""
    with pytest.raises(ValueError, match="no 3") as caught:
        make().submit(fail, 3).result(SOON)
    assert 'raise ValueError(f"no {number}")' in str(caught.value.__cause__)


def test_system_exit_ends_the_call_only(make: Callable[..., Executor]) -> None:
    """The worker goes on."""
    executor = make()
    before = executor.submit(pid).result(SOON)
    with pytest.raises(SystemExit):
        executor.submit(end, 3).result(SOON)
    assert executor.submit(pid).result(SOON) == before


def test_ctrl_c_while_a_result_is_unpickled_is_no_result(make: Callable[..., Executor]) -> None:
    """It reaches who waits, as at every other moment; the executor goes on."""
    executor = make()
    with pytest.raises(KeyboardInterrupt):
        next(executor.map(interrupting, [1]))
    assert executor.submit(square, 2).result(SOON) == 4


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ((square, Stubborn()), "argument 1, <Stubborn> of type"),
        ((stubborn,), "the result <Stubborn> of type"),
        ((raise_bad_error,), "the exception BadError('ab') of type"),
        ((raise_with_stubborn,), "the exception ValueError(<Stubborn>) of type"),
        ((explosive,), "the result cannot be unpickled here: ValueError: no 7"),
        (
            (square, Explosive()),
            "the call cannot be unpickled in a worker process: ValueError: no 7",
        ),
    ],
)
def test_what_cannot_be_pickled_fails_its_future(
    make: Callable[..., Executor], call: tuple[Any, ...], named: str
) -> None:
    """With a message that names it; the next call is made."""
    executor = make()
    with pytest.raises(NotPicklable) as caught:
        executor.submit(*call).result(SOON)
    assert named in str(caught.value)
    assert executor.submit(square, 2).result(SOON) == 4


@pytest.mark.slow
def test_a_keyword_is_named(make: Callable[..., Executor]) -> None:
    """The message tells which argument it was."""
    future = make().submit(keep, 1, name=Stubborn())
    with pytest.raises(NotPicklable, match=r"argument name=, <Stubborn>"):
        future.result(SOON)


def test_a_call_that_runs_too_long_is_ended(make: Callable[..., Executor], tmp_path: Path) -> None:
    """Its process is killed and replaced, its future has TimeoutError; others go on."""
    executor = make(2)
    late = executor.options(timeout=0.05).submit(wait_for, str(tmp_path / "never"))
    with pytest.raises(TimeoutError, match=r"longer than its timeout.*wait_for"):
        late.result(SOON)
    assert [executor.submit(square, n).result(SOON) for n in range(4)] == [0, 1, 4, 9]


# --- what goes wrong around it ---------------------------------------------------------------------


def test_a_killed_worker_is_replaced_and_its_call_made_again(
    make: Callable[..., Executor], tmp_path: Path
) -> None:
    """Nobody sees it but who looks at process ids."""
    executor = make()
    assert executor.submit(die_once, str(tmp_path / "mark")).result(SOON) == "survived"
    before = executor.submit(pid).result(SOON)
    os.kill(before, signal.SIGKILL)
    assert executor.submit(pid).result(SOON) != before


@pytest.mark.parametrize(
    ("call", "told"), [((die,), {"signal": signal.SIGKILL}), ((leave, 7), {"signal": None, "exitcode": 7})]
)
def test_a_call_that_kills_fails_alone(
    make: Callable[..., Executor], call: tuple[Any, ...], told: dict[str, Any]
) -> None:
    """With `WorkerDied`, which is a `BrokenProcessPool`, and tells of the process and the call."""
    executor = make(max_deaths=0)
    others = [executor.submit(square, n) for n in range(5)]
    with pytest.raises(WorkerDied) as caught:
        executor.submit(*call).result(SOON)
    assert isinstance(caught.value, BrokenProcessPool)
    assert {name: getattr(caught.value, name) for name in told} == told
    assert caught.value.pid
    assert f"{call[0].__name__}({', '.join(map(repr, call[1:]))})" in str(caught.value)
    assert [each.result(SOON) for each in others] == [0, 1, 4, 9, 16]
    assert executor.submit(square, 3).result(SOON) == 9


@pytest.mark.slow
def test_an_initializer_that_raises_fails_the_executor(make: Callable[..., Executor]) -> None:
    """All its calls, the next ones too, with what was raised."""
    executor = make(initializer=fail_to_set_up, initargs=("no database",))
    future = executor.submit(square, 1)
    with pytest.raises(BrokenProcessPool, match="no database"):
        future.result(SOON)
    with pytest.raises(ExecutorFailed, match="no database"):
        executor.submit(square, 1)


# --- cancelling ------------------------------------------------------------------------------------


def test_a_call_that_did_not_begin_can_be_cancelled(make: Callable[..., Executor], tmp_path: Path) -> None:
    """It is never made; one that runs goes on."""
    executor = make()
    running = executor.submit(touch_and_wait, str(tmp_path / "mark"), str(tmp_path / "go"))
    waiting = executor.submit(wait_for, str(tmp_path / "never"))
    wait_for(str(tmp_path / "mark"))
    assert running.running()
    assert not waiting.running()
    assert not running.cancel()
    assert waiting.cancel()
    assert waiting.cancelled()
    assert futures.wait([waiting], SOON).done == {waiting}
    (tmp_path / "go").touch()
    assert running.result(SOON) is None
    assert not running.cancel()


def test_a_result_may_be_waited_for_a_time(make: Callable[..., Executor], tmp_path: Path) -> None:
    """Then TimeoutError is raised, and the call goes on."""
    executor = make()
    future = executor.submit(wait_for, str(tmp_path / "go"))
    with pytest.raises(futures.TimeoutError):
        future.result(0.01)
    (tmp_path / "go").touch()
    assert future.result(SOON)


# --- ending ----------------------------------------------------------------------------------------


def test_shutdown_makes_the_calls_that_are_there(make: Callable[..., Executor]) -> None:
    """After it no call is taken, no process and no queue is left."""
    with make(2) as executor:
        some = [executor.submit(square, n) for n in range(20)]
    assert [each.result(0) for each in some] == [n * n for n in range(20)]
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(square, 1)
    assert executor.workers == []
    assert list(queue_names(base_directory())) == []


def test_shutdown_cancels_on_request(make: Callable[..., Executor], tmp_path: Path) -> None:
    """What did not begin is cancelled; what runs comes to its end."""
    executor = make()
    running = executor.submit(touch_and_wait, str(tmp_path / "mark"), str(tmp_path / "go"))
    waiting = [executor.submit(square, n) for n in range(5)]
    wait_for(str(tmp_path / "mark"))
    executor.shutdown(wait=False, cancel_futures=True)
    (tmp_path / "go").touch()
    assert all(each.cancelled() for each in waiting)
    assert running.result(SOON) is None


@pytest.mark.slow
def test_an_executor_that_nobody_has_ends(private_directory: Path) -> None:
    """When its calls are done; their futures have results."""
    executor = Executor(1)
    future = executor.submit(square, 3)
    thread = executor._engine.thread
    assert thread is not None
    del executor
    assert future.result(SOON) == 9
    thread.join(SOON)
    assert not thread.is_alive()
    assert list(queue_names(base_directory())) == []


def test_an_executor_without_calls_starts_nothing(private_directory: Path) -> None:
    """Neither a process nor a queue."""
    with Executor(4) as executor:
        assert list(queue_names(base_directory())) == []
        assert executor.workers == []


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_are_replaced_after_so_many_calls(make: Callable[..., Executor]) -> None:
    """`max_tasks_per_child`."""
    executor = make(max_tasks_per_child=2)
    pids = [executor.submit(pid).result(SOON) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


@pytest.mark.slow
def test_workers_share_the_cpus(make: Callable[..., Executor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Numeric libraries get CPUs / workers threads, unless the user said how many."""
    assert make(1000).submit(environment, "OMP_NUM_THREADS").result(SOON) == "1"
    assert make(1000).submit(environment, "MKL_NUM_THREADS").result(SOON) == "1"


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"initializer": 1}, TypeError, "initializer must be a callable"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
        ({"max_tasks_per_child": 1.5}, TypeError, "max_tasks_per_child must be an integer"),
        ({"max_deaths": -1}, ValueError, "max_deaths must be a whole number"),
        ({"timeout": 0}, ValueError, "timeout must be seconds above 0"),
    ],
)
def test_settings_out_of_bounds_are_refused(
    options: dict[str, Any], error: type[Exception], told: str
) -> None:
    """At once, with the name of the setting."""
    with pytest.raises(error, match=told):
        Executor(**options)


@pytest.mark.slow
def test_a_forked_child_is_told_to_make_its_own(make: Callable[..., Executor]) -> None:
    """The executor is its parent's."""
    executor = make()
    executor.submit(square, 1).result(SOON)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            executor.submit(square, 1)
        except RuntimeError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with open(read, "rb") as told:
        assert b"make one here" in told.read()
    assert executor.submit(square, 2).result(SOON) == 4


@pytest.mark.slow
def test_large_arrays_leave_nothing(make: Callable[..., Executor], private_directory: Path) -> None:
    """Both ways, two hundred times: some retired files are kept for the next, none at the end."""
    numpy = pytest.importorskip("numpy")
    array = numpy.ones(1 << 20)
    executor = make(2)

    def taken() -> int:
        return sum(path.stat().st_blocks * 512 for path in private_directory.rglob("*") if path.is_file())

    for _ in range(20):
        assert executor.submit(double, array).result(SOON)[-1] == 2
    before = taken()
    for _ in range(200):
        assert executor.submit(double, array).result(SOON)[-1] == 2
    assert sum(each[-1] for each in executor.map(double, [array] * 50)) == 100
    assert taken() <= before + 4 * array.nbytes
    executor.shutdown()
    assert taken() == 0
