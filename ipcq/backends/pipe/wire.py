"""Tasks, results and figures as plain values, and back. Payloads travel beside them, as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from struct import iter_unpack
from typing import Any

from ...codecs import MsgpackCodec
from ...expose import Filter, Histogram, QueueInfo, RunningWorker, Statistic, StatType
from ...result import ErrorInfo, TaskResult
from ...status import Status
from ...task import Lease, Progress, Task, TaskId
from .frames import LARGEST_BLOB, FrameError

__all__ = [
    "Encoded",
    "Passing",
    "pack_error",
    "pack_filter",
    "pack_histograms",
    "pack_id",
    "pack_ids",
    "pack_info",
    "pack_result",
    "pack_stats",
    "pack_task",
    "pack_worker",
    "unpack_error",
    "unpack_filter",
    "unpack_histograms",
    "unpack_id",
    "unpack_ids",
    "unpack_info",
    "unpack_result",
    "unpack_stats",
    "unpack_task",
    "unpack_worker",
]

_ID_BYTES = 16
_PLAIN = MsgpackCodec()  # knows buffers, too, which metadata may have

Decoding = Callable[[str], Callable[[bytes], Any]]
"""From the name of a codec to what decodes its bytes."""


class Encoded(bytes):
    """A value as its codec wrote it, which nobody on the way decodes."""

    __slots__ = ()


class Passing:
    """A codec for who only passes payloads on: a queue's own by its name, bytes on both sides."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Passing {self.name!r}>"

    def encode(self, value: Any) -> bytes:
        """What was encoded by somebody else."""
        return bytes(value)

    def decode(self, data: bytes | memoryview) -> Encoded:
        """What somebody else will decode."""
        return Encoded(data)


# --- ids ------------------------------------------------------------------------------------------


def pack_id(task_id: int) -> bytes:
    """16 bytes."""
    return int(task_id).to_bytes(_ID_BYTES, "big")


def unpack_id(data: Any) -> TaskId:
    """`FrameError` where it is no id."""
    if not isinstance(data, bytes) or len(data) != _ID_BYTES:
        raise FrameError("a task's id is 16 bytes")
    return TaskId(int.from_bytes(data, "big"))


def pack_ids(ids: Iterable[int]) -> bytes:
    """16 bytes each, one behind the other."""
    return b"".join(map(pack_id, ids))


def unpack_ids(data: Any) -> list[TaskId]:
    """`FrameError` where they are no ids."""
    if not isinstance(data, bytes) or len(data) % _ID_BYTES:
        raise FrameError("ids are 16 bytes each")
    return [TaskId(high << 64 | low) for high, low in iter_unpack(">QQ", data)]


# --- tasks ----------------------------------------------------------------------------------------

_FIELDS = (
    "queue", "attempts", "deaths", "max_attempts", "max_deaths", "priority", "run_at", "timeout",
    "keep_result", "lock_by", "lock_at", "created_at", "done_at", "codec",
)  # fmt: skip


_fields_of = attrgetter(*_FIELDS)


def pack_task(task: Task[Any], blobs: list[bytes]) -> list[Any]:
    """A task; its payload is added to ``blobs``."""
    place = None
    if task.payload is not None:
        place = len(blobs)
        blobs.append(bytes(task.payload))
    return [
        pack_id(task.id),
        int(task.status),
        place,
        list(task.lease) if task.lease is not None else None,
        _PLAIN.encode(dict(task.metadata)) if task.metadata else b"",
        task.progress,
        *_fields_of(task),
    ]


def unpack_task(row: Sequence[Any], blobs: Sequence[bytes], decoding: Decoding) -> Task[Any]:
    """The task again, whose arguments are decoded when they are first read."""
    task_id, status, place, lease, metadata, told, *others = row
    parts = dict(zip(_FIELDS, others, strict=True))
    return Task(
        unpack_id(task_id),
        status=Status(status),
        metadata=_PLAIN.decode(metadata) if metadata else {},
        lease=Lease(*lease) if lease is not None else None,
        progress=Progress(*told) if told is not None else None,
        payload=blobs[place] if place is not None else None,
        _decode=decoding(parts["codec"]),  # type: ignore[arg-type] # bytes are what it is given here
        **parts,
    )


# --- results --------------------------------------------------------------------------------------


