from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.backends.pipe import frames
from ipcq.backends.pipe.frames import (
    LARGEST_SMALL,
    MOST_BLOBS,
    VERSION,
    FrameError,
    Outcome,
    Reply,
    Request,
    Verb,
    read_reply,
    read_request,
    write_reply,
    write_request,
)
from ipcq.backends.pipe.heads import is_within

_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_numbers = st.integers(0, 2**63 - 1)
_blobs = st.lists(st.binary(max_size=64) | st.just(b"x" * (LARGEST_SMALL + 1)), max_size=4)


@given(_numbers, st.sampled_from(Verb), _plain, _blobs)
def test_a_request_comes_back(number: int, verb: Verb, body: Any, blobs: list[bytes]) -> None:
    """A request that was written is read as it was."""
    request = Request(number, verb, body, blobs)
    assert read_request(write_request(request)) == request


@given(_numbers, st.sampled_from(Outcome), _plain, _blobs)
def test_a_reply_comes_back(number: int, outcome: Outcome, body: Any, blobs: list[bytes]) -> None:
    """A reply that was written is read as it was."""
    reply = Reply(number, outcome, body, blobs)
    assert read_reply(write_reply(reply)) == reply


@pytest.mark.parametrize("read", [read_request, read_reply])
@given(st.lists(st.binary(max_size=40), max_size=3))
def test_any_bytes_raise_one_error_only(read: Any, message: list[bytes]) -> None:
    """Whatever arrives is read or is a `FrameError`."""
    try:
        read(message)
    except FrameError:
        pass


@pytest.mark.parametrize("read", [read_request, read_reply])
@given(_plain | st.lists(_plain, min_size=6, max_size=6))
def test_any_values_raise_one_error_only(read: Any, head: Any) -> None:
    """Whatever values a head has, it is read or is a `FrameError`."""
    try:
        read([msgpack.packb(head)])
    except FrameError:
        pass


@given(st.integers(0, 60), st.binary(min_size=1, max_size=3), st.integers(0, 60))
def test_a_damaged_message_raises_one_error_only(at: int, other: bytes, length: int) -> None:
    """A message with bytes changed or cut off is read or is a `FrameError`."""
    (head,) = write_request(Request(7, Verb.PUSH, [["id", 1.5, None], {"a": b"b"}]))
    damaged = head[:at] + other + head[at + len(other) :]
    try:
        read_request([damaged[:length]])
    except FrameError:
        pass


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ([VERSION + 1, 0, 1, 1, None, []], "version"),
        ([True, 0, 1, 1, None, []], "version"),
        ([VERSION, 1, 1, 1, None, []], "kind"),
        ([VERSION, 0, -1, 1, None, []], "bounds"),
        ([VERSION, 0, 1, "push", None, []], "bounds"),
        ([VERSION, 0, 1, 9999, None, []], "verb 9999"),
        ([VERSION, 0, 1, 1, None], "no list"),
        ([VERSION, 0, 1, 1, None, {}], "bounds"),
        ([VERSION, 0, 1, 1, None, [None]], "fewer frames"),
        ([VERSION, 0, 1, 1, None, [1]], "a payload that is none"),
        ({"version": VERSION}, "no list"),
    ],
)
def test_a_wrong_head_says_what_is_wrong(head: Any, told: str) -> None:
    """The error names what does not fit."""
    with pytest.raises(FrameError, match=told):
        read_request([msgpack.packb(head)])


def test_a_head_deeper_than_any_of_ours() -> None:
    """Lists in lists without end are an error, not the end of the stack."""
    with pytest.raises(FrameError, match="msgpack"):
        read_request([b"\x91" * 100_000 + b"\xc0"])


@given(_plain)
def test_values_are_counted(value: Any) -> None:
    """As many as there are, and as deep; whatever is cut off is none."""
    packed = msgpack.packb(value)
    count, depth = _measured(value)
    assert is_within(packed, count, depth)
    assert not is_within(packed, count - 1, depth)
    assert not is_within(packed, count, depth - 1)
    assert not is_within(packed[:-1], count, depth)


def _measured(value: Any) -> tuple[int, int]:
    inner: list[Any] = []
    if isinstance(value, list):
        inner = value
    elif isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    measured = [_measured(each) for each in inner]
    return 1 + sum(count for count, _ in measured), 1 + max([depth for _, depth in measured], default=0)


@pytest.mark.parametrize("packed", [b"\xc1", b"\xd4\x01x", b"\xdc", b"\xdd\xff\xff\xff\xff", b"\xdb\x01"])
def test_what_no_head_has_is_not_counted(packed: bytes) -> None:
    """Bytes that begin no value, extensions, and lengths that lie."""
    assert not is_within(packed, 100, 100)


def test_a_head_of_more_values_than_any_of_ours() -> None:
    """A megabyte of empty lists is refused before it is made a hundred."""
    head = b"\x96\x01\x00\x01\x01" + b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0x0F0000 + b"\x90"
    with pytest.raises(FrameError, match="values"):
        read_request([head])
    ours = [[b"i" * 16] * 1024, [[0.0, 0, 1, 2, None, True, b"m" * 100]] * 1024, 1.0]
    read_request(write_request(Request(1, Verb.PUSH, ours, [b"x" * 1000] * 1024)))


def test_a_list_that_claims_more_than_there_is() -> None:
    """A length of billions costs no memory."""
    with pytest.raises(FrameError, match="msgpack"):
        read_request([b"\xdd\xff\xff\xff\xff"])


def test_no_frames_at_all() -> None:
    """An empty message is an error."""
    with pytest.raises(FrameError, match="without frames"):
        read_reply([])


def test_bounds_hold_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large or too many is neither written nor read."""
    monkeypatch.setattr(frames, "LARGEST_SMALL", 50)
    good = write_request(Request(1, Verb.PUSH, b"x" * 100, [b"y" * 100]))
    with pytest.raises(FrameError, match="payloads in one message"):
        write_request(Request(1, Verb.PUSH, None, [b""] * (MOST_BLOBS + 1)))
    monkeypatch.setattr(frames, "LARGEST_BLOB", 99)
    with pytest.raises(FrameError, match="payload of 100 bytes"):
        read_request(good)
    monkeypatch.setattr(frames, "LARGEST_HEAD", 99)
    with pytest.raises(FrameError, match="head of"):
        read_request(good)


def test_what_has_no_plain_form_cannot_travel() -> None:
    """An object that is no plain value is an error where it is written."""
    with pytest.raises(FrameError, match="plain values"):
        write_reply(Reply(1, Outcome.DONE, object()))
