from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from ipcq.backend import WorkerRequest
from ipcq.errors import HandlerNotFound, QueueClosed, WorkerExists
from ipcq.layer import CallNext, ForcedStop
from ipcq.task import Task
from ipcq.worker import Worker, WorkerContext, WorkerState
from ipcq.worker.heartbeat import Heartbeat

from .fakes import FakeBackend, FakeLease, FakeStream, outcomes, send


def double(number: int) -> int:
    """The handler of most tests."""
    return 2 * number


def test_a_worker_enters_works_and_leaves() -> None:
    """It registers, polls with its prefetch, stores each value, gives back the rest and leaves."""
    backend = FakeBackend([1, 2])
    worker = Worker("w", backend, double, prefetch=4)
    assert worker.state is WorkerState.PENDING

    worker.run(until_empty=True)

    assert backend.log == [
        ("enter", "w", []), ("poll", 4), ("finish", 1, 2), ("finish", 2, 4), "close", "leave"
    ]  # fmt: skip
    assert repr(worker) == "<Worker 'w' STOPPED: 2 tasks, <Stop: not asked>>"


def test_a_worker_can_run_again() -> None:
    """Each run takes what is there then."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, double)
    worker.run(until_empty=True)
    backend.tasks.put(Task.of(2))
    worker.run(until_empty=True)

    assert outcomes(backend) == [("finish", 1, 2), ("finish", 2, 4)]


def test_a_task_that_was_run_is_let_go() -> None:
    """While it waits for the next one, a worker does not hold the payload of the one before."""
    alive = []

    class Watched(Worker):
        def progressed(self) -> None:
            alive.append(sum(isinstance(found, Task) for found in gc.get_objects()))

    gc.collect()
    Watched("w", FakeBackend([1]), double).run(until_empty=True)

    assert alive == [alive[0], alive[0] - 1]


def test_a_handler_may_be_named() -> None:
    """A string names the function; one that names none fails when the worker is made."""
    backend = FakeBackend(["a/b"])
    Worker("w", backend, "posixpath:basename").run(until_empty=True)

    assert outcomes(backend) == [("finish", "a/b", "b")]
    with pytest.raises(HandlerNotFound):
        Worker("w", backend, "posixpath:no_such")


def test_a_failing_task_does_not_end_the_worker() -> None:
    """The error is stored and the next task is run."""
    backend = FakeBackend([0, 1])
    Worker("w", backend, lambda number: 1 // number).run(until_empty=True)

    assert [outcome[0] for outcome in outcomes(backend)] == ["fail", "finish"]


def test_workers_without_a_name_get_different_ones() -> None:
    """None stands for a name that no other worker has; it shows the process."""
    names = {Worker(None, FakeBackend(), double).name for _ in range(8)}

    assert len(names) == 8
    assert all(f"-{os.getpid()}-" in name for name in names)


def test_layers_see_the_task_and_the_worker() -> None:
    """Each layer gets the task and a context, and stands inside the acknowledgement."""
    seen = []

    def layer(task: Task[Any], context: WorkerContext, call_next: CallNext) -> Any:
        seen.append((context.worker, context.queue, context.tasks, context.stopping, task.args))
        return call_next(task, context) + 1

    backend = FakeBackend([1, 2])
    Worker("w", backend, double, layers=[layer]).run(until_empty=True)

    assert seen == [("w", "numbers", 0, False, 1), ("w", "numbers", 1, False, 2)]
    assert outcomes(backend) == [("finish", 1, 3), ("finish", 2, 5)]
    assert backend.log[0] == ("enter", "w", ["layer"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 2}, r"concurrency=2 needs a coroutine function, .* async def, or .* workers=2"),
        ({"concurrency": 0}, "concurrency must be 1 or more, not 0"),
        ({"prefetch": 0}, "prefetch must be 1 or more, not 0"),
    ],
)
def test_numbers_out_of_bounds_are_refused(options: dict[str, Any], message: str) -> None:
    """The message says what to pass instead."""
    with pytest.raises(ValueError, match=message):
        Worker("w", FakeBackend(), double, **options)


def test_stop_from_another_thread_ends_a_waiting_worker_at_once() -> None:
    """The stream is woken: nobody waits for its patience to end."""
    backend = FakeBackend(patience=60)
    worker = Worker("w", backend, double)
    thread = threading.Thread(target=worker.run)
    thread.start()

    worker.stop()

    thread.join(10)
    assert not thread.is_alive()
    assert backend.log[-1] == "leave"


def test_a_worker_stopped_before_it_runs_takes_nothing() -> None:
    """A stop that comes before run is not lost."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, double)
    worker.stop()
    worker.run()

    assert outcomes(backend) == []
    worker.stop()  # of no effect on the next run
    worker.run(until_empty=True)
    assert outcomes(backend) == [("finish", 1, 2)]


