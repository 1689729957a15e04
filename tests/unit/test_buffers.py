"""Arrays and other buffers: sent beside the value, read without a copy."""

from __future__ import annotations

import array
import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import Codec, CodecError, CustomBackend, MemoryStorage, MsgpackCodec, PickleCodec, Status
from ipcq.codecs.buffers import join, split

from .store.stores import DictStore
from .working import work

np: Any = import_module("numpy")  # its types need a newer Python than we support

ARRAYS: list[Callable[[], Any]] = [
    lambda: np.arange(12).reshape(3, 4),
    lambda: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    lambda: np.arange(24)[::2].reshape(3, 4)[:, ::-1],
    lambda: np.zeros((0, 3), "f4"),
    lambda: np.array(7.5),
    lambda: np.array([True, False]),
    lambda: np.array([1 + 2j], ">c16"),
    lambda: np.array(["é", "abc"]),
    lambda: np.array(["2026-01-01"], "M8[s]"),
    lambda: np.array([(1, 2.5)], [("a", "<i2"), ("b", ">f8")]),
    lambda: np.zeros(3, [("p", "f4", (2, 2)), ("q", [("r", "u1")])]),
]


@pytest.mark.parametrize("codec", [MsgpackCodec(), PickleCodec()], ids=["msgpack", "pickle"])
@pytest.mark.parametrize("make", ARRAYS)
def test_arrays_come_back(codec: Codec, make: Callable[[], Any]) -> None:
    """Arrays of any kind, order and shape are equal afterwards, deep in a value and side by side."""
    sent = make()
    got = codec.decode(codec.encode({"a": [sent, 1], "b": sent}))
    for each in (got["a"][0], got["b"]):
        assert (each.dtype, each.shape) == (sent.dtype, sent.shape)
        assert np.array_equal(each, sent)
    assert got["a"][1] == 1


@pytest.mark.parametrize("codec", [MsgpackCodec(), PickleCodec()], ids=["msgpack", "pickle"])
def test_an_array_lies_in_the_payload(codec: Codec) -> None:
    """What is decoded is a read-only view of the bytes, aligned as the payload is."""
    data = codec.encode([np.arange(1000), np.arange(3, dtype="u1"), np.arange(1000.0)])
    for each in codec.decode(memoryview(data)):
        assert np.shares_memory(each, np.frombuffer(data, "u1"))
        assert not each.flags.writeable
        assert (each.ctypes.data - np.frombuffer(data, "u1").ctypes.data) % 64 == 0


def test_a_large_argument_is_not_copied(queue: MemoryStorage) -> None:
    """An array in a file of its own is read where it is mapped, and stays valid while somebody has it."""
    sent = np.random.default_rng(1).random(200_000)
    task = queue.fetch_by_id(queue.push({"x": sent}))
    assert task is not None
    assert isinstance(task.payload, memoryview)
    got = task.args["x"]
    assert np.shares_memory(got, np.frombuffer(task.payload, "u1"))
    del task
    assert np.array_equal(got, sent)


@pytest.mark.parametrize("codec", ["msgpack", "pickle"])
def test_arrays_go_through_workers(codec: str, make_queue: Callable[..., MemoryStorage]) -> None:
    """A handler gets an array and returns one, small or large, on every backend."""
    with CustomBackend(store=DictStore(), codec=codec) as store:
        for queue in (make_queue("arrays", codec=codec), store):
            ids = queue.push_bulk([np.arange(3), np.arange(100_000)])
            work(queue, lambda numbers: numbers * 2, 2)
            for task_id, size in zip(ids, (3, 100_000), strict=True):
                assert np.array_equal(queue.wait(task_id, 10).unwrap(), np.arange(size) * 2)


def test_numbers_of_numpy_are_numbers() -> None:
    """A single element arrives as a plain number: msgpack has one kind of each."""
    codec = MsgpackCodec()
    got = codec.decode(codec.encode([np.int16(3), np.float32(0.5), np.bool_(True), {"n": np.uint64(2**63)}]))
    assert got == [3, 0.5, True, {"n": 2**63}]
    assert [type(each) for each in got[:3]] == [int, float, bool]


