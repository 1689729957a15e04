"""What travels: requests and replies as messages of a few frames. Bytes and bounds only, no socket.

A message is a head, packed by msgpack, and the large payloads that it speaks of, a frame each, as they are::

    [version, REQUEST, number, verb,    body, payloads]   payload   payload   ...
    [version, REPLY,   number, outcome, body, payloads]   payload   payload   ...

``payloads`` has them in their order: the small ones, and nil for each that has a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgpack

from .heads import is_within

__all__ = [
    "LARGEST_BLOB",
    "LARGEST_HEAD",
    "LARGEST_MESSAGE",
    "LARGEST_SMALL",
    "MOST_BLOBS",
    "VERSION",
    "FrameError",
    "Outcome",
    "Reply",
    "Request",
    "Verb",
    "read_reply",
    "read_request",
    "write_reply",
    "write_request",
]

VERSION = 1
"""Of the messages; both sides have the same one."""
LARGEST_HEAD = 32 << 20
"""Bytes: a page of a thousand tasks with metadata, or the ids of a hundred thousand results."""
LARGEST_SMALL = 8192
"""Bytes of a payload that lies in the head: a frame of its own would cost more than its copy."""
LARGEST_BLOB = 1 << 30
"""Bytes of one payload or result."""
MOST_BLOBS = 1024
"""Payloads of one message."""
LARGEST_MESSAGE = LARGEST_BLOB + LARGEST_HEAD
"""Bytes of all frames of a request: one payload may be as large as it likes, many share the room."""

_REQUEST, _REPLY = 0, 1
_LARGEST_NUMBER = (1 << 63) - 1
_MOST_ITEMS = 1 << 20  # of one list or map in a head
_FREE_HEAD = 1 << 16  # bytes of a request's head whose values are not counted: few megabytes at the worst
_MOST_VALUES = 1 << 19  # in a request's head: a hundred thousand permits are the most of ours
_DEEPEST = 8  # levels of a request's head: a lease in a row in a list in a body in a head is the sixth


class Verb(IntEnum):
    """What a client can ask for. A number is never given to another verb."""

    HELLO = 1
    PUSH = 2
    REGISTER = 3
    BEAT = 4
    LEAVE = 5
    OPEN_STREAM = 6
    CLOSE_STREAM = 7
    TAKE = 8
    FINISH = 9
    FAIL = 10
    GIVE_BACK = 11
    FETCH_BY_ID = 12
    UPDATE = 13
    RESCHEDULE = 14
    RESUME_BY_ID = 15
    RESUME_ABANDONED = 16
    CANCEL = 17
    CHECK_STATUS = 18
    AWAIT = 19
    RESULTS = 20
    FORGET = 21
    VACUUM = 22
    LIST_QUEUES = 23
    LIST_WORKERS = 24
    LIST_ALL_WORKERS = 25
    LIST_TASKS = 26
    LIST_ALL_TASKS = 27
    GLOBAL_STATS = 28
    QUEUE_STATS = 29
    END_RUN = 30
    ASK_WORKER = 31
    POSTPONE = 32
    TAKE_TURN = 33
    TAKE_PERMIT = 34
    KEEP_PERMITS = 35
    TELL = 36
    RUNNING_PROGRESS = 37
    QUEUE_HISTOGRAMS = 38


class Outcome(IntEnum):
    """How a request ended."""

    DONE = 0
    FAILED = 1
    WELCOME = 2
    """No answer: a server says that this is a new connection, and which server it is; the number is 0."""


class FrameError(Exception):
    """A message that nobody of this version wrote; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks.

    Attributes:
        number: from 1, grows with each request of one socket; the reply has the same.
        body: plain values; what it means is the verb's affair.
        blobs: payloads, in the order in which the body speaks of them.
    """

    number: int
    verb: Verb
    body: Any = None
    blobs: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers; attributes as those of `Request`."""

    number: int
    outcome: Outcome
    body: Any = None
    blobs: Sequence[bytes] = ()


def write_request(request: Request) -> list[bytes]:
    """The frames of a request; `FrameError` where it is over a bound."""
    frames = _write(_REQUEST, request.number, request.verb, request.body, request.blobs)
    _check_request(frames)
    return frames


def write_reply(reply: Reply) -> list[bytes]:
    """The frames of a reply; `FrameError` where it is over a bound."""
    return _write(_REPLY, reply.number, reply.outcome, reply.body, reply.blobs)


