"""A log that was cut, or one byte of it changed: what is there when it is opened again."""

from __future__ import annotations

import json
import logging
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ipcq.backends.json import JsonStore
from ipcq.backends.store import Write

Batch = list[tuple[str, bytes | None]]
Records = dict[str, bytes]

KEYS = st.sampled_from(["t/q/1", "t/q/2", 'a "quoted" \\ key', "ключ", "z" * 255])
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from([b"{}", b'{"n":1}', b'"text"', b"1\n2", b"[1, 2]", b"nan", b'{"v":1,"to":1}']),
)
BATCHES = st.lists(
    st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=4, unique_by=lambda write: write[0]),
    min_size=1,
    max_size=8,
)
MOMENTS = st.integers(0, 8)

HEAD = 2  # lines

quiet = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _no_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "ipcq.json")


@contextmanager
def _written(batches: Sequence[Batch], anew: int) -> Iterator[Path]:
    """A log with these batches, written anew before one of them."""
    with tempfile.TemporaryDirectory(prefix="ipcq-test-") as directory:
        path = Path(directory, "log")
        with JsonStore(path, fsync="never") as store:
            for number, batch in enumerate(batches):
                if number == anew:
                    store.compact()
                found = {key: store.get(key) for key, _ in batch}
                writes = [Write(key, _version(found[key]), value) for key, value in batch]
                assert store.compare_and_set(writes) is not None
            assert _replay(path.read_bytes().splitlines(keepends=True), path) == _all(store)
        yield path


def _version(record: Any) -> int:
    return record.version if record is not None else 0


def _all(store: JsonStore) -> Records:
    return {key: value for key, _, value in store.scan() if value is not None}


def _replay(lines: Sequence[bytes], path: Path) -> Records:
    """What the lines of a log say, read by nothing but JSON; a last batch that is not whole left out."""
    rows = [json.loads(line) for line in lines[HEAD:]]
    settled = json.loads(lines[0])["size"] + sum(map(len, lines[:HEAD])) if lines else 0
    while rows and rows[-1]["v"] != rows[-1]["to"] and sum(map(len, lines[: HEAD + len(rows)])) > settled:
        rows.pop()
    found: Records = {}
    for row in rows:
        found.pop(row["key"], None)
        if "removed" not in row:
            found[row["key"]] = b64decode(row["base64"]) if "base64" in row else _raw(lines, row)
    return found


def _raw(lines: Sequence[bytes], row: Any) -> bytes:
    (line,) = [each for each in lines[HEAD:] if json.loads(each)["v"] == row["v"]]
    return line.partition(b',"json":')[2].rpartition(b',"crc":')[0]


def _opened(path: Path) -> Records:
    """What is there when it is opened; and that it takes writes again, which others see."""
    with JsonStore(path, fsync="never") as store:
        found = _all(store)
        store.put("more", b"1")
        with JsonStore(path, fsync="never") as other:
            assert _all(store) == _all(other) == {**found, "more": b"1"}
    return found


@quiet
@given(BATCHES, MOMENTS, st.floats(0, 1))
def test_a_log_that_is_cut_has_a_prefix(batches: list[Batch], anew: int, where: float) -> None:
    """Cut at any byte it holds the batches before, wholly; of what was written anew, the lines before."""
    with _written(batches, anew) as path:
        content = path.read_bytes()
        cut = round(where * len(content))
        path.write_bytes(content[:cut])
        whole = content[:cut].rpartition(b"\n")[0] + b"\n"
        lines = whole.splitlines(keepends=True) if cut else []
        expected = _replay(lines, path) if len(lines) > HEAD else {}

        assert _opened(path) == expected


@quiet
@given(BATCHES, MOMENTS, st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@example([[("a", b"1")], [("a", b"2")]], 8, 0.999, 255)
def test_a_changed_byte_costs_its_line(batches: list[Batch], anew: int, where: float, flip: int) -> None:
    """All lines count but the one that was hit; the next one too, where it was the end of a line."""
    with _written(batches, anew) as path:
        content = bytearray(path.read_bytes())
        lines = bytes(content).splitlines(keepends=True)
        at = int(where * len(content))
        hit = len(bytes(content[: at + 1]).splitlines()) - 1
        lost = {hit, hit + 1} if content[at] == 10 else {hit}
        content[at] ^= flip
        path.write_bytes(content)
        kept = [line for n, line in enumerate(lines) if n < HEAD or n not in lost]
        expected = _replay(kept, path)

        assert _opened(path) == expected
        assert Path(f"{path}.corrupt").exists() or hit == len(lines) - 1
