"""Codecs: objects to bytes and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import Codec, CodecError, JsonCodec, MsgpackCodec, RawCodec, get_codec

KEYS = st.text(st.characters(exclude_categories=["Cs"]))
SHARED = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | KEYS
)
PLAIN = st.recursive(SHARED, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)


@pytest.mark.parametrize("name", ["msgpack", "json", "raw", "pickle"])
def test_a_codec_is_found_by_its_name(name: str) -> None:
    """The name leads to a codec that fulfils the contract and knows its name."""
    codec = get_codec(name)

    assert isinstance(codec, Codec)
    assert codec.name == name
    assert get_codec(codec) is codec


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A misspelt codec is a CodecError with the names there are."""
    with pytest.raises(CodecError, match="no codec is named 'msgpak'; known: json, msgpack, pickle, raw"):
        get_codec("msgpak")


@given(PLAIN)
def test_plain_values_come_back(value: Any) -> None:
    """None, numbers, text, lists and dicts survive msgpack and JSON unchanged, from any buffer."""
    for codec in (MsgpackCodec(), JsonCodec()):
        data = codec.encode(value)
        assert codec.decode(data) == value
        assert codec.decode(memoryview(data)) == value


@given(st.binary() | st.dictionaries(st.integers(0, 99), st.binary()))
def test_msgpack_carries_bytes_and_any_keys(value: Any) -> None:
    """Bytes stay bytes, and keys need not be text."""
    assert MsgpackCodec().decode(MsgpackCodec().encode(value)) == value


def test_a_tuple_arrives_as_a_list() -> None:
    """What msgpack and JSON have no form for, and can be read as a list, is one afterwards."""
    assert MsgpackCodec().decode(MsgpackCodec().encode((1, 2))) == [1, 2]
    assert JsonCodec().decode(JsonCodec().encode((1, 2))) == [1, 2]


def test_not_a_number_survives() -> None:
    """NaN is a float like others, for both codecs."""
    for codec in (MsgpackCodec(), JsonCodec()):
        assert math.isnan(codec.decode(codec.encode(math.nan)))


def _endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1 << 64, -(1 << 63) - 1, [1, object()], _endless(), "\ud800"]
)
def test_msgpack_names_what_it_cannot_encode(value: Any) -> None:
    """Such a value is a CodecError in one line that names the type; the codec works on."""
    codec = MsgpackCodec()
    with pytest.raises(CodecError, match=f"msgpack cannot encode {type(value).__name__} ") as caught:
        codec.encode(value)

    assert "\n" not in str(caught.value)
    assert codec.decode(codec.encode([1])) == [1]


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, {(1, 2): 3}, _endless(), "\ud800"])
def test_json_names_what_it_cannot_encode(value: Any) -> None:
    """Such a value is a CodecError that names the type."""
    with pytest.raises(CodecError, match=f"json cannot encode a {type(value).__name__}: "):
        JsonCodec().encode(value)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x92\x01", b"\x01\x02", b"\xa3\xff\xfe\xfd", b"\x91" * 5000]
)
def test_damaged_msgpack_is_an_error(data: bytes) -> None:
    """Empty, cut off, too long, not UTF-8 or too deep: a CodecError, never garbage."""
    with pytest.raises(CodecError, match=r"not msgpack: \S"):
        MsgpackCodec().decode(data)


@pytest.mark.parametrize("data", [b"", b"{", b"1 2", b"\xff", b"[" * 100_000])
def test_damaged_json_is_an_error(data: bytes) -> None:
    """Empty, cut off, too long, not UTF-8 or too deep: a CodecError, never garbage."""
    with pytest.raises(CodecError, match=r"not JSON: \S"):
        JsonCodec().decode(data)


@given(st.binary())
def test_decoding_noise_raises_nothing_else(data: bytes) -> None:
    """Random bytes are either a value or a CodecError."""
    for codec in (MsgpackCodec(), JsonCodec()):
        try:
            codec.decode(data)
        except CodecError:
            pass


@pytest.mark.parametrize("value", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_raw_passes_bytes(value: bytes) -> None:
    """Anything bytes-like arrives as those bytes."""
    assert RawCodec().decode(RawCodec().encode(value)) == bytes(value)


def test_raw_does_not_copy_bytes() -> None:
    """Bytes are handed on as the same object, in both directions."""
    data = b"x" * 100
    assert RawCodec().encode(data) is data
    assert RawCodec().decode(data) is data


def test_raw_takes_none_for_nothing() -> None:
    """A handler that returns None has an empty result."""
    assert RawCodec().encode(None) == b""


@pytest.mark.parametrize("value", ["text", 7, [1]])
def test_raw_refuses_objects(value: object) -> None:
    """Anything else is a CodecError that names the type."""
    with pytest.raises(CodecError, match=f"carries bytes, not {type(value).__name__}"):
        RawCodec().encode(value)
