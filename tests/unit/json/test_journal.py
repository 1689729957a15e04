from __future__ import annotations

import json

import pytest

from ipcq.backends.json.journal import Batches, Head, Line, batch, body, find_head, is_torn_head

HEAD = Head("5f0c", generation=3, base=17, size=4, set_aside=1)


def _value(value: bytes | None) -> bytes | None:
    (line,) = batch([body("key", value)], 1, 1)
    found = Line.read(line)
    assert found is not None
    return found.value(line)


def _fed(*lines: bytes, settled: int = 0) -> Batches:
    found = Batches(0, 0, settled)
    for line in lines:
        found.feed(line)
    return found


def _versions(found: Batches) -> list[int]:
    return [entry.version for entry in found.entries]


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{}", b'{"a":[1,2]}', b' {"a": 1} ', b'"text"', b"1", b"1\n", b"nan", b"\xff\x00", b"{",
     '{"ключ":1}'.encode(), b'\xff\xfe{\x00}\x00', b'x","crc":"00000000"}', b"[" * 100_000],
)  # fmt: skip
def test_a_value_comes_back_as_it_was(value: bytes | None) -> None:
    """Whatever the bytes are, the same are read again."""
    assert _value(value) == value


@pytest.mark.parametrize("key", ["", "t/q/0193", 'with "quotes" and \\', "ключ", "x" * 255])
def test_a_key_comes_back_as_it_was(key: str) -> None:
    """Whatever the text is, the same is read again."""
    found = Line.read(batch([body(key, b"1")], 7, 7)[0])
    assert found is not None
    assert (found.key, found.version, found.last) == (key, 7, 7)


def test_values_that_are_json_can_be_read_by_people() -> None:
    """JSON stands in the line as it is, other bytes as base64, and each line is JSON as a whole."""
    lines = batch([body("a", b'{"x":[1]}'), body("b", b"\x00"), body("c", None)], 4, 6)
    rows = [json.loads(line) for line in lines]
    assert [row["v"] for row in rows] == [4, 5, 6]
    assert {row["to"] for row in rows} == {6}
    assert rows[0]["json"] == {"x": [1]}
    assert rows[1]["base64"] == "AA=="
    assert rows[2]["removed"] is True


def test_a_line_with_any_bit_changed_is_no_line() -> None:
    """The checksum tells each of them."""
    (line,) = batch([body("key", b'{"n":1}')], 1, 1)
    for bit in range(8 * (len(line) - 1)):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        assert Line.read(bytes(damaged)) is None


# --- batches -------------------------------------------------------------------------------------


def test_a_batch_counts_when_its_last_line_is_there() -> None:
    """Without it none of its lines does."""
    first, second = batch([body("a", b"1")], 1, 1), batch([body("b", b"2"), body("c", b"3")], 2, 3)
    assert _versions(_fed(*first, *second)) == [1, 2, 3]
    torn = _fed(*first, *second[:-1])
    assert (_versions(torn), torn.end, torn.last, torn.spent) == ([1], len(first[0]), 1, 3)
    assert torn.is_sure


def test_a_batch_whose_last_line_was_damaged_counts_when_another_follows() -> None:
    """Nobody appends behind a batch that is not whole; but only under the lock that is sure."""
    second, third = batch([body("a", b"1"), body("b", b"2")], 1, 2), batch([body("c", b"3")], 3, 3)
    found = _fed(second[0], b"damaged\n", *third)
    assert _versions(found) == [1, 3]
    assert not found.is_sure
    assert [(each.offset, each.line) for each in found.damaged] == [(len(second[0]), b"damaged\n")]


def test_what_was_written_anew_counts_line_by_line() -> None:
    """Of older batches only some lines are left."""
    lines = [batch([body("a", b"1"), body("b", b"2")], 1, 2)[0], batch([body("c", b"3")] * 9, 11, 19)[3]]
    found = _fed(*lines, settled=sum(map(len, lines)))
    assert _versions(found) == [1, 14]
    assert found.is_sure


@pytest.mark.parametrize("again", [1, 2])
def test_a_version_that_is_not_greater_is_damage(again: int) -> None:
    """A line that stands in the log twice counts once."""
    lines = [batch([body("a", b"1")], version, version)[0] for version in (1, 2, again, 3)]
    found = _fed(*lines)
    assert _versions(found) == [1, 2, 3]
    assert len(found.damaged) == 1


# --- the head ------------------------------------------------------------------------------------


def test_the_head_is_found_though_one_of_its_lines_is_damaged() -> None:
    """Any byte of it may be changed."""
    data = HEAD.encode()
    assert find_head(data) == (HEAD, len(data))
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x15
        assert find_head(bytes(damaged)) == (HEAD, len(data))


def test_a_head_of_another_format_tells_its_version() -> None:
    """And nothing else, for whatever else it has."""
    data = HEAD._replace(version=2).encode()
    assert find_head(data) == (Head("", version=2), len(data))


def test_a_torn_head_is_told_from_a_stranger() -> None:
    """A head that was cut off before its first end is the beginning of a log; other bytes are not."""
    line = HEAD.encode().splitlines()[0]
    assert all(is_torn_head(line[:size]) for size in range(len(line)))
    assert not any(is_torn_head(text) for text in (b"\n", b"# text", b'{"ipcq":"jsonl"', b"\x7fELF", b"{}\n"))
    assert find_head(b'{"name": "a JSON file"}\n') is None
