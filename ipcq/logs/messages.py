"""What travels: one message for each log record, each piece of output, and how many there was no room for.

Plain values by msgpack, never pickle: whoever can reach the socket can write to it. A message has a size that
one ``send`` moves whole, so that a worker killed in the middle leaves nothing torn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgpack

from ..task import TaskId

__all__ = [
    "LONGEST_OUTPUT",
    "MOST",
    "Dropped",
    "Malformed",
    "Message",
    "Origin",
    "Output",
    "dump_dropped",
    "dump_output",
    "dump_record",
    "load",
]

MOST = 1 << 16
"""Bytes of one message."""
LONGEST_OUTPUT = 8192
"""Characters of one piece of output."""
_LONGEST = 12_000  # characters of a message, and of a traceback; twice as many go on the whole
_SHORT = 2_500  # where the whole is too large all the same: characters may have four bytes
_LONGEST_NAME = 256
_MOST_EXTRA = 32  # attributes of a record that are the program's own
_LONGEST_EXTRA = 2048  # characters or bytes of one
_DEEPEST = 4  # levels of lists and dicts in one

_LATEST = 1e11  # Unix seconds that a formatter has a date for

_RECORD, _OUTPUT, _DROPPED = 0, 1, 2
_STREAMS = ("stdout", "stderr")

_TEXT, _NAME, _INTEGER, _MOMENT = 0, 1, 2, 3
_FIELDS = {
    "msg": _TEXT,
    "exc_text": _TEXT,
    "stack_info": _TEXT,
    "name": _NAME,
    "levelname": _NAME,
    "pathname": _NAME,
    "filename": _NAME,
    "module": _NAME,
    "funcName": _NAME,
    "processName": _NAME,
    "threadName": _NAME,
    "taskName": _NAME,
    "levelno": _INTEGER,
    "lineno": _INTEGER,
    "process": _INTEGER,
    "thread": _INTEGER,
    "created": _MOMENT,
}
_TYPES: dict[int, tuple[type, ...]] = {_TEXT: (str,), _NAME: (str,), _INTEGER: (int,), _MOMENT: (float, int)}
_NEEDED = {"msg", "name", "levelname", "levelno", "created"}
_OWN = {"task_id", "worker", "queue"}
_STANDARD = {*logging.makeLogRecord({}).__dict__, *_FIELDS, *_OWN, "message", "asctime"}
_FORMATTER = logging.Formatter()


class Malformed(ValueError):
    """Bytes that are no message."""


class Origin(NamedTuple):
    """Which run it comes from."""

    task_id: TaskId
    worker: str
    queue: str


class Output(NamedTuple):
    """A line that a task printed.

    Attributes:
        text: with its newline, if it had one: the last line of a run may have none, and very long ones come
            in pieces.
        stream: ``stdout`` or ``stderr``.
    """

    task_id: TaskId
    worker: str
    queue: str
    stream: str
    text: str


class Dropped(NamedTuple):
    """How many messages of that worker there was no room for."""

    origin: Origin
    number: int


Message: TypeAlias = "logging.LogRecord | Output | Dropped"


# --- into bytes -----------------------------------------------------------------------------------


def dump_record(origin: Origin, record: logging.LogRecord) -> bytes:
    """The message of a record; what its arguments raise when it is formatted is raised."""
    fields, extra = _fields(record), _extra(record.__dict__)
    for longest, more in ((_LONGEST, extra), (_LONGEST, {}), (_SHORT, {})):
        cut = {name: _cut(name, value, longest) for name, value in fields.items()}
        data = _dump(_RECORD, origin, cut, more)
        if len(data) <= MOST:
            break
    return data


def dump_output(origin: Origin, stream: str, text: str) -> bytes:
    """The message of up to `LONGEST_OUTPUT` characters."""
    return _dump(_OUTPUT, origin, stream, text)


def dump_dropped(origin: Origin, count: int) -> bytes:
    """The message of what was left out."""
    return _dump(_DROPPED, origin, count)


def _dump(kind: int, origin: Origin, *body: object) -> bytes:
    names = origin.worker[:_LONGEST_NAME], origin.queue[:_LONGEST_NAME]
    head = kind, int(origin.task_id).to_bytes(16, "big"), *names
    packed: bytes = msgpack.packb([*head, *body], unicode_errors="surrogatepass")
    return packed


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Those that a record is made of again, formatted here: arguments and tracebacks stay."""
    found = record.__dict__
    fields = {name: found[name] for name, kind in _FIELDS.items() if type(found.get(name)) in _TYPES[kind]}
    fields |= {"msg": str(record.getMessage()), "name": str(record.name), "levelname": str(record.levelname)}
    fields |= {"levelno": int(record.levelno), "created": float(record.created)}
    if record.exc_info and not record.exc_text:
        # Not by a formatter of a handler, which would leave its form in the record for all the others.
        fields["exc_text"] = _FORMATTER.formatException(record.exc_info)
    return {name: value for name, value in fields.items() if _is_integer(value) or type(value) is not int}


