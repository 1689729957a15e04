"""What each verb is asked with: its fields, what each may be, and how many payloads come with it.

The server looks at a request by this table before it does anything; a verb that is not in it cannot be asked
for. What is right in kind and wrong by the queue (a task that is not there, a name that is taken) is the
backend's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, isnan
from typing import Any, NamedTuple

from ...backend import WorkerRequest
from ...expose import LARGEST_PAGE
from ...status import Status
from ..parts import (
    HIGHEST_PRIORITY,
    LARGEST_METADATA,
    LONGEST_DELAY,
    LOWEST_PRIORITY,
    MAX_ATTEMPTS,
    MAX_DEATHS,
)
from .frames import LARGEST_HEAD, MOST_BLOBS, FrameError, Request, Verb

__all__ = ["ASKED", "Asked", "Kind", "check_request", "is_repeatable"]

_WORD = (1 << 64) - 1  # the largest number that travels
_LARGEST_PID = (1 << 31) - 1
_LATEST = 1e11  # Unix seconds, and as a delay
_LONGEST_RUN = 1e9  # seconds
_LONGEST_ASK = 3600.0  # seconds: the server keeps a request for less, whatever is asked
_LAST_PAGE = 1 << 40
_LARGEST_TOKEN = 32  # bytes
_MOST_EXITS = 1 << 14
_MOST_LAYERS = 1 << 10
_MOST_TOLD = 1 << 15
_MOST_PERMITS = _LARGEST_LIMIT = 100_000


class Kind(NamedTuple):
    """What a field may be.

    Attributes:
        told: in words, for who sent something else.
        fits: whether a value, as msgpack gave it, is one.
    """

    told: str
    fits: Callable[[Any], bool]


class Asked(NamedTuple):
    """What a verb is asked with.

    Attributes:
        fields: the body, in this order.
        payloads: the fewest and the most that come with it.
        repeatable: it changes nothing: its answer is not kept, and where that was lost it is done once more.
    """

    fields: Mapping[str, Kind] = {}
    payloads: tuple[int, int] = (0, 0)
    repeatable: bool = False


# --- kinds ----------------------------------------------------------------------------------------


def _whole(least: int, most: int) -> Kind:
    return Kind(
        f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most
    )


def _seconds(least: float, most: float) -> Kind:
    return Kind(
        f"seconds from {least:g} to {most:g}",
        lambda value: type(value) in (int, float) and isfinite(value) and least <= value <= most,
    )


def _bytes(least: int, most: int, told: str, each: int = 1) -> Kind:
    return Kind(
        told,
        lambda value: type(value) is bytes and least <= len(value) <= most and not len(value) % each,
    )


def _maybe(kind: Kind) -> Kind:
    return Kind(f"{kind.told}, or nil", lambda value: value is None or kind.fits(value))


def _many(kind: Kind, most: int) -> Kind:
    return Kind(
        f"a list of up to {most}, each {kind.told}",
        lambda value: type(value) is list and len(value) <= most and all(map(kind.fits, value)),
    )


def _row(**kinds: Kind) -> Kind:
    fits = [kind.fits for kind in kinds.values()]
    return Kind(
        f"a list of {', '.join(f'{name} ({kind.told})' for name, kind in kinds.items())}",
        lambda value: (
            type(value) is list
            and len(value) == len(fits)
            and all(fit(part) for fit, part in zip(fits, value, strict=True))
        ),
    )


_BOOL = Kind("true or false", lambda value: type(value) is bool)
_TEXT = Kind("text", lambda value: type(value) is str)
_AGE = Kind("seconds", lambda value: type(value) in (int, float) and not isnan(value))
_ANY = Kind("a number", lambda value: type(value) in (int, float))  # whose bounds are the backend's to tell
_NUMBER = _whole(0, _WORD)
_ID = Kind("a task's id of 16 bytes", lambda value: type(value) is bytes and len(value) == 16 and any(value))
_IDS = _bytes(0, LARGEST_HEAD, "tasks' ids of 16 bytes each", 16)
_DATA = _bytes(0, LARGEST_HEAD, "bytes")
_METADATA = _bytes(0, LARGEST_METADATA, f"metadata of {LARGEST_METADATA} bytes at the most")
_TOKEN = _bytes(1, _LARGEST_TOKEN, f"a token of up to {_LARGEST_TOKEN} bytes")
_STATUS = _whole(min(Status), max(Status))
_WAIT = _seconds(0, _LONGEST_ASK)
_DELAY = _seconds(-LONGEST_DELAY, LONGEST_DELAY)
_RUN_AT = _seconds(0, _LATEST)
_PID = _whole(0, _LARGEST_PID)
_LEASE = _row(slot=_NUMBER, generation=_NUMBER, epoch=_NUMBER, owner=_whole(-1, _WORD))
_PARTS = _row(
    run_at=_RUN_AT,
    priority=_whole(LOWEST_PRIORITY, HIGHEST_PRIORITY),
    max_attempts=_whole(1, MAX_ATTEMPTS),
    max_deaths=_whole(0, MAX_DEATHS),
    timeout=_maybe(_seconds(1e-6, _LONGEST_RUN)),
    keep_result=_BOOL,
    metadata=_METADATA,
)
_ERROR = _row(type=_TEXT, message=_TEXT, traceback=_TEXT, details=_DATA)
_IDENTITY = _row(pid=_whole(1, _LARGEST_PID), pidns=_NUMBER, start=_NUMBER, boot=_NUMBER)
_EXIT = _row(pid=_PID, exitcode=_whole(-_LARGEST_PID, _LARGEST_PID), rss=_NUMBER, out_of_memory=_BOOL)
_FILTER = _maybe(
    _row(
        status=_maybe(_STATUS),
        page=_whole(1, _LAST_PAGE),
        page_size=_whole(1, LARGEST_PAGE),
        worker=_maybe(_TEXT),
    )
)
_QUEUE = _maybe(_TEXT)
_PROGRESS = _row(id=_ID, lease=_LEASE, done=_ANY, total=_maybe(_ANY))
_WANTED = _row(number=_NUMBER, name=_TEXT, limit=_whole(1, _LARGEST_LIMIT))

# --- verbs ----------------------------------------------------------------------------------------

_SOME = (1, MOST_BLOBS)

ASKED: Mapping[Verb, Asked] = {
    Verb.HELLO: Asked(repeatable=True),
    Verb.PUSH: Asked({"ids": _IDS, "rows": _many(_PARTS, MOST_BLOBS), "wait": _WAIT}, _SOME),
    Verb.REGISTER: Asked(
        {
            "worker_id": _TEXT,
            "layers": _many(_TEXT, _MOST_LAYERS),
            "identity": _IDENTITY,
            "place": _maybe(_many(_NUMBER, 4)),
            "has": _IDS,
        }
    ),
    Verb.BEAT: Asked({"token": _NUMBER}),
    Verb.LEAVE: Asked({"token": _NUMBER}),
    Verb.OPEN_STREAM: Asked({"token": _NUMBER, "prefetch": _whole(1, _WORD)}),
    Verb.CLOSE_STREAM: Asked({"token": _NUMBER}),
    Verb.TAKE: Asked({"token": _NUMBER, "wait": _WAIT, "most": _whole(1, MOST_BLOBS)}),
    Verb.FINISH: Asked(
        {
            "token": _NUMBER,
            "held": _many(_row(id=_ID, lease=_LEASE), MOST_BLOBS),
            "more": _BOOL,
            "again": _BOOL,
        },
        _SOME,
    ),
    Verb.FAIL: Asked(
        {
            "token": _NUMBER,
            "task_id": _ID,
            "lease": _LEASE,
            "error": _ERROR,
            "retry_in": _DELAY,
            "final": _BOOL,
        }
    ),
    Verb.GIVE_BACK: Asked({"token": _NUMBER, "task_id": _ID, "lease": _LEASE}),
    Verb.POSTPONE: Asked({"token": _NUMBER, "task_id": _ID, "lease": _LEASE, "seconds": _ANY}),
    Verb.TELL: Asked({"token": _NUMBER, "told": _many(_PROGRESS, _MOST_TOLD)}),
    Verb.FETCH_BY_ID: Asked({"task_id": _ID}, repeatable=True),
    Verb.UPDATE: Asked(
        {"task_id": _ID, "lease": _maybe(_LEASE), "row": _PARTS, "expect": _maybe(_STATUS)}, (1, 1)
    ),
    Verb.RESCHEDULE: Asked({"task_id": _ID, "run_at": _RUN_AT, "force": _BOOL}),
    Verb.RESUME_BY_ID: Asked({"task_id": _ID, "reset": _BOOL}),
    Verb.RESUME_ABANDONED: Asked({"exits": _many(_EXIT, _MOST_EXITS)}),
    Verb.CANCEL: Asked({"task_id": _ID, "running": _BOOL}),
    Verb.CHECK_STATUS: Asked({"ids": _IDS}, repeatable=True),
    Verb.AWAIT: Asked({"token": _TOKEN, "ids": _IDS}),
    Verb.RESULTS: Asked({"token": _TOKEN, "wait": _WAIT}),
    Verb.FORGET: Asked({"token": _TOKEN, "ids": _IDS}),
    Verb.RUNNING_PROGRESS: Asked({"since": _whole(-1, _WORD)}, repeatable=True),
    Verb.VACUUM: Asked({"older_than": _AGE, "statuses": _many(_STATUS, len(Status))}),
    Verb.LIST_QUEUES: Asked(repeatable=True),
    Verb.LIST_WORKERS: Asked({"queue": _QUEUE}, repeatable=True),
    Verb.LIST_ALL_WORKERS: Asked(repeatable=True),
    Verb.LIST_TASKS: Asked({"queue": _QUEUE, "wanted": _FILTER}, repeatable=True),
    Verb.LIST_ALL_TASKS: Asked({"wanted": _FILTER}, repeatable=True),
    Verb.GLOBAL_STATS: Asked(repeatable=True),
    Verb.QUEUE_STATS: Asked({"queue": _QUEUE}, repeatable=True),
    Verb.QUEUE_HISTOGRAMS: Asked({"queue": _QUEUE}, repeatable=True),
    Verb.END_RUN: Asked({"task_id": _ID, "error": _ERROR, "pid": _PID, "retry_in": _DELAY}),
    Verb.ASK_WORKER: Asked({"worker_id": _TEXT, "request": _whole(min(WorkerRequest), max(WorkerRequest))}),
    Verb.TAKE_TURN: Asked({"name": _TEXT, "per_second": _ANY, "burst": _ANY}),
    Verb.TAKE_PERMIT: Asked({"who": _TOKEN, "told": _IDENTITY, "wanted": _WANTED, "waited": _AGE}),
    Verb.KEEP_PERMITS: Asked(
        {
            "who": _TOKEN,
            "told": _IDENTITY,
            "number": _NUMBER,
            "following": _NUMBER,
            "has": _many(_WANTED, _MOST_PERMITS),
            "asked": _many(_NUMBER, _MOST_PERMITS),
        }
    ),
}


def is_repeatable(verb: Verb) -> bool:
    """Whether it changes nothing."""
    return verb in ASKED and ASKED[verb].repeatable


def check_request(request: Request) -> Sequence[Any]:
    """The values of its fields, in their order; `FrameError` where it is not what its verb is asked with."""
    verb, body = request.verb, request.body
    asked = ASKED.get(verb)
    if asked is None:
        raise FrameError(f"{verb.name} cannot be asked for: it does not say with what")
    values = [] if body is None else body
    if type(values) is not list or len(values) != len(asked.fields):
        raise FrameError(f"{verb.name} is asked with a list of {', '.join(asked.fields) or 'nothing'}")
    for value, (name, kind) in zip(values, asked.fields.items(), strict=True):
        if not kind.fits(value):
            raise FrameError(f"{verb.name}: {name} is {kind.told}; not {_shown(value)}")
    fewest, most = asked.payloads
    if not fewest <= len(request.blobs) <= most:
        raise FrameError(f"{verb.name} has {fewest} to {most} payloads, not {len(request.blobs)}")
    return values


def _shown(value: Any) -> str:
    """A value in few words, however large it is."""
    plain = value is None or type(value) in (bool, int, float)
    return repr(value) if plain else f"this {type(value).__name__}"
