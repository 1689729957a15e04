"""The loggers of the receiving process, and what they are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from .messages import Output

__all__ = ["Losses", "level_of", "log_here", "log_output"]

log = logging.getLogger("ipcq.logs")

_PACE = 1.0  # seconds between two warnings
_LOST = "%d messages of worker %r were dropped: this process took in what came before too slowly"
_MOST = 1 << 31


def level_of(level: int | str) -> int:
    """A level, by its number or its name; ValueError for anything else."""
    number = logging.getLevelName(level) if isinstance(level, str) else level
    if not isinstance(number, int) or not 0 <= number < _MOST:
        raise ValueError(f"level is one of logging's, as logging.INFO or 'INFO'; not {level!r}")
    return int(number)


def log_here(record: logging.LogRecord) -> None:
    """Log it as if it had been here."""
    logger = logging.getLogger(record.name)
    if record.levelno > logger.manager.disable and _passes(logger, record.levelno):
        logger.handle(record)


def _passes(logger: logging.Logger, level: int) -> bool:
    """Whether no logger on its way was given a higher level; in the place of the root's is ``level=``."""
    while logger.parent is not None:
        if logger.level:
            return level >= logger.level
        logger = logger.parent
    return True


def log_output(output: Output) -> None:
    """Log a line that a task printed."""
    text = output.text.rstrip("\r\n")
    fields = {"name": f"ipcq.{output.stream}", "levelno": logging.INFO, "levelname": "INFO", "msg": text}
    origin = {"task_id": output.task_id, "worker": output.worker, "queue": output.queue}
    log_here(logging.makeLogRecord({**fields, **origin}))


class Losses:
    """Warns of what workers had to leave out: at once, and from then on once a second.

    In a flood messages are left out all the time, a few here and a few there.

    Args:
        clock: seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock()
        self._untold: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Losses: {sum(self._untold.values())} not told>"

    def add(self, worker: str, number: int) -> None:
        """So many more; told if it is time to."""
        self._untold[worker] = self._untold.get(worker, 0) + number
        self.look()

    def left(self, timeout: float | None) -> float | None:
        """Seconds until something is to be told; ``timeout``, None for ever, where that is sooner."""
        if not self._untold:
            return timeout
        left = max(0.0, self._next - self._clock())
        return left if timeout is None else min(left, timeout)

    def look(self) -> None:
        """Tell what there is, if it is time to."""
        if self._untold and self._clock() >= self._next:
            self.tell()

    def tell(self) -> None:
        """Tell what there is now."""
        untold, self._untold = self._untold, {}
        self._next = self._clock() + _PACE
        for worker, number in untold.items():
            log.warning(_LOST, number, worker)
