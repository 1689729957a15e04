"""What went wrong in another process, as plain values that any process can read."""

from __future__ import annotations

import traceback as _traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import MemoryExceeded, TaskTimeout

__all__ = ["ErrorInfo", "RemoteTraceback"]

_LONGEST_MESSAGE = 4096  # characters; a repr of a huge array must not fill the queue
_LONGEST_TRACEBACK = 16384  # characters, the end of it: the innermost frames tell most


_LIMITS = {f"{each.__module__}.{each.__name__}": each for each in (TaskTimeout, MemoryExceeded)}


class RemoteTraceback(Exception):
    """The error of another process as text; shown as the cause of `TaskFailed`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as plain values; survives even where the exception's class cannot be rebuilt.

    Attributes:
        type: the exception's class name, with its module unless that is ``builtins``.
        message: ``str(exception)``, at most 4096 characters.
        traceback: the formatted remote traceback, at most its last 16384 characters.
        details: more facts as plain values; for a dead worker ``pid``, ``signal``,
            ``exitcode``, ``worker`` and ``rss`` (bytes).
    """

    type: str
    message: str
    traceback: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_exception(cls, error: BaseException) -> ErrorInfo:
        """Describe ``error``; never raises, whatever its ``__str__`` does."""
        kind = type(error)
        name = kind.__qualname__
        if kind.__module__ != "builtins":
            name = f"{kind.__module__}.{name}"
        try:
            message = str(error)
        except BaseException as broken:  # whatever it is, who describes it is not to end by it
            message = f"<its __str__ raised {type(broken).__name__}>"
        try:
            trace = "".join(_traceback.format_exception(kind, error, error.__traceback__))
        except BaseException:
            trace = ""
        return cls(name, message[:_LONGEST_MESSAGE], trace[-_LONGEST_TRACEBACK:])

    def cause(self) -> BaseException:
        """The exception to show as the cause.

        `WorkerDied`, `TaskTimeout` or `MemoryExceeded`; of others the remote traceback as text.
        """
        if self.type == "WorkerDied":
            from ..worker_died import WorkerDied  # its base class would be most of `import ipcq`

            return WorkerDied(self.message, **self.details)
        limit = _LIMITS.get(self.type)
        if limit is not None:
            error = limit(self.message)
            error.__cause__ = RemoteTraceback(self.traceback) if self.traceback else None
            return error
        return RemoteTraceback(self.traceback or f"{self.type}: {self.message}")

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type
