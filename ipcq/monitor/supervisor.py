"""The thread that starts worker processes, waits for their ends and starts them again."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from time import monotonic

from ..backend import ResumeAbandoned, WorkerExit
from ..limits.settings import TICK
from ..task import TaskId
from .messages import Demand
from .oom import MemoryKills
from .process import Launcher, WorkerProcess
from .restart import Restarts
from .words import describe

__all__ = ["Supervisor"]

log = logging.getLogger("ipcq.monitor")

_GRACE = 1.0  # seconds to give back what runs, before a process is killed


class Supervisor:
    """Keeps ``count`` workers alive until told otherwise, or until it cannot.

    All is done in one thread: the kernel ties the workers to the thread that started them, and
    multiprocessing's processes may not be shared by threads. Others only raise the demand and
    wake the thread up.

    Args:
        launcher: starts workers.
        count: how many.
        backend: told at once about each end.
        restarts: decides about starting again.
        on_failure: called, in the thread, when it gives up.
        recovered: called, in the thread, with the tasks that went back because a worker had ended.

    Attributes:
        failure: why it gave up; empty if it did not.
        restarted: how many workers were started in the place of another.
    """

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        backend: object,
        restarts: Restarts,
        on_failure: Callable[[], None],
        recovered: Callable[[list[TaskId]], object] = lambda _: None,
    ) -> None:
        self.failure = ""
        self.restarted = 0
        self._launcher, self._backend, self._restarts = launcher, backend, restarts
        self._on_failure, self._recovered = on_failure, recovered
        self._count = 0
        self._wanted = count
        self._due: dict[int, float] = {}  # place -> when to start its worker
        self._processes: dict[int, WorkerProcess] = {}
        self._demand = Demand.RUN
        self._owner = os.getpid()
        self._kills = MemoryKills()
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._thread = threading.Thread(target=self._supervise, name="ipcq-monitor", daemon=True)

    def __repr__(self) -> str:
        state = f"failed: {self.failure}" if self.failure else self._demand.name
        return f"<Supervisor {state}: {len(self._processes)} workers, {self.restarted} restarts>"

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers, by place."""
        return [process.pid for _, process in sorted(self._processes.copy().items())]

    @property
    def demand(self) -> Demand:
        """What is asked of the workers."""
        return self._demand

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive() and os.getpid() == self._owner

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Start the thread, which starts the workers."""
        self._bell = socket.socketpair()
        for end in self._bell:
            end.setblocking(False)
        # Whoever forgets to stop it: here, before multiprocessing waits for the workers for ever.
        atexit.register(self.stop)
        self._thread.start()

    def raise_demand(self, demand: Demand) -> None:
        """Ask for more than before; from any thread, from a signal handler too."""
        if self._demand < demand:  # no signal handler runs between this and the next step
            self._demand = demand
        self._ring()

    def grow(self, count: int) -> None:
        """Have ``count`` workers, if there are fewer; from any thread."""
        if self._wanted < count:
            self._wanted = count
            self._ring()

    def _ring(self) -> None:
        bell = self._bell
        if bell is not None:
            try:
                bell[1].send(b"\0")
            except OSError:  # it was rung already, or the thread has ended
                pass

    def escalate(self) -> None:
        """Ask for the next more urgent thing; from a signal handler."""
        self.raise_demand(Demand(min(self._demand + 1, Demand.KILL)))

    def stop(self, timeout: float | None = None) -> None:
        """Have the workers finish what they run, wait for them, and end.

        Args:
            timeout: seconds to wait; then they give back what they run, and are killed if they
                do not. None to wait for as long as it takes.
        """
        if os.getpid() != self._owner:  # a fork inherits the call at exit, but not the thread
            return
        ended = False
        try:
            self.raise_demand(Demand.STOP)
            ended = self.join(timeout)
        finally:
            if not ended:  # too late, or a second Ctrl-C
                self._hurry()

    def kill(self) -> None:
        """Kill the workers, return their tasks, and end."""
        self.raise_demand(Demand.KILL)
        self.join()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when it did not come in time."""
        until = None if timeout is None else monotonic() + timeout
        while self.running and (until is None or monotonic() < until):
            # In steps, because not every Python runs signal handlers while it joins.
            self._thread.join(TICK if until is None else max(0.0, min(TICK, until - monotonic())))
        return not self.running

    def _hurry(self) -> None:
        self.raise_demand(Demand.FORCE)
        if not self.join(_GRACE):
            self.kill()

    # --- in the thread ------------------------------------------------------------------------

    def _supervise(self) -> None:
        try:
            self._launcher.prepare()
            while self._processes or self._demand is Demand.RUN:
                self._turn()
        except Exception as error:
            log.exception("the monitor of %r met an error", self._launcher.name)
            self._give_up(f"{type(error).__name__}: {error}")
        finally:
            self._clear()

    def _turn(self) -> None:
        for process in self._processes.values():
            process.obey(self._demand)
        if self._demand is Demand.RUN:
            self._start_due()
        now = monotonic()
        looks = [process.watch.look(now) for process in self._processes.values()]
        ready = self._wait(min([*looks, now + TICK]))
        for process in self._processes.values():
            if process.listen():
                self._restarts.worked()
        ended = {
            place: process
            for place, process in self._processes.items()
            if process.sentinel in ready or process.has_ended
        }
        if ended:
            self._bury(ended)

    def _start_due(self) -> None:
        """Start one worker whose time has come: who ends meanwhile does not wait for all the others."""
        while self._count < self._wanted:
            self._due[self._count] = 0.0
            self._count += 1
        place = next((place for place, due in self._due.items() if due <= monotonic()), None)
        if place is None:
            return
        try:
            process = self._launcher.start(place)
        except OSError as error:  # out of processes, memory or descriptors: may pass
            pause = self._restarts.ended(place, ready=False, failed=True, lived=0)
            self._decide(place, f"worker {place} was not started: {error}", pause)
            return
        del self._due[place]
        self._processes[place] = process
        log.debug("started %r", process)

    def _wait(self, until: float) -> set[object]:
        """Wait for what happens, until then at the most, or until a worker is to be started."""
        assert self._bell is not None
        starts = self._due.values() if self._demand is Demand.RUN else ()
        until = min([*starts, until])
        waitables = [self._bell[0], *(w for p in self._processes.values() for w in p.waitables)]
        ready: set[object] = set(wait(waitables, max(0.0, until - monotonic())))
        if self._bell[0] in ready:
            self._bell[0].recv(4096)
        return ready

    def _bury(self, ended: dict[int, WorkerProcess]) -> None:
        """Return the tasks of workers that ended before anything else, and start others."""
        exits = {place: process.bury() for place, process in ended.items()}
        for place in ended:
            del self._processes[place]
        killed = [place for place, end in exits.items() if end.exitcode == -signal.SIGKILL]
        if killed and self._kills.grew():
            exits |= {place: exits[place]._replace(out_of_memory=True) for place in killed}
        self._return_tasks(list(exits.values()))
        for place, process in ended.items():
            self._judge(place, process, exits[place])

    def _return_tasks(self, exits: list[WorkerExit]) -> None:
        if isinstance(self._backend, ResumeAbandoned):
            try:
                returned = self._backend.resume_abandoned(exits=exits)
                log.debug("returned %d tasks of ended workers", len(returned))
            except Exception as error:  # the queue was closed or destroyed: nothing to return
                log.warning("the tasks of ended workers were not returned: %s", error)
            else:
                self._recovered(returned)

    def _judge(self, place: int, process: WorkerProcess, end: WorkerExit) -> None:
        told = describe(process, end)
        if self._demand is not Demand.RUN:
            log.debug("%s", told)
            return
        log.log(logging.INFO if end.exitcode == 0 else logging.WARNING, "%s", told)
        if process.failed is not None and process.failed.final:
            self._give_up(f"{told}, as any other would")
        else:
            failed = process.failed is not None
            pause = self._restarts.ended(place, ready=process.ready, failed=failed, lived=process.lived)
            self._decide(place, told, pause)

    def _decide(self, place: int, told: str, pause: float | None) -> None:
        if pause is None:
            self._give_up(f"workers ended again and again without getting to work; the last: {told}")
        else:
            self._due[place] = monotonic() + pause
            self.restarted += 1

    def _give_up(self, reason: str) -> None:
        if not self.failure:
            self.failure = f"monitor {self._launcher.name!r} gave up: {reason}"
            log.error("%s", self.failure)
            self.raise_demand(Demand.STOP)
            self._on_failure()

    def _clear(self) -> None:
        """Leave nothing behind, whatever happened."""
        try:
            left = self._processes.copy()
            for process in left.values():
                process.obey(Demand.KILL)
            if left:
                self._bury(left)
        finally:
            atexit.unregister(self.stop)
            bell, self._bell = self._bell, None
            for end in bell or ():
                end.close()
