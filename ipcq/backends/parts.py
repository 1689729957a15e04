"""The parts that a push may have, checked: the same bounds whatever the backend."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..codecs import MsgpackCodec
from ..errors import CodecError, PushError
from ..status import Status
from ..task import Task, TaskId

__all__ = [
    "DEFAULTS",
    "HIGHEST_PRIORITY",
    "LARGEST_METADATA",
    "LONGEST_DELAY",
    "LOWEST_PRIORITY",
    "MAX_ATTEMPTS",
    "MAX_DEATHS",
    "Parts",
    "Terms",
    "bulk_parts",
    "ids_for",
    "chunks",
    "delay_of",
    "microseconds",
    "moment",
    "moment_of",
    "parts_of",
    "read_parts",
    "refuse",
]

LOWEST_PRIORITY, HIGHEST_PRIORITY = -7, 8
MAX_ATTEMPTS = 16_383
MAX_DEATHS = 255
LARGEST_METADATA = 1 << 20  # bytes of msgpack
LONGEST_DELAY = 1e10  # seconds

_PLAIN = MsgpackCodec()


def microseconds() -> int:
    """This moment, in microseconds since 1970."""
    return time.time_ns() // 1000


class Terms(NamedTuple):
    """How long a push may wait: until this moment of `time.monotonic`; None for ever, 0.0 not at all."""

    until: float | None

    @classmethod
    def of(cls, timeout: float | None, block: bool) -> Terms:
        """From the arguments of a push."""
        if not block:
            return cls(0.0)
        return cls(None if timeout is None else time.monotonic() + timeout)


class Parts(NamedTuple):
    """What a push says of its task besides the arguments; moments and durations in microseconds.

    Attributes:
        id: None for a new one.
        timeout: 0 for none.
        metadata: as it will arrive: tuples are lists then.
        encoded: the metadata as bytes; none where there is none.
    """

    id: TaskId | None
    run_at: int
    priority: int
    max_attempts: int
    max_deaths: int
    timeout: int
    keep: bool
    metadata: Mapping[str, Any]
    encoded: bytes


def read_parts(
    *,
    id: TaskId | str | None = None,
    priority: int = 0,
    run_at: float = 0.0,
    max_attempts: int = 1,
    max_deaths: int = 2,
    metadata: Any = None,
    keep_result: bool = True,
    run_timeout: float | None = None,
    **others: object,
) -> Parts:
    """Check the parts that a push was given.

    Raises:
        TypeError: there is no such part.
        ValueError: one is out of bounds.
        CodecError: the metadata is no plain mapping.
    """
    for name in others:
        raise TypeError(
            f"{name!r} is no part of a task; there are id, priority, run_at, max_attempts, max_deaths,"
            " run_timeout, metadata, keep_result"
        )
    _check("max_attempts", max_attempts, 1, MAX_ATTEMPTS)
    _check("max_deaths", max_deaths, 0, MAX_DEATHS)
    _check("priority", priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
    encoded = _PLAIN.encode(dict(metadata)) if metadata else b""
    if len(encoded) > LARGEST_METADATA:
        raise CodecError(f"metadata of {len(encoded)} bytes is over the limit of {LARGEST_METADATA}")
    return Parts(
        TaskId.parse(id) if id is not None else None,
        moment(run_at),
        priority,
        max_attempts,
        max_deaths,
        _duration(run_timeout),
        bool(keep_result),
        _PLAIN.decode(encoded) if encoded else {},
        encoded,
    )


def bulk_parts(parts: Mapping[str, Any]) -> Parts:
    """The parts of a bulk, which are the same for all its tasks: an id cannot be."""
    if "id" in parts:
        raise TypeError("tasks of one bulk cannot share an id; use push_all with Task.of(args, id=...)")
    return read_parts(**parts) if parts else DEFAULTS


def ids_for(count: int, ids: Sequence[TaskId] | None) -> Sequence[TaskId]:
    """The ids of so many tasks: those that were given, or new ones."""
    if ids is not None and len(ids) != count:
        raise ValueError(f"{count} tasks cannot have {len(ids)} ids: each has one")
    return ids if ids is not None else TaskId.many(count)


def parts_of(task: Task[Any]) -> Parts:
    """The parts that a task says itself; errors as `read_parts`."""
    return read_parts(
        id=task.id,
        priority=task.priority,
        run_at=task.run_at,
        max_attempts=task.max_attempts,
        max_deaths=task.max_deaths,
        metadata=task.metadata,
        keep_result=task.keep_result,
        run_timeout=task.timeout,
    )


def refuse(status: Status, attempts: int) -> None:
    """Raise `PushError` for a task that claims a life it has not had."""
    if status is not Status.PENDING or attempts:
        raise PushError(
            f"a task can be pushed as PENDING without attempts only, not as {status.name} with {attempts};"
            " push Task.of(args, ...), or use reschedule for a task that is in the queue"
        )


def _duration(run_timeout: float | None) -> int:
    """The limit of a run in microseconds, 0 for none; ValueError where it is out of bounds."""
    if run_timeout is not None and not 0 < run_timeout < 1e9:
        raise ValueError(f"run_timeout must be seconds above 0, or None for no limit; not {run_timeout!r}")
    return max(1, round(run_timeout * 1e6)) if run_timeout else 0  # however short, it is one


def moment(run_at: float) -> int:
    """Unix seconds as microseconds, to the millisecond; 0 for at once."""
    if not 0 <= run_at < 1e11:
        raise ValueError(f"run_at must be Unix seconds, or 0 for at once; not {run_at!r}")
    return round(run_at * 1000) * 1000


def moment_of(wait: float | timedelta | datetime) -> int:
    """The moment that is so far from now, or a datetime's, in microseconds; what is over counts as now.

    Raises:
        ValueError: it is no number, or out of bounds.
    """
    now = microseconds()
    if isinstance(wait, datetime):
        seconds = wait.timestamp()
    else:
        seconds = now / 1e6 + (wait.total_seconds() if isinstance(wait, timedelta) else wait)
    if seconds <= now / 1e6:
        return now  # not rounded: a part of a millisecond later is not due
    return moment(seconds)


def delay_of(retry_in: float) -> int:
    """So many seconds from now, in microseconds; what is over counts as now.

    Raises:
        ValueError: it is no number, or out of bounds.
    """
    if not retry_in < LONGEST_DELAY:
        raise ValueError(f"retry_in must be seconds, fewer than {LONGEST_DELAY:.0e}; not {retry_in!r}")
    return max(0, round(retry_in * 1e6))


def _check(name: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")


DEFAULTS = read_parts()


def chunks(source: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """Lists of up to ``size`` items."""
    batch: list[Any] = []
    for item in source:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