def pack_error(error: ErrorInfo) -> list[Any]:
    """An error."""
    return [error.type, error.message, error.traceback, _PLAIN.encode(dict(error.details))]


def unpack_error(row: Sequence[Any]) -> ErrorInfo:
    """The error again."""
    kind, message, trace, told = row
    details = _PLAIN.decode(told)
    if not isinstance(details, dict):
        raise FrameError(f"the details of an error are a map, not this {type(details).__name__}")
    return ErrorInfo(kind, message, trace, details)


def pack_result(result: TaskResult[Any], codec: str, blobs: list[bytes]) -> list[Any]:
    """A result; its value is added to ``blobs``.

    Args:
        codec: the name of the one that wrote what is `Encoded`.
    """
    place, name = None, codec
    if result.status is Status.DONE and result.error is None:
        value = result.value
        if not isinstance(value, Encoded):  # of a task with another codec than its queue's
            value, name = _PLAIN.encode(value), _PLAIN.name
        if len(value) > LARGEST_BLOB:
            told = f"a result of {len(value)} bytes cannot travel: a pipe takes {LARGEST_BLOB}"
            result = TaskResult(result.task_id, result.status, None, ErrorInfo("StorageError", told))
        else:
            place = len(blobs)
            blobs.append(value)
    error = pack_error(result.error) if result.error is not None else None
    return [pack_id(result.task_id), int(result.status), place, name, error]


def unpack_result(row: Sequence[Any], blobs: Sequence[bytes], decoding: Decoding) -> TaskResult[Any]:
    """The result again; a value that cannot be decoded is an error of it."""
    task_id, status, place, codec, error = row
    value, info = None, unpack_error(error) if error is not None else None
    if place is not None:
        try:
            value = decoding(codec)(blobs[place])
        except Exception as wrong:  # the codec's own errors
            info = ErrorInfo.from_exception(wrong)
    return TaskResult(unpack_id(task_id), Status(status), value, info)


# --- what is seen ---------------------------------------------------------------------------------


def pack_filter(wanted: Filter | None) -> list[Any] | None:
    """A filter."""
    if wanted is None:
        return None
    status = int(wanted.status) if wanted.status is not None else None
    return [status, wanted.page, wanted.page_size, wanted.worker]


def unpack_filter(row: Sequence[Any] | None) -> Filter | None:
    """The filter again."""
    if row is None:
        return None
    status, page, size, worker = row
    return Filter(Status(status) if status is not None else None, page, size, worker)


def pack_stats(stats: Iterable[Statistic]) -> list[Any]:
    """Figures."""
    return [[each.title, each.stat_type.value, each.value, each.priority] for each in stats]


def unpack_stats(rows: Iterable[Sequence[Any]]) -> list[Statistic]:
    """The figures again."""
    return [Statistic(title, StatType(kind), value, priority) for title, kind, value, priority in rows]


def pack_histograms(found: Mapping[str, Histogram]) -> list[Any]:
    """Durations by classes."""
    return [[title, [list(each) for each in one.buckets], one.sum] for title, one in found.items()]


def unpack_histograms(rows: Iterable[Sequence[Any]]) -> dict[str, Histogram]:
    """The same again."""
    return {
        title: Histogram(tuple((bound, count) for bound, count in buckets), total)
        for title, buckets, total in rows
    }


def pack_info(info: QueueInfo) -> list[Any]:
    """A queue as a board shows it."""
    return [info.name, pack_stats(info.stats), list(info.workers), list(info.activity)]


def unpack_info(row: Sequence[Any]) -> QueueInfo:
    """The same again."""
    name, stats, workers, activity = row
    return QueueInfo(name, tuple(unpack_stats(stats)), tuple(workers), tuple(activity))


_WORKER = (
    "id", "queue", "backend", "pid", "host", "started_at", "last_heartbeat", "layers", "state", "running",
    "alive", "rss",
)  # fmt: skip


def pack_worker(worker: RunningWorker) -> list[Any]:
    """A worker that a queue knows."""
    return [getattr(worker, name) for name in _WORKER]


def unpack_worker(row: Sequence[Any]) -> RunningWorker:
    """The same again."""
    parts = dict(zip(_WORKER, row, strict=True))
    return RunningWorker(**{**parts, "layers": tuple(parts["layers"])})