def test_a_stop_in_a_handler_ends_after_the_present_task() -> None:
    """What runs is finished, the next one is not begun."""
    backend = FakeBackend([1, 2])
    worker = Worker("w", backend, lambda number: worker.stop())
    worker.run()

    assert outcomes(backend) == [("finish", 1, None)]


def test_a_task_taken_while_the_stop_came_goes_back() -> None:
    """Between the hand-out and the handler a stop wins: nothing is begun any more."""
    backend = FakeBackend([1])

    class Stopping(FakeStream):
        def __next__(self) -> Task[Any] | None:
            task = super().__next__()
            worker.stop()
            return task

    backend.stream = Stopping
    worker = Worker("w", backend, double)
    worker.run()

    assert outcomes(backend) == [("give back", 1)]


def test_a_worker_that_runs_cannot_be_run_again() -> None:
    """The second run is refused in words."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, lambda number: worker.run())
    worker.run(until_empty=True)

    (outcome,) = outcomes(backend)
    assert outcome[:2] == ("fail", "RuntimeError")
    assert "is running already" in outcome[2]


def test_errors_of_the_backend_end_the_run() -> None:
    """A queue that cannot be entered or is gone is told to whoever runs the worker."""
    backend = FakeBackend([1])

    def exists(*_: object, **__: object) -> Any:
        raise WorkerExists("there is one")

    backend.lease.refuses = QueueClosed("destroyed")
    worker = Worker("w", backend, double)
    with pytest.raises(QueueClosed):
        worker.run()
    assert backend.log[-2:] == ["close", "leave"]
    backend.register_worker = exists  # type: ignore[method-assign]
    with pytest.raises(WorkerExists):
        worker.run()
    assert worker.state is WorkerState.STOPPED


# --- heartbeat --------------------------------------------------------------------------------


def test_what_another_process_asks_is_heard() -> None:
    """The heartbeat notices it while the worker's own thread waits, once each time."""
    lease, heard = FakeLease(), SimpleQueue[WorkerRequest]()
    with Heartbeat(lease, heard.put, interval=0.001) as heartbeat:
        for request in (WorkerRequest.PAUSE, WorkerRequest.RUN, WorkerRequest.STOP):
            lease.request = request
            assert heard.get(timeout=10) is request
        assert heard.empty()
        assert repr(heartbeat) == "<Heartbeat of 'w': beating>"
    assert repr(heartbeat) == "<Heartbeat of 'w': off>"


