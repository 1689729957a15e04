"""A page of memory that a worker process and its Monitor share: what runs, since when, what is to end.

The worker writes it without a call to the kernel; who reads it needs nothing from the worker, which may be
stuck. Behind the page is where the worker's C code writes its stack when it is asked for it.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import tempfile
from multiprocessing import reduction
from time import monotonic
from typing import Any, NamedTuple

from ..task import TaskId
from .judging import Reason

__all__ = ["Board", "Run"]

_BYTES = 4096
_LONGEST_STACK = 65536
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_DUMP_SIGNAL = getattr(signal, "SIGRTMAX", 0) - 5  # one that nobody uses; negative where there are none
# Words. RUN is odd while a run is going on, and another number for each.
_RUN, _DEADLINE, _TIMEOUT, _ID_HI, _ID_LO, _ENDED, _ORDER, _REASON, _AMOUNT, _DUMPS = range(10)


class Run(NamedTuple):
    """What a worker runs.

    Attributes:
        number: of this run among all of the process.
        deadline: when it is late, by the monotonic clock; infinite without a timeout.
        timeout: seconds it may take.
    """

    number: int
    task_id: TaskId
    deadline: float
    timeout: float


class Board:
    """The page; both sides have an object of their own.

    Args:
        descriptor: of a file of that size, which belongs to this object from now on; None for a new one.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._file = _new_file() if descriptor is None else descriptor
        self._map = mmap.mmap(self._file, _BYTES)
        self._words = memoryview(self._map).cast("Q")

    def __repr__(self) -> str:
        if self._file < 0:
            return "<Board closed>"
        run = self.run()
        return f"<Board: {f'task {run.task_id}' if run else 'nothing'} runs>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._file),)  # only while a process is started

    def close(self) -> None:
        """Free it here."""
        if self._file >= 0:
            self._words.release()
            self._map.close()
            os.close(self._file)
            self._file = -1

    # --- the worker's side ------------------------------------------------------------------------

    def begin(self, task_id: int, timeout: float | None, late: float | None = None) -> None:
        """A run begins.

        Args:
            late: when it is, by the monotonic clock; None for ``timeout`` seconds from now.
        """
        w = self._words
        w[_ID_HI], w[_ID_LO] = task_id >> 64, task_id & _MASK
        w[_TIMEOUT] = _micro(timeout) if timeout is not None else 0
        w[_DEADLINE] = _micro(late or monotonic() + timeout) if timeout is not None else 0
        w[_RUN] += 1

    def end(self) -> None:
        """It has ended."""
        w = self._words
        w[_ENDED] = _micro(monotonic())
        w[_RUN] += 1

    def order(self) -> tuple[Reason, float] | None:
        """Why the present run is to end, if it is."""
        w = self._words
        if not w[_RUN] & 1 or w[_ORDER] != w[_RUN]:
            return None
        return Reason(w[_REASON]), w[_AMOUNT] / 1e6

    @property
    def was_ordered(self) -> bool:
        """Whether a run of this process was ever to end."""
        return self._words[_ORDER] != 0

    def dump_on_signal(self) -> None:
        """Have C code write all stacks behind the page on a signal, whoever holds the GIL."""
        if _DUMP_SIGNAL > 0 and signal.getsignal(_DUMP_SIGNAL) == signal.SIG_DFL:
            os.lseek(self._file, _BYTES, os.SEEK_SET)
            faulthandler.register(_DUMP_SIGNAL, file=self._file, all_threads=True)
            self._words[_DUMPS] = 1

    # --- the Monitor's ----------------------------------------------------------------------------

    def run(self) -> Run | None:
        """What runs; None for nothing."""
        w = self._words
        number = w[_RUN]
        found = Run(
            number,
            TaskId(w[_ID_HI] << 64 | w[_ID_LO]),
            w[_DEADLINE] / 1e6 if w[_DEADLINE] else float("inf"),
            w[_TIMEOUT] / 1e6,
        )
        return found if number & 1 and w[_RUN] == number else None  # else it was another one meanwhile

    @property
    def ended(self) -> float | None:
        """When the last run ended, by the monotonic clock; None while there was none."""
        return self._words[_ENDED] / 1e6 if self._words[_ENDED] else None

    def give_order(self, run: Run, reason: Reason, amount: float) -> None:
        """That run is to end."""
        w = self._words
        w[_REASON], w[_AMOUNT] = reason, _micro(amount)
        w[_ORDER] = run.number

    def ask_for_stack(self, pid: int) -> bool:
        """Have the worker write its stacks; False where it cannot."""
        if not self._words[_DUMPS]:
            return False
        os.kill(pid, _DUMP_SIGNAL)
        return True

    def stack(self) -> str:
        """What it wrote; empty for nothing."""
        return os.pread(self._file, _LONGEST_STACK, _BYTES).decode("utf-8", "replace")


def _received(descriptor: Any) -> Board:
    return Board(descriptor.detach())


def _micro(seconds: float) -> int:
    return min(_MASK, round(seconds * 1e6))


def _new_file() -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ipcq-board")
    else:
        descriptor, path = tempfile.mkstemp(prefix="ipcq-board-")
        os.unlink(path)
    os.ftruncate(descriptor, _BYTES)
    return descriptor