def read_request(frames: Sequence[bytes]) -> Request:
    """The request in these frames; `FrameError` where there is none."""
    _check_request(frames)
    number, what, body, blobs = _read(_REQUEST, frames)
    try:
        return Request(number, Verb(what), body, blobs)
    except ValueError:
        raise FrameError(f"there is no verb {what}; is the other side of a newer version?") from None


def read_reply(frames: Sequence[bytes]) -> Reply:
    """The reply in these frames; `FrameError` where there is none."""
    number, what, body, blobs = _read(_REPLY, frames)
    try:
        return Reply(number, Outcome(what), body, blobs)
    except ValueError:
        raise FrameError(f"there is no outcome {what}; is the other side of a newer version?") from None


def _write(kind: int, number: int, what: int, body: Any, blobs: Sequence[bytes]) -> list[bytes]:
    small = [blob if len(blob) <= LARGEST_SMALL else None for blob in blobs]
    try:
        head = msgpack.packb([VERSION, kind, number, int(what), body, small], use_bin_type=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"this cannot travel: {error}; plain values can") from error
    frames = [head, *(blob for blob, at in zip(blobs, small, strict=True) if at is None)]
    _check_bounds(frames, len(small))
    return frames


def _read(kind: int, frames: Sequence[bytes]) -> tuple[int, int, Any, Sequence[bytes]]:
    if not frames:
        raise FrameError("a message without frames")
    _check_bounds(frames, len(frames) - 1)
    head = _unpack(frames[0])
    if not isinstance(head, list) or len(head) != 6:
        raise FrameError("the head is no list of version, kind, number, verb, body and payloads")
    version, found, number, what, body, small = head
    if type(version) is not int or version != VERSION:
        raise FrameError(f"a message of version {version!r:.40}; this is version {VERSION}")
    if type(found) is not int or found != kind:
        raise FrameError(f"a message of kind {found!r:.40}, where {kind} belongs")
    if type(number) is not int or not 0 <= number <= _LARGEST_NUMBER or type(what) is not int:
        raise FrameError("number or verb is no number in its bounds")
    return number, what, body, _all_of(small, frames[1:])


def _all_of(small: Any, large: Sequence[bytes]) -> Sequence[bytes]:
    """The payloads in their order."""
    if type(small) is not list or len(small) > MOST_BLOBS:
        raise FrameError("the payloads are no list in its bounds")
    if not large and all(type(blob) is bytes for blob in small):
        return small
    rest = iter(large)
    try:
        blobs = [next(rest) if blob is None else blob for blob in small]
    except StopIteration:
        raise FrameError("fewer frames than payloads") from None
    if next(rest, None) is not None or not all(isinstance(blob, bytes) for blob in blobs):
        raise FrameError("more frames than payloads, or a payload that is none")
    return blobs


def _unpack(head: bytes) -> Any:
    try:
        return msgpack.unpackb(
            head,
            raw=False,
            strict_map_key=False,
            max_array_len=_MOST_ITEMS,
            max_map_len=_MOST_ITEMS,
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise FrameError(f"the head is not msgpack: {str(error) or type(error).__name__:.200}") from error


def _check_request(frames: Sequence[bytes]) -> None:
    """What a server takes of one client, beside the bounds of each frame: of a server clients take more."""
    size = sum(map(len, frames))
    if size > LARGEST_MESSAGE:
        raise FrameError(f"a message of {size} bytes; {LARGEST_MESSAGE} are the most")
    if (
        frames
        and _FREE_HEAD < len(frames[0]) <= LARGEST_HEAD
        and not is_within(frames[0], _MOST_VALUES, _DEEPEST)
    ):
        raise FrameError(f"a head of over {_MOST_VALUES} values, or {_DEEPEST} levels, or not msgpack")


def _check_bounds(frames: Sequence[bytes], payloads: int) -> None:
    if payloads > MOST_BLOBS:
        raise FrameError(f"{payloads} payloads in one message; {MOST_BLOBS} are the most")
    if len(frames[0]) > LARGEST_HEAD:
        raise FrameError(f"a head of {len(frames[0])} bytes; {LARGEST_HEAD} are the most")
    for blob in frames[1:]:
        if len(blob) > LARGEST_BLOB:
            raise FrameError(f"a payload of {len(blob)} bytes; {LARGEST_BLOB} are the most")
