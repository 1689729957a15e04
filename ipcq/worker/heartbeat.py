"""The second thread of a worker: tells that it lives, and hears when it is to end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType

from ..backend import WorkerLease, WorkerRequest
from ..task import TaskId

__all__ = ["Heartbeat"]

log = logging.getLogger("ipcq.worker")

_INTERVAL = 0.5  # seconds; also how soon what another process asks is noticed


class Heartbeat:
    """While entered, beats for a worker.

    Args:
        lease: the worker's.
        obey: called with what another process asks, once each time.
        beaten: called after each beat with the tasks of dead owners that it returned.
        interval: seconds between two beats.
    """

    def __init__(
        self,
        lease: WorkerLease,
        obey: Callable[[WorkerRequest], object],
        *,
        beaten: Callable[[list[TaskId]], object] = lambda _: None,
        interval: float = _INTERVAL,
    ) -> None:
        self._lease, self._obey, self._beaten, self._interval = lease, obey, beaten, interval
        self._asked = WorkerRequest.RUN
        self._over = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._beat, name="ipcq-heartbeat", daemon=True)

    def __repr__(self) -> str:
        state = f"failing: {self._trouble}" if self._trouble else "beating"
        return f"<Heartbeat of {self._lease.worker_id!r}: {state if self._thread.is_alive() else 'off'}>"

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._interval):
            try:
                self._beaten(self._lease.heartbeat())
                request = self._lease.request
                if request is not self._asked:
                    self._asked = request
                    self._obey(request)
                self._trouble = ""
            except Exception as error:  # the worker's own thread meets what lasts
                self._report(f"{type(error).__name__}: {error}")

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:  # twice a second is too much to read
            log.warning("worker %r cannot tell that it lives: %s", self._lease.worker_id, trouble)
        self._trouble = trouble
