"""One worker process as seen from outside: whether it has too much of something, and its end if so."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from ..errors import IpcqError, NotSupported
from ..result import ErrorInfo
from .board import Board, Run
from .judging import Verdict, error_of, judge
from .kin import end_kin, resident_bytes_of
from .settings import TICK, Limits
from .stacks import innermost_first

__all__ = ["Watch"]

log = logging.getLogger("ipcq.monitor")

_DUMP = 0.05  # seconds that it has to write down where it is
_AFTER = 0.25  # seconds before the next run of what was killed: it shall not meet what is left of this one


class _Step(Enum):
    WATCHED = "watched"
    ASKED = "asked where it is"
    TOLD = "told to end"
    STORING = "storing how it ended"
    LEAVING = "leaving after its task"
    KILLED = "killed"


class Watch:
    """Looks at one process when something may be late, and ends it step by step, never waiting.

    First it is asked for its stack, then its run is broken off by SIGTERM; what is there after the grace
    is killed with all that it started. Its task is taken from it before.

    Args:
        pid: of the process.
        board: shared with it.
        end_run: ``end_run(task_id, error, pid=, retry_in=)`` of the backend; None where it has none.
        leave: has it end after its present task.
    """

    def __init__(
        self,
        pid: int,
        board: Board,
        limits: Limits,
        end_run: Callable[..., bool] | None,
        leave: Callable[[], None],
    ) -> None:
        self._pid, self._board, self._limits = pid, board, limits
        self._end_run, self._leave = end_run, leave
        self._step = _Step.WATCHED
        self._run: Run | None = None
        self._verdict: Verdict | None = None
        self._due = 0.0

    def __repr__(self) -> str:
        return f"<Watch of process {self._pid}: {self._step.value}>"

    @property
    def told(self) -> str:
        """Why it was to end; empty if it was not."""
        return str(self._verdict or "")

    def close(self) -> None:
        """The process has ended."""
        self._board.close()

    def look(self, now: float) -> float:
        """Do what is due.

        Args:
            now: this moment by the monotonic clock.

        Returns:
            When to look again.
        """
        if self._step is _Step.WATCHED:
            return self._watch(now)
        if self._due <= now:
            try:
                self._go_on(now)
            except ProcessLookupError:  # it has ended meanwhile
                self._enter(_Step.KILLED, now + TICK)
        return self._due

    def _watch(self, now: float) -> float:
        run, ended = self._board.run(), self._board.ended
        verdict = judge(
            self._limits,
            timeout=run.timeout if run else 0.0,
            late=run is not None and run.deadline <= now,
            running=run is not None,
            idle=now - ended if ended is not None else None,
            rss=resident_bytes_of(self._pid) if self._limits.measures else 0,
        )
        if verdict is None:
            return min(now + TICK, run.deadline if run else now + TICK)
        self._verdict = verdict
        if verdict.ends_run and run is not None:
            self._run = run
            self._ask(now)
        else:
            self._enter(_Step.LEAVING, now + TICK)
            self._leave()
        return self._due

    def _enter(self, step: _Step, due: float) -> None:
        self._step, self._due = step, due

    def _ask(self, now: float) -> None:
        self._enter(_Step.ASKED, now + _DUMP)
        with suppress(ProcessLookupError):
            self._board.ask_for_stack(self._pid)

    def _go_on(self, now: float) -> None:
        if self._step is _Step.ASKED:
            self._tell(now)
        elif self._step is _Step.LEAVING:  # its task may be late all the same
            self._due = self._watch(now)
        elif self._step is _Step.TOLD and not self._is_stuck:
            self._enter(_Step.STORING, now + self._limits.grace)  # it obeyed; it has to come to its end
        else:
            if self._step is _Step.TOLD:
                self._take_task()
            self._enter(_Step.KILLED, now + TICK)
            end_kin(self._pid, itself=True)

    def _tell(self, now: float) -> None:
        assert self._run is not None
        assert self._verdict is not None
        if self._is_stuck:
            self._board.give_order(self._run, self._verdict.reason, self._verdict.amount)
            self._enter(_Step.TOLD, now + self._limits.grace)
            os.kill(self._pid, signal.SIGTERM)
        else:  # it came to its end in this moment
            self._step, self._verdict, self._run = _Step.WATCHED, None, None
            self._due = now

    @property
    def _is_stuck(self) -> bool:
        """Whether the run that is to end goes on."""
        run = self._board.run()
        return run is not None and self._run is not None and run.number == self._run.number

    def _take_task(self) -> None:
        """Take its task from it, unless it is not its any more."""
        assert self._run is not None
        assert self._verdict is not None
        if self._end_run is None:
            return
        error = error_of(self._verdict.reason, self._verdict.amount, "its process was killed")
        info = ErrorInfo.from_exception(error)
        told = ErrorInfo(info.type, info.message, innermost_first(self._board.stack()))
        try:
            self._end_run(self._run.task_id, told, pid=self._pid, retry_in=_AFTER)
        except NotSupported:
            pass
        except IpcqError as problem:  # then it is a death like others
            log.warning("task %s was not taken from process %d: %s", self._run.task_id, self._pid, problem)
