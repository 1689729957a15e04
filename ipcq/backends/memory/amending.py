"""Changes to tasks from outside: which are legal, and what follows from one.

A task is looked at, then changed if it is still the same; else it is looked at again. Of a dead owner it
is taken first, as everybody does who comes across one.
"""

from __future__ import annotations

import logging
import time

from ...errors import Conflict, IllegalTransition
from ...result import ErrorInfo
from ...status import TERMINAL, Status
from ...task import Queue, TaskId
from ..liveness import kill_process, own_identity
from ..parts import microseconds
from .connection import Connection
from .layout import (
    BUSY,
    COPY_LIMIT,
    DELAYED,
    KIND_ERROR,
    LOST,
    M_RUN_AT,
    META_WORDS,
    NEED_ARENA,
    OK,
    P_PID,
    PART_WORDS,
    PARTS_AT,
    REFUSED,
    RESULT_INLINE_BYTES,
    ST_FAILED,
)
from .liveness import identity_of
from .parts import error_bytes, short_error_bytes
from .sight import Seen, Sight
from .slots import generation

__all__ = ["Amender"]

log = logging.getLogger("ipcq.memory")

_MOMENT = 0.001  # seconds between looks at a result that is being stored
_LONGEST_COPY = 1.0  # seconds that it may take: a GB; then its process is stopped, or stuck


class Amender:
    """Cancels tasks of one queue, puts them off, and has them run again."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self._connection = connection
        self._queue = queue
        self._sight = Sight(connection, queue)

    def __repr__(self) -> str:
        return f"<Amender of {self._queue!r}>"

    def cancel(self, task_id: TaskId, *, running: bool) -> bool:
        """See `Cancel.cancel`."""
        until = time.monotonic() + _LONGEST_COPY
        while True:
            seen = self._sight.find(task_id)[0]
            if seen.status in TERMINAL or (seen.status is Status.RUNNING and not running):
                return False
            code = self._connection.call(_cancel, self._connection, seen)
            if code == OK:
                return True
            if code == BUSY and not self._wait_for_copy(seen, until):
                return False

    def end_run(self, task_id: TaskId, error: ErrorInfo, pid: int, run_at: int) -> bool:
        """See `EndRun.end_run`. Without room for the error its beginning is stored."""
        seen = self._sight.look(task_id)
        if seen.status is not Status.RUNNING or seen.owner < 0:
            return False
        code = NEED_ARENA
        for data in (error_bytes(error), short_error_bytes(error, RESULT_INLINE_BYTES)):
            if code == NEED_ARENA and len(data) <= COPY_LIMIT:
                code = self._connection.call(_end_run, self._connection, seen, pid, data, run_at)
        return code == OK

    def reschedule(self, task_id: TaskId, run_at: int, *, force: bool) -> None:
        """See `Reschedule.reschedule`."""
        until = time.monotonic() + _LONGEST_COPY
        while True:
            seen = self._sight.find(task_id)[0]
            if seen.status is Status.DONE or (seen.status is Status.RUNNING and not force):
                raise IllegalTransition(seen.status, Status.PENDING)
            code = self._resume(seen, run_at, reset=False)
            if code == OK:
                return
            if code == BUSY:
                self._await_copy(task_id, until)

    def resume_by_id(self, task_id: TaskId, *, reset: bool) -> bool:
        """See `ResumeById.resume_by_id`."""
        abandoned = False
        while True:
            seen, taken = self._sight.find(task_id)
            abandoned |= taken
            if seen.owner >= 0 or seen.status is Status.DONE or (self._is_due(seen) and not abandoned):
                return False
            if self._resume(seen, microseconds(), reset=reset) == OK:
                return True

    def _is_due(self, seen: Seen) -> bool:
        connection = self._connection
        run_at = connection.words[connection.core.meta_at + seen.slot * META_WORDS + M_RUN_AT]
        return seen.status is Status.PENDING and (not seen.word & DELAYED or run_at <= microseconds())

    def _resume(self, seen: Seen, run_at: int, *, reset: bool) -> int:
        connection = self._connection
        code: int = connection.call(connection.amend.resume, *seen, run_at, reset, microseconds())
        return code

    # --- waiting for a copy ---------------------------------------------------------------------

    def _wait_for_copy(self, seen: Seen, until: float) -> bool:
        """Let the owner store what its run gave; kill it if that takes too long. False if it cannot be."""
        connection = self._connection
        if time.monotonic() >= until and not _end_owner(connection, seen):
            return self._sight.is_abandoned(seen)  # then the next look takes what it had
        time.sleep(_MOMENT)
        return True

    def _await_copy(self, task_id: TaskId, until: float) -> None:
        """The same where nobody is to be killed."""
        if time.monotonic() >= until:
            raise Conflict(f"queue {self._queue!r}: the owner of task {task_id} is storing its result")
        time.sleep(_MOMENT)


def _cancel(connection: Connection, seen: Seen) -> int:
    """With the lock: the lease is void first, then its process is killed before it can start another task."""
    code: int = connection.amend.cancel(*seen, microseconds())
    if code == OK and seen.status is Status.RUNNING:
        _end_owner(connection, seen)
    return code


def _end_run(connection: Connection, seen: Seen, pid: int, data: bytes, run_at: int) -> int:
    """With the lock: if the task is as it was seen, and of that process, and its result not being stored."""
    connection.core.clear_out()
    if connection.words[connection.core.row(seen.owner) + P_PID] != pid:
        return LOST
    if connection.amend.check(*seen) != REFUSED:  # it is no more as it was, or its result is being stored
        return LOST
    code: int = connection.finish.end(
        seen.slot, generation(seen.word), seen.epoch, seen.owner, ST_FAILED, KIND_ERROR,
        memoryview(data), len(data), run_at, microseconds(),
    )  # fmt: skip
    return code


def _end_owner(connection: Connection, seen: Seen) -> bool:
    """Kill the process that has a task, unless it is this one; whether it could be."""
    identity = identity_of(connection.words, PARTS_AT + seen.owner * PART_WORDS)
    if identity == own_identity():
        return False
    try:
        return kill_process(identity)
    except OSError as error:
        log.warning("queue %r: cannot kill process %d: %s", connection.queue, identity.pid, error.strerror)
        return False
