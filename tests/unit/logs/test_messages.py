"""What travels between a worker and the process that pushed."""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import TaskId
from ipcq.logs.messages import (
    LONGEST_OUTPUT,
    MOST,
    Dropped,
    Malformed,
    Origin,
    Output,
    dump_dropped,
    dump_output,
    dump_record,
    load,
)

ORIGIN = Origin(TaskId.new(), "w-0", "thumbs")
TEXT = st.text(st.characters(), max_size=200)  # surrogates, too
SCALARS = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | TEXT | st.binary()
)
PLAIN = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)


def _record(**attributes: Any) -> logging.LogRecord:
    record = logging.LogRecord("my.logger", logging.INFO, "/src/my.py", 7, "%s!", ("hello",), None, "f")
    record.__dict__.update(attributes)
    return record


def _again(record: logging.LogRecord) -> logging.LogRecord:
    loaded = load(dump_record(ORIGIN, record))
    assert isinstance(loaded, logging.LogRecord)
    return loaded


def test_a_record_is_the_same_on_the_other_side() -> None:
    """Whatever a formatter may ask for, and which run it is of."""
    record = _record(created=1700000000.25, user="me", sizes=(1, 2))
    loaded = _again(record)
    for name in ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName"):
        assert getattr(loaded, name) == getattr(record, name)
    for name in ("process", "processName", "thread", "threadName", "created"):
        assert getattr(loaded, name) == getattr(record, name)
    assert (loaded.getMessage(), loaded.msecs) == ("hello!", 250)
    found: Any = loaded
    assert (found.task_id, found.worker, found.queue) == ORIGIN
    assert (found.user, found.sizes) == ("me", [1, 2])


def test_a_traceback_travels_as_text() -> None:
    """A formatter shows it as where it was raised; the record itself is left as it was."""
    try:
        raise ValueError("no such size")
    except ValueError:
        record = _record(exc_info=sys.exc_info(), stack_info="Stack:\n  here")
    loaded = _again(record)
    shown = logging.Formatter("%(message)s").format(loaded)
    assert shown.startswith("hello!\nTraceback (most recent call last)")
    assert shown.endswith("ValueError: no such size\nStack:\n  here")
    assert (loaded.exc_info, record.exc_text) == (None, None)


@given(TEXT, st.integers(-5, 100), st.dictionaries(TEXT, PLAIN, max_size=5))
def test_any_record_travels(message: str, level: int, extra: dict[str, Any]) -> None:
    """Of any text, level and plain values, within the bound; no name of a record's own can be taken."""
    record = _record(msg=message, args=None, levelno=level)
    before = set(record.__dict__)
    record.__dict__.update({key: value for key, value in extra.items() if key not in before})
    data = dump_record(ORIGIN, record)
    loaded: Any = load(data)
    assert (loaded.getMessage(), loaded.levelno, len(data) <= MOST) == (message, level, True)
    assert (loaded.task_id, loaded.worker, loaded.queue) == ORIGIN


def test_what_has_no_form_stays_behind() -> None:
    """Objects, numbers of more than 64 bits, and what is too large, deep or many; the record goes."""
    deep: Any = 1
    for _ in range(9):
        deep = [deep]
    loaded = _again(_record(a=object(), b=1 << 70, c="x" * 5000, d=deep, e=list(range(99)), f={1: 2}, kept=1))
    assert {name for name in loaded.__dict__ if len(name) == 1} == set()
    assert vars(loaded)["kept"] == 1


def test_a_record_is_cut_to_its_bound() -> None:
    """A text of whatever size keeps its beginning and its end."""
    for character in ("x", "\U0001f40d"):
        record = _record(
            msg="begin" + character * 1_000_000 + "end", args=None, exc_text=character * 1_000_000
        )
        data = dump_record(ORIGIN, record)
        text = _again(record).getMessage()
        assert len(data) <= MOST
        assert text.startswith("begin")
        assert text.endswith("end")
        assert "characters left out" in text
    assert (
        len(dump_output(ORIGIN._replace(worker="w" * 10_000), "stdout", "\U0001f40d" * LONGEST_OUTPUT)) < MOST
    )


def test_arguments_that_do_not_fit_are_an_error_of_whoever_logs() -> None:
    """As in any handler."""
    with pytest.raises(TypeError):
        dump_record(ORIGIN, _record(args=(1, 2)))


def test_output_and_counts_travel() -> None:
    """With their origin."""
    assert load(dump_output(ORIGIN, "stderr", "a\nb")) == Output(*ORIGIN, "stderr", "a\nb")
    assert load(dump_dropped(ORIGIN, 7)) == Dropped(ORIGIN, 7)


GOOD = msgpack.unpackb(dump_record(ORIGIN, _record()))
FIELDS, EXTRA = GOOD[4:]


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        GOOD[:4],
        [9, *GOOD[1:]],
        [0, b"short", *GOOD[2:]],
        [0, b"\0" * 16, *GOOD[2:]],
        [0, GOOD[1], 7, *GOOD[3:]],
        [*GOOD[:4], None, {}],
        [*GOOD[:4], {}, {}],
        [*GOOD[:4], FIELDS | {"msg": 7}, {}],
        [*GOOD[:4], FIELDS | {"created": float("nan")}, {}],
        [*GOOD[:4], FIELDS | {"levelno": "x"}, {}],
        [*GOOD[:4], FIELDS | {"args": [1]}, {}],
        [*GOOD[:4], FIELDS, None],
        [1, *GOOD[1:4], "stdin", "text"],
        [1, *GOOD[1:4], "stdout", 7],
        [2, *GOOD[1:4], -1],
        [2, *GOOD[1:4], "many"],
    ],
)
def test_what_is_no_message_is_told(value: Any) -> None:
    """Whatever well-formed values somebody sends."""
    with pytest.raises(Malformed):
        load(msgpack.packb(value))


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(data: bytes) -> None:
    """They are a message, or `Malformed`."""
    try:
        load(data)
    except Malformed:
        pass


@given(st.integers(0, 200), st.integers(0, 255))
def test_no_damage_does_harm(place: int, byte: int) -> None:
    """One byte of a message is another: it is a message still, or `Malformed`."""
    data = bytearray(dump_record(ORIGIN, _record()))
    data[place % len(data)] = byte
    try:
        loaded = load(bytes(data))
    except Malformed:
        return
    if isinstance(loaded, logging.LogRecord):
        logging.Formatter("%(asctime)s %(levelname)s %(message)s").format(loaded)


def test_extra_cannot_be_more_than_that() -> None:
    """Who sends attributes that are a record's own, or the run's, changes none of them."""
    own = {"task_id": "other", "levelno": 50, "args": [1], "message": "?"}
    loaded = load(msgpack.packb([*GOOD[:4], FIELDS, own]))
    assert isinstance(loaded, logging.LogRecord)
    assert (loaded.levelno, loaded.getMessage()) == (logging.INFO, "hello!")
    assert vars(loaded)["task_id"] == ORIGIN.task_id


def test_too_long_is_refused_unread() -> None:
    """Before anything is made of it."""
    with pytest.raises(Malformed, match="too long"):
        load(b"\0" * (MOST + 1))
