"""A task as its record holds it: a line of JSON that says all about it but a large payload or result.

Moments are whole microseconds since 1970, durations microseconds. What has its usual value is left out::

    {"v":1,"id":"0193...","created":1764043212123456,"run_at":1764043212123456,"from":81,
     "codec":"json","payload":"[1,2]","status":2,"epoch":1,"owner":["w",7,4711],"locked":...,"started":...}

========== ============================================================================================
field      meaning
========== ============================================================================================
v          version of this format
id         the task's id
created    when it was accepted
run_at     not before this moment
status     the number of its `Status`; 0, PENDING, where there is none
seq        its place in the order: twice the version of the write that accepted it, or one more for one that
           joined later than that write; 0 where it is this very write
delayed    it was not due yet when this was written
priority, max_attempts, max_deaths, attempts, deaths, timeout, keep, metadata    as in `Task`
codec      name of the codec of the payload
payload    its bytes: text, ``{"base64": ...}``, or a number, its size, where it is in a record of its own
from       the handle that pushed it
epoch      how often it was handed out
owner      who has it: worker's id, its number, its process
locked     when that one got it
started    when its last run was started
due        since when it could have been
done       when it ended
done_seq   version of the write by which it ended; 0 where it is this very write
fetched    its result was given to somebody who waited for it
progress   how far its run is, ``[done, total]``, of a RUNNING task that told it
result     as payload, of a DONE task; with ``result_codec``
error      of a FAILED or KILLED task: type, message, traceback and details
========== ============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...errors import CorruptQueue
from ...result import ErrorInfo
from ...status import Status
from ...task import Progress, TaskId
from .plain import as_json, bytes_of, error_of, from_json, of_bytes, of_error, of_values, values_of

__all__ = ["LARGE", "Body", "Owner", "TaskRecord", "dump_task", "load_task"]

LARGE = 4096  # bytes from which on a payload or result has a record of its own: each move copies the others
_FORMAT = 1


class Body(NamedTuple):
    """A payload or a result.

    Attributes:
        size: in bytes.
        data: the bytes; None where they are in a record of their own.
    """

    size: int
    data: bytes | None

    @classmethod
    def of(cls, data: bytes) -> Body:
        """In the task's record if it is small."""
        return cls(len(data), data if len(data) < LARGE else None)


class Owner(NamedTuple):
    """Who has a task.

    Attributes:
        worker: its id.
        number: what tells it from all who had or will have this id.
        pid: its process.
    """

    worker: str
    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as it is stored; the fields are in the module's table."""

    id: TaskId
    created: int
    run_at: int
    codec: str
    payload: Body | None
    sender: int = 0
    status: Status = Status.PENDING
    seq: int = 0
    delayed: bool = False
    priority: int = 0
    max_attempts: int = 1
    max_deaths: int = 2
    attempts: int = 0
    deaths: int = 0
    timeout: int = 0
    keep: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    owner: Owner | None = None
    locked: int = 0
    started: int = 0
    due: int = 0
    done: int = 0
    done_seq: int = 0
    fetched: bool = False
    progress: Progress | None = None
    result: Body | None = None
    result_codec: str = ""
    error: ErrorInfo | None = None


_NUMBERS = (  # with what is left out
    ("seq", 0), ("priority", 0), ("max_attempts", 1), ("max_deaths", 2), ("attempts", 0), ("deaths", 0),
    ("timeout", 0), ("epoch", 0), ("locked", 0), ("started", 0), ("due", 0), ("done", 0), ("done_seq", 0),
)  # fmt: skip
_NAMES = frozenset(name for name, _ in _NUMBERS)


def dump_task(task: TaskRecord) -> bytes:
    """The bytes of a record."""
    fields: dict[str, Any] = {
        "v": _FORMAT, "id": str(task.id), "created": task.created, "run_at": task.run_at, "from": task.sender,
        "codec": task.codec,
    }  # fmt: skip
    if task.payload is not None:
        fields["payload"] = _of_body(task.payload)
    if task.status:
        fields["status"] = int(task.status)
    for name, usual in _NUMBERS:
        value = getattr(task, name)
        if value != usual:
            fields[name] = value
    _add_flags(fields, task)
    _add_outcome(fields, task)
    return as_json(fields)


def _add_flags(fields: dict[str, Any], task: TaskRecord) -> None:
    if task.delayed:
        fields["delayed"] = True
    if not task.keep:
        fields["keep"] = False
    if task.metadata:
        fields["metadata"] = of_values(task.metadata)
    if task.owner is not None:
        fields["owner"] = list(task.owner)
    if task.progress is not None:
        fields["progress"] = list(task.progress)


def _add_outcome(fields: dict[str, Any], task: TaskRecord) -> None:
    if task.fetched:
        fields["fetched"] = True
    if task.result is not None:
        fields["result"], fields["result_codec"] = _of_body(task.result), task.result_codec
    if task.error is not None:
        fields["error"] = of_error(task.error)


def load_task(data: bytes) -> TaskRecord:
    """The record in these bytes.

    Raises:
        CorruptQueue: they are none.
    """
    try:
        return _load(from_json(data))
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptQueue(f"not the record of a task ({error}): {data[:80]!r}") from error


def _load(fields: dict[str, Any]) -> TaskRecord:
    if fields["v"] != _FORMAT:
        raise ValueError(f"its format is {fields['v']!r}, not {_FORMAT}")
    owner, error, told = fields.get("owner"), fields.get("error"), fields.get("progress")
    return TaskRecord(
        TaskId.parse(fields["id"]),
        fields["created"],
        fields["run_at"],
        fields["codec"],
        _body_of(fields.get("payload")),
        fields["from"],
        Status(fields.get("status", 0)),
        **{name: fields[name] for name in _NAMES & fields.keys()},
        delayed=fields.get("delayed", False),
        keep=fields.get("keep", True),
        metadata=values_of(fields.get("metadata", {})),
        owner=Owner(*owner) if owner else None,
        fetched=fields.get("fetched", False),
        progress=Progress.of(*told) if told else None,
        result=_body_of(fields.get("result")),
        result_codec=fields.get("result_codec", ""),
        error=error_of(error) if error else None,
    )


def _of_body(body: Body) -> Any:
    return body.size if body.data is None else of_bytes(body.data)


def _body_of(value: Any) -> Body | None:
    if value is None:
        return None
    if isinstance(value, int):
        return Body(value, None)
    data = bytes_of(value)
    return Body(len(data), data)
