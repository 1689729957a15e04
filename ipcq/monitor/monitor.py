"""A supervisor of worker processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from multiprocessing import current_process
from secrets import token_hex
from types import TracebackType
from typing import Any

from ..errors import MonitorFailed
from ..layer import Layer
from ..limits import Limits
from ..worker.handler import Handler
from ..worker.injection import Provide
from ..worker.signals import stop_signals
from ..worker.telling import Listener, Teller
from ..worker.worker import WorkerBackend
from .alarm import Alarm
from .child import Initializer
from .cpus import usable_cpus
from .job import Job
from .messages import Demand
from .process import Launcher
from .restart import RestartPolicy, Restarts
from .supervisor import Supervisor

__all__ = ["Monitor"]

_STATES = {
    Demand.RUN: "running",
    Demand.STOP: "stopping",
    Demand.FORCE: "stopping now",
    Demand.KILL: "killing",
}


class Monitor:
    """Keeps worker processes alive, and returns the tasks of dead ones to the queue at once.

    Three ways to use it: ``with Monitor(...)`` around code that pushes and waits; `run` as a
    program of its own; `start` and `stop`. Workers never outlive the process that started them.

    A ``with`` block in the main thread whose Monitor gives up is interrupted and ends in
    `MonitorFailed`, unless the program handles SIGINT itself: then, and in other threads, look by
    `check`.

    Args:
        backend: where tasks come from; each worker process opens it anew.
        handler: a function of a module, or ``module:function``.
        workers: how many processes; None for one for each usable CPU.
        layers: callables around the handler, the first outermost.
        concurrency: how many tasks each worker runs at once; more than 1 where the handler is a coroutine
            function.
        prefetch: how many tasks each worker holds at once, those that run included.
        provide: as for `Worker`; made in each worker process.
        max_tasks: how many a process runs before another takes its place; None for no limit. What
            else runs there by then is finished, too.
        limits: how much time and memory they may have; ``run_timeout`` of tasks counts without it, too.
        restart: how patient to be with workers that do not get going.
        start_method: of multiprocessing; None for ``forkserver`` on Linux, ``spawn`` elsewhere.
        initializer: called first in each process, with ``initargs``.
        on_event: called in each worker process with what happens to it, as for `Worker`; and here, in the
            Monitor's thread, with `Recovered`.
        name: what the workers' ids begin with; None for one made of host, process and chance.

    Raises:
        HandlerNotFound: the handler is not callable, or no other process could find it.
        TypeError: a layer is a coroutine function, and the handler is not.
        ValueError: a number is out of bounds, or there is no such start method.
    """

    def __init__(
        self,
        backend: WorkerBackend,
        handler: Handler | str,
        *,
        workers: int | None = None,
        layers: Iterable[Layer] = (),
        concurrency: int = 1,
        prefetch: int = 1,
        provide: Provide | None = None,
        max_tasks: int | None = None,
        limits: Limits | None = None,
        restart: RestartPolicy | None = None,
        start_method: str | None = None,
        initializer: Initializer | None = None,
        initargs: Iterable[Any] = (),
        on_event: Listener | None = None,
        name: str | None = None,
    ) -> None:
        self._count = usable_cpus() if workers is None else workers
        if self._count < 1 or prefetch < 1:
            raise ValueError(
                f"workers and prefetch must be 1 or more, not workers={self._count}, prefetch={prefetch}"
            )
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{token_hex(2)}"
        self._backend = backend
        self._restart = restart or RestartPolicy()
        if max_tasks is not None and max_tasks < 1:
            raise ValueError(f"max_tasks must be 1 or more, or None for no limit; not {max_tasks}")
        checked = (limits or Limits()).checked()
        job = Job.pack(backend, handler, layers, prefetch, max_tasks, provide, checked, on_event, concurrency)
        module = type(backend).__module__
        preload = [module] if module.startswith("ipcq.") else []  # users' may have effects
        self._launcher = Launcher(
            self.name,
            job,
            start_method,
            initializer,
            tuple(initargs),
            preload,
            getattr(backend, "end_run", None),
        )
        self._alarm = Alarm()
        self._tell = Teller(self.name, str(getattr(backend, "queue", "")))
        if on_event is not None:
            self._tell.listeners.append(on_event)
        self._supervisor: Supervisor | None = None

    def __repr__(self) -> str:
        supervisor = self._supervisor
        restarts = supervisor.restarted if supervisor else 0
        counts = f"{self.alive} of {self._count} workers, {restarts} restarts"
        return f"<Monitor {self.name!r} {self.state}: {counts}>"

    @property
    def state(self) -> str:
        """What it is doing, in a word or two."""
        supervisor = self._supervisor
        if supervisor is None:
            return "not started"
        if supervisor.failure:
            return "failed"
        return _STATES[supervisor.demand] if supervisor.running else "stopped"

    @property
    def alive(self) -> int:
        """How many worker processes there are now."""
        return len(self.workers)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return self._supervisor.pids if self._supervisor else []

    def start(self) -> None:
        """Start the workers and return; nothing if it runs already.

        Raises:
            MonitorFailed: this is a worker process that imports the program's main module.
        """
        supervisor = self._ready()
        if not supervisor.running:
            supervisor.start()

    def run(self) -> None:
        """Start if need be, and wait until it was told to end.

        In the main thread SIGINT and SIGTERM tell it. The first: the workers finish what they
        run. The second: they give it back. The third kills them.

        Raises:
            MonitorFailed: it could not keep its workers alive.
        """
        supervisor = self._ready()
        with stop_signals(supervisor.escalate):
            self.start()
            supervisor.join()
        self.check()

    def stop(self, timeout: float | None = None) -> None:
        """Have the workers finish what they run, and wait for that; nothing if it does not run.

        Args:
            timeout: seconds to wait; then they give back what they run, and a second later they
                are killed. None to wait for as long as it takes.

        Raises:
            MonitorFailed: it had given up before.
        """
        if self._supervisor is not None:
            self._supervisor.stop(timeout)
        self.check()

    def kill(self) -> None:
        """Kill the workers, return their tasks, and wait for that; nothing if it does not run."""
        if self._supervisor is not None:
            self._supervisor.kill()

    def grow(self, workers: int) -> None:
        """Have as many workers as that, if there are fewer; without waiting for them."""
        self._count = max(self._count, workers)
        if self._supervisor is not None:
            self._supervisor.grow(self._count)

    def check(self) -> None:
        """Raise `MonitorFailed` if it gave up."""
        if self._supervisor is not None and self._supervisor.failure:
            raise MonitorFailed(self._supervisor.failure)

    def __enter__(self) -> Monitor:
        self._alarm.arm()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._alarm.disarm()
            self.stop()
        except KeyboardInterrupt:
            if not self._alarm.rung:
                raise  # a person's; the workers have been stopped
            self.stop()
        except MonitorFailed:
            if kind is None or self._alarm.rung:
                raise  # else the block's own exception tells more

    def _ready(self) -> Supervisor:
        """The supervisor that runs, or a new one."""
        if getattr(current_process(), "_inheriting", False):
            raise MonitorFailed(
                "a worker process imports this program's main module, which starts a Monitor or an"
                " Executor; put what starts it under: if __name__ == '__main__'"
            )
        if self._supervisor is None or (self._supervisor.started and not self._supervisor.running):
            restarts = Restarts(self._restart)
            self._supervisor = Supervisor(
                self._launcher, self._count, self._backend, restarts, self._alarm.ring, self._tell.recovered
            )
        return self._supervisor