def test_other_buffers_come_back() -> None:
    """An `array.array` arrives as a read-only memoryview of the same elements and shape."""
    codec = MsgpackCodec()
    got = codec.decode(
        codec.encode([array.array("d", [1.5, 2.5]), array.array("H"), {"s": array.array("i", [7])}])
    )
    assert [each.tolist() for each in got[:2]] == [[1.5, 2.5], []]
    assert (got[0].format, got[0].readonly, got[2]["s"].tolist()) == ("d", True, [7])
    assert codec.decode(codec.encode(array.array("i", [1]))).tolist() == [1]


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.array([None, 1]), [np.arange(3), object()], {"f": np.longdouble(1)}]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    """An array of objects, and an object beside an array, is a CodecError in one line."""
    with pytest.raises(CodecError, match="msgpack cannot encode") as caught:
        MsgpackCodec().encode(value)
    assert "\n" not in str(caught.value)[:20]


@given(st.binary(max_size=60), st.lists(st.binary(max_size=200), max_size=4))
def test_buffers_are_found_again(value: bytes, buffers: list[bytes]) -> None:
    """Whatever sizes a value and its buffers have, they are found where they were put."""
    found, parts = split(join(value, [memoryview(each) for each in buffers]))
    assert bytes(found) == value
    assert [bytes(part) for part in parts] == buffers


@given(st.binary(max_size=80), st.integers(0, 200), st.integers(0, 255))
def test_damage_is_an_error(noise: bytes, at: int, byte: int) -> None:
    """Noise after the mark, and a payload cut or changed anywhere, is a value or a CodecError."""
    whole = MsgpackCodec().encode([np.arange(4), {"a": np.zeros((2, 2))}])
    changed = bytearray(whole)
    changed[at % len(whole)] = byte
    for codec in (MsgpackCodec(), PickleCodec()):
        for data in (b"\xc1" + noise, b"\xc1\x01\0\0" + noise, whole[: at % len(whole)], bytes(changed)):
            try:
                codec.decode(data)
            except CodecError:
                pass


def test_bytes_are_never_taken_for_objects() -> None:
    """A payload that claims to hold an array of objects is refused."""
    data = MsgpackCodec().encode(np.arange(2)).replace(b"'<i8'", b"'|O8'")
    with pytest.raises(CodecError, match="array of object cannot be made of bytes"):
        MsgpackCodec().decode(data)


def test_without_numpy_the_error_names_the_extra() -> None:
    """Where NumPy is missing, an array is a CodecError that says what to install; the rest works."""
    data = MsgpackCodec().encode({"x": np.arange(3)})
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from ipcq import MsgpackCodec, CodecError\n"
        "codec = MsgpackCodec(); assert codec.decode(codec.encode([1])) == [1]\n"
        f"try: codec.decode({data!r})\n"
        "except CodecError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == (
        "a NumPy array was sent, and NumPy is not installed here: pip install 'ipcq[numpy]'\n"
    )


class Point:
    """Has no plain form."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]


def test_pickle_takes_objects() -> None:
    """Objects of a class, sets and tuples come back as what they were."""
    codec = PickleCodec()
    for value in (Point(3), {1, 2}, (1, (2,)), None):
        assert codec.decode(codec.encode(value)) == value
    with pytest.raises(CodecError, match=r"a function cannot be pickled: .*; functions and classes"):
        codec.encode(lambda: None)
    with pytest.raises(CodecError, match="cannot be unpickled"):
        codec.decode(b"\x80\x05X")
    with pytest.raises(CodecError, match="cannot be unpickled"):
        codec.decode(pickle.dumps(Point(1)).replace(b"Point", b"Ponit"))


def test_pickle_is_asked_for(make_queue: Callable[..., MemoryStorage]) -> None:
    """A queue made with it remembers it for every process; tasks of other queues are never unpickled."""
    queue = make_queue("objects", codec="pickle")
    task_id = queue.push(Point(2))
    with MemoryStorage("objects") as other:
        task = other.fetch_by_id(task_id)
        assert task is not None
        assert (task.codec, task.args, other.config["codec"]) == ("pickle", Point(2), "pickle")


def test_a_pickle_in_another_queue_is_not_opened(queue: MemoryStorage) -> None:
    """A task written by another codec than its queue knows is KILLED with that reason, not decoded."""
    codecs = queue._pusher.codecs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "own", PickleCodec())
        patch.setattr(codecs, "mark", type(codecs)(PickleCodec()).mark)
        task_id = queue.push(Point(1))
    queue.push(2)
    work(queue, abs, 2)
    result = queue.wait(task_id, 10)
    assert result.status is Status.KILLED
    assert "codec that is not known here" in str(result.error)