def test_a_heartbeat_that_fails_goes_on_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Trouble that passes does not end the worker, trouble that lasts does not fill the log."""
    lease, beats, enough = FakeLease(), [0], threading.Event()

    def beat() -> None:
        beats[0] += 1
        if beats[0] == 5:
            enough.set()
        raise OSError("disk full")

    lease.on_heartbeat = beat
    with Heartbeat(lease, print, interval=0.001):
        assert enough.wait(10)

    assert [record.getMessage() for record in caplog.records] == [
        "worker 'w' cannot tell that it lives: OSError: disk full"
    ]


# --- signals ----------------------------------------------------------------------------------


def _during(action: Callable[[], None], items: tuple[int, ...] = (1, 2)) -> FakeBackend:
    """Run a worker whose handler does this."""
    backend = FakeBackend(items)
    Worker("w", backend, lambda _: action()).run()
    return backend


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_the_task_finish(number: int) -> None:
    """SIGINT and SIGTERM end the worker after what runs; then they do again what they did."""
    before = signal.getsignal(number)

    backend = _during(lambda: send(number))

    assert outcomes(backend) == [("finish", 1, None)]
    assert backend.log[-2:] == ["close", "leave"]
    assert signal.getsignal(number) is before


def test_the_second_signal_gives_the_task_back() -> None:
    """The handler is interrupted, its finally blocks run, and the task costs nothing."""
    cleaned = []

    def twice() -> None:
        try:
            send()
            send(signal.SIGINT)
            raise AssertionError("went on")
        finally:
            send()  # a third one does not interrupt the cleaning up
            cleaned.append(True)

    assert outcomes(_during(twice)) == [("give back", 1)]
    assert cleaned == [True]


def test_a_handler_that_swallows_the_forced_stop_finishes() -> None:
    """Then there is a value, and it is stored."""

    def deaf() -> None:
        try:
            send()
            send()
        except BaseException:
            pass

    assert outcomes(_during(deaf)) == [("finish", 1, None)]


class Signalled(FakeLease):
    """Gets signals in the middle of its work, as a backend may at any time."""

    def finish(self, task: Task[Any], value: Any) -> None:
        send()
        send()
        super().finish(task, value)


def test_nothing_is_raised_inside_the_backend() -> None:
    """Two signals while a result is stored do not interrupt that; the worker just ends."""
    backend = FakeBackend([1, 2])
    backend.lease = Signalled(log=backend.log)
    Worker("w", backend, double).run()

    assert outcomes(backend) == [("finish", 1, 2)]


class Full(FakeLease):
    """Has no room for a value, and waits for some, while signals come."""

    hurried = False

    def finish(self, task: Task[Any], value: Any) -> None:
        send()
        assert not self.hurried
        send()
        assert self.hurried
        raise ForcedStop

    def hurry(self) -> None:
        self.hurried = True


def test_the_second_signal_ends_a_wait_for_room() -> None:
    """The task is given back, instead of a minute's waiting for somebody to fetch results."""
    backend = FakeBackend([1, 2])
    backend.lease = Full(log=backend.log)
    Worker("w", backend, double).run()

    assert outcomes(backend) == [("give back", 1)]


def test_signals_before_the_handler_begins_give_the_task_back() -> None:
    """A forced stop between the acknowledgement and the handler is not lost."""
    backend = FakeBackend([1])

    def outermost(task: Task[Any], context: Any, call_next: CallNext) -> Any:
        def signalled(task: Task[Any], context: Any) -> Any:
            send()
            send()
            return call_next(task, context)

        return acknowledged(task, context, signalled)

    acknowledged = backend.middleware()
    backend.middleware = lambda: outermost  # type: ignore[method-assign]
    Worker("w", backend, double).run()

    assert outcomes(backend) == [("give back", 1)]


def test_a_signal_ends_a_waiting_worker_at_once() -> None:
    """A signal wakes the stream."""
    backend = FakeBackend(patience=60)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))

    class Polled(Worker):
        def progressed(self) -> None:
            timer.start()

    Polled("w", backend, double).run()

    timer.join()
    assert backend.log[-1] == "leave"


def test_an_ignored_signal_stays_ignored() -> None:
    """What nohup or a Monitor has a process ignore does not end its worker."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        backend = FakeBackend([1, 2])
        Worker("w", backend, lambda _: send(signal.SIGINT)).run(until_empty=True)
    finally:
        signal.signal(signal.SIGINT, before)

    assert len(outcomes(backend)) == 2


def test_a_worker_in_another_thread_leaves_signals_alone() -> None:
    """They belong to the program there."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []
    backend = FakeBackend([1])
    worker = Worker("w", backend, lambda _: seen.append(signal.getsignal(signal.SIGTERM)))
    thread = threading.Thread(target=worker.run, kwargs={"until_empty": True})
    thread.start()
    thread.join()

    assert seen == [before]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_of_a_handler_ends_by_a_signal() -> None:
    """SIGTERM to a process that a handler forked ends it, as its parent expects."""

    def fork() -> int:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, b"!")
            time.sleep(60)
            os._exit(0)
        os.read(read, 1)
        os.kill(child, signal.SIGTERM)
        os.close(read)
        os.close(write)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    backend = FakeBackend([1])
    Worker("w", backend, lambda _: fork()).run(until_empty=True)

    assert outcomes(backend) == [("finish", 1, -signal.SIGTERM)]