def _is_integer(value: object) -> bool:
    return type(value) is int and -(1 << 63) <= value < 1 << 64


def _cut(name: str, value: Any, longest: int) -> Any:
    """A text at its length: the beginning and the end, where a traceback says most."""
    if type(value) is not str:
        return value
    most = longest if _FIELDS[name] == _TEXT else _LONGEST_NAME
    if len(value) <= most:
        return value
    left = len(value) - most
    return f"{value[: most // 2]}[... {left} characters left out ...]{value[-(most // 2) :]}"


def _extra(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What ``extra=`` brought, as far as it has a form."""
    names = [n for n in attributes if n not in _STANDARD and type(n) is str and len(n) <= _LONGEST_NAME]
    found = {}
    for name in names[:_MOST_EXTRA]:
        try:
            found[name] = _plain(attributes[name], _DEEPEST)
        except TypeError:
            continue
    return found


def _plain(value: Any, deepest: int) -> Any:
    """A copy of plain values; TypeError for anything else, and for what is too large."""
    kind = type(value)
    if value is None or kind is bool or kind is float or _is_integer(value):
        return value
    if kind in (str, bytes) and len(value) <= _LONGEST_EXTRA:
        return value
    if deepest and kind in (list, tuple) and len(value) <= _MOST_EXTRA:
        return [_plain(each, deepest - 1) for each in value]
    if deepest and kind is dict and len(value) <= _MOST_EXTRA and all(type(key) is str for key in value):
        return {_plain(key, 0): _plain(each, deepest - 1) for key, each in value.items()}
    raise TypeError(f"{kind} does not travel")


# --- out of bytes ---------------------------------------------------------------------------------


def load(data: bytes) -> Message:
    """Read a message.

    A record has attributes ``task_id``, ``worker`` and ``queue`` beside its own.

    Raises:
        Malformed: it is none.
    """
    if len(data) > MOST:
        raise Malformed("it is too long")
    try:
        kind, task_id, worker, queue, *body = msgpack.unpackb(data, unicode_errors="surrogatepass")
        origin = Origin(TaskId.parse(int.from_bytes(task_id, "big")), worker, queue)
        if type(worker) is not str or type(queue) is not str or len(task_id) != 16:
            raise Malformed("nobody is named")
        return _LOADERS[kind](origin, *body)
    except Malformed:
        raise
    except Exception as error:  # msgpack's own, and of whatever else was there
        raise Malformed(f"{type(error).__name__}: {error}") from error


def _load_record(origin: Origin, fields: dict[str, Any], extra: dict[str, Any]) -> logging.LogRecord:
    wrong = [name for name, value in fields.items() if type(value) not in _TYPES[_FIELDS[name]]]
    if wrong or not fields.keys() >= _NEEDED:
        raise Malformed(f"a record without a proper {', '.join([*wrong, *(_NEEDED - fields.keys())])}")
    if not 0 <= fields["created"] < _LATEST:
        raise Malformed("a record of no time")
    own = {name: value for name, value in extra.items() if name not in _STANDARD}
    missing = {"exc_text": None, "stack_info": None, "funcName": None}
    record = logging.makeLogRecord({**own, **missing, **fields, **origin._asdict()})
    record.msecs = int(record.created % 1 * 1000)
    record.relativeCreated = (record.created - logging._startTime) * 1000  # type: ignore[attr-defined]
    return record


def _load_output(origin: Origin, stream: str, text: str) -> Output:
    if stream not in _STREAMS or type(text) is not str:
        raise Malformed("output of nothing")
    return Output(*origin, stream, text)


def _load_dropped(origin: Origin, count: int) -> Dropped:
    if not _is_integer(count) or count < 0:
        raise Malformed("no number")
    return Dropped(origin, count)


_LOADERS: dict[int, Callable[..., Message]] = {
    _RECORD: _load_record,
    _OUTPUT: _load_output,
    _DROPPED: _load_dropped,
}
