"""Records as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import CodecError, ErrorInfo, Progress, Status
from ipcq.backends.liveness import own_identity
from ipcq.backends.store.members import WorkerRecord, dump_worker, load_worker
from ipcq.backends.store.plain import bytes_of, from_json, of_bytes, of_error, of_values, values_of
from ipcq.backends.store.record import LARGE, Body, TaskRecord, dump_task, load_task
from ipcq.errors import CorruptQueue

from .records import OWNER, record

WHOLE = record(
    sender=81,
    status=Status.KILLED,
    seq=8,
    delayed=True,
    priority=-7,
    max_attempts=3,
    max_deaths=0,
    attempts=2,
    deaths=1,
    timeout=5,
    keep=False,
    metadata={"a": [1, None, "ä"]},
    epoch=4,
    owner=OWNER,
    locked=11,
    started=12,
    due=13,
    done=14,
    done_seq=15,
    fetched=True,
    progress=Progress(3, 10),
    result=Body.of(b"\xff\x00"),
    result_codec="msgpack",
    error=ErrorInfo("E", "m", "t", {"pid": 3, "signal": None}),
)


@pytest.mark.parametrize("task", [record(), record(payload=None), record(payload=Body(LARGE, None)), WHOLE])
def test_a_record_survives(task: TaskRecord) -> None:
    """What is written is read again, every field of it, with its usual value or another."""
    assert load_task(dump_task(task)) == task


def test_every_field_is_tried() -> None:
    """The record that is written above differs from a new one in every field that may."""
    fixed = {"id", "created", "run_at", "codec", "payload"}
    usual = record()
    assert [f.name for f in fields(usual) if getattr(usual, f.name) == getattr(WHOLE, f.name)] == sorted(
        fixed - {"id"}, key=[f.name for f in fields(usual)].index
    )


def test_a_record_can_be_read_by_people() -> None:
    """It is one line of JSON; text stays text, and what has its usual value is left out."""
    line = dump_task(record(payload=Body.of("grün\n".encode())))
    assert b"\n" not in line
    shown = json.loads(line)
    assert shown["payload"] == "grün\n"
    assert sorted(shown) == ["codec", "created", "from", "id", "payload", "run_at", "v"]


def test_a_large_payload_is_not_moved_with_its_task() -> None:
    """From a limit on a record says only how large it is."""
    assert Body.of(b"x" * LARGE) == Body(LARGE, None)
    assert Body.of(b"x" * (LARGE - 1)).data is not None
    assert json.loads(dump_task(record(payload=Body.of(b"x" * LARGE))))["payload"] == LARGE


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"v":2}', dump_task(record()).replace(b'"v":1', b'"v":9'), b"null"]
)
def test_other_bytes_are_no_record(data: bytes) -> None:
    """Whatever else is there is CorruptQueue, and nothing worse."""
    with pytest.raises(CorruptQueue, match="not the record of a task"):
        load_task(data)
    with pytest.raises(CorruptQueue, match="not the record of a worker"):
        load_worker(data)


@given(st.binary(max_size=50))
def test_bytes_survive(data: bytes) -> None:
    """Any bytes come back, text or not."""
    assert bytes_of(json.loads(json.dumps(of_bytes(data)))) == data


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=9), PLAIN, max_size=3))
def test_plain_values_survive(values: dict[str, Any]) -> None:
    """Whatever msgpack has comes back, also where JSON has no such thing."""
    assert repr(values_of(json.loads(json.dumps(of_values(values))))) == repr(values)


def test_a_key_that_means_something_here() -> None:
    """Metadata with a key of our own come back."""
    assert values_of(of_values({"msgpack": "x"})) == {"msgpack": "x"}


def test_an_error_with_odd_details() -> None:
    """What has no plain form is told as text; lone surrogates do not stop anybody."""
    shown = of_error(ErrorInfo("E", "\udcff", "", {"thing": object}))
    assert shown["message"] == "\\udcff"
    assert shown["details"] == {"thing": "<class 'object'>"}
    with pytest.raises(CodecError):
        of_values({"thing": object})


def test_a_worker_survives() -> None:
    """The record of a worker comes back."""
    worker = WorkerRecord("w ü", 3, "host", own_identity(), 4, 5, ("retry", "a, b"), 6, True)
    assert load_worker(dump_worker(worker)) == worker


def test_no_object_is_no_record() -> None:
    """JSON that is no object is refused."""
    with pytest.raises(ValueError, match="no JSON object"):
        from_json(b"[1]")
