"""What is sent: a task, its id, and the name of the queue it is in."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import urandom
from time import time_ns
from typing import Any, Generic, NamedTuple, TypeVar

from .errors import CodecError
from .status import Status

__all__ = ["Attempt", "Lease", "Progress", "Queue", "Task", "TaskId"]

A = TypeVar("A")
T = TypeVar("T")

_QUEUE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")
_VERSION_7 = 0x7000_8000_0000_0000_0000  # version and variant bits of RFC 9562
_RANDOM = 0x3FFF_FFFF_7FFF_FFFF  # one bit is 0, so that counting on never reaches the version
_MOST_PROGRESS = 1e38  # what 32 bits hold


class Queue(str):
    """The name of a queue: 1 to 128 of ``A-Z a-z 0-9 . _ -``, not starting with a dot.

    Raises:
        ValueError: anything else.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Queue:
        """Check the name."""
        if not isinstance(name, str) or not _QUEUE.match(name):
            raise ValueError(
                f"{name!r} is not a queue name: use 1 to 128 of A-Z a-z 0-9 . _ - and no dot in front"
            )
        return super().__new__(cls, name)


class TaskId(int):
    """128 bits, ordered by time, unique across processes and forks: a UUID of version 7.

    As text it is the 36 characters of a UUID. Nothing is kept between two ids (time in steps of
    244 ns and 62 fresh random bits, RFC 9562 section 6.2 method 3), so a fork cannot repeat one.
    """

    __slots__ = ()

    @classmethod
    def new(cls) -> TaskId:
        """Make an id of this moment."""
        return cls.many(1)[0]

    @classmethod
    def many(cls, count: int) -> list[TaskId]:
        """Make ids of this moment, each one greater than the one before.

        Time and chance are drawn once, the others count on from there (RFC 9562 section 6.2
        method 2).
        """
        millis, nanos = divmod(time_ns(), 1_000_000)
        first = (
            millis << 80
            | _VERSION_7
            | (nanos * 4096 // 1_000_000) << 64
            | int.from_bytes(urandom(8), "little") & _RANDOM
        )
        return [cls(first + n) for n in range(count)]

    @classmethod
    def parse(cls, text: str | int | uuid.UUID) -> TaskId:
        """Read an id from its text, from a ``uuid.UUID`` or from its 128-bit number.

        Raises:
            ValueError: it is none of these.
        """
        if isinstance(text, uuid.UUID):
            return cls(text.int)
        if isinstance(text, int) and not isinstance(text, bool) and 0 < text < 1 << 128:
            return cls(text)
        if isinstance(text, str) and len(text) == 36:
            try:
                return cls(uuid.UUID(text).int)
            except ValueError:
                pass
        raise ValueError(f"{text!r} is not a task id: expected 36 characters such as {cls.new()}")

    @property
    def timestamp(self) -> float:
        """When the id was made, in Unix seconds."""
        return (self >> 80) / 1000

    def __str__(self) -> str:
        text = f"{int(self):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def __repr__(self) -> str:
        return f"TaskId('{self}')"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> tuple[type[TaskId], tuple[int]]:
        return TaskId, (int(self),)


class Attempt(int):
    """Which run of its task this is, from 1; for the annotation of a handler's parameter."""

    __slots__ = ()


class Lease(NamedTuple):
    """The right of one worker to finish one run of a task; void once the task was taken away.

    Attributes:
        slot: the task's place in its backend.
        generation: how often that place was given to a task.
        epoch: how often tasks in that place were handed out.
        owner: the worker's row in the backend.
    """

    slot: int
    generation: int
    epoch: int
    owner: int


class Progress(NamedTuple):
    """How far a run is; seven digits of each number are kept.

    Attributes:
        done: how much of it, in any unit.
        total: how much there is in all, as far as is known; None where nobody knows.
    """

    done: float
    total: float | None = None

    @classmethod
    def of(cls, done: float, total: float | None = None) -> Progress:
        """Check the numbers. More may be done than ``total``, which is often an estimate.

        Raises:
            ValueError: one is negative, not finite, or over 1e38.
        """
        return cls(_checked("done", done), None if total is None else _checked("total", total))

    @property
    def fraction(self) -> float | None:
        """From 0.0 to 1.0; None where nobody knows the total."""
        if self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total else 1.0

    def __str__(self) -> str:
        """``3/10``, or ``3``."""
        return f"{self.done:.7g}" if self.total is None else f"{self.done:.7g}/{self.total:.7g}"


def _checked(name: str, value: float) -> float:
    if not 0 <= value <= _MOST_PROGRESS:  # what is not a number is in no order
        raise ValueError(f"progress: {name} must be a number from 0 to {_MOST_PROGRESS:g}, not {value!r}")
    return float(value)


@dataclass(slots=True, eq=False, repr=False)
class Task(Generic[T]):
    """Arguments and the parts that say how and when to run them.

    Times are Unix seconds, durations seconds; ``run_at`` is kept to the millisecond. `args` is
    decoded when first read, so that a task with a damaged payload can still be listed.

    Attributes:
        id: unique; made by push where not given.
        queue: the queue it is in; empty before it is pushed.
        status: see `Status`.
        attempts: runs that ended.
        deaths: runs that ended because the worker's process died.
        max_attempts: how many runs it may have in all, 1 to 16383.
        max_deaths: how many deaths it survives, 0 to 255.
        priority: -7 to 8, higher first.
        run_at: not before this moment; 0 for at once.
        timeout: limit of one run in seconds; None for none.
        metadata: plain values that travel with the task; gone, maybe, with its arguments once it is DONE.
        keep_result: False gives its place back as soon as it is DONE.
        lock_by: id of the worker that has it, or None.
        lock_at: when that worker got it.
        created_at: when it was accepted.
        done_at: when it came to a terminal status.
        codec: name of the codec of its payload.
        progress: how far its present run is, as it was when this was read; None where it does not run, or
            has told nothing.
    """

    id: TaskId
    queue: str = ""
    status: Status = Status.PENDING
    attempts: int = 0
    deaths: int = 0
    max_attempts: int = 1
    max_deaths: int = 2
    priority: int = 0
    run_at: float = 0.0
    timeout: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    keep_result: bool = True
    lock_by: str | None = None
    lock_at: float | None = None
    created_at: float = 0.0
    done_at: float | None = None
    codec: str = ""
    payload: bytes | memoryview | None = None
    lease: Lease | None = None
    _decode: Callable[[bytes | memoryview], Any] | None = None
    _args: Any = None
    progress: Progress | None = None

    def __repr__(self) -> str:
        owner = f", held by {self.lock_by!r}" if self.lock_by is not None else ""
        return (
            f"<Task {self.id} in {self.queue!r} [{self.status.name}, {self.attempts} of {self.max_attempts}"
            f" attempts, {self.deaths} deaths{owner}]>"
        )

    @classmethod
    def of(cls, args: A, **parts: Any) -> Task[A]:
        """Make a task to be pushed with `TaskSink.push_task`; ``parts`` as the attributes."""
        if "id" not in parts:
            parts["id"] = TaskId.new()
        return Task(**parts, _args=args)

    @property
    def args(self) -> T:
        """What was pushed.

        Raises:
            CodecError: the payload cannot be decoded.
        """
        if self._decode is not None:
            if self.payload is None:
                raise CodecError(f"the payload of task {self.id} was not read")
            self._args = self._decode(self.payload)
            self._decode = None
        return self._args  # type: ignore[no-any-return]

    @args.setter
    def args(self, args: T) -> None:
        """Other arguments, for `Update`; the payload that was read is the task's no more."""
        self._args = args
        self._decode = self.payload = None
