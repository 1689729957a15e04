"""Sources: arguments, file patterns, lines of a descriptor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.cli.exits import UsageError
from ipcq.cli.items import Splitter, from_arguments, from_descriptor, from_patterns, pack, unpack


def _split(splitter: Splitter, *chunks: bytes) -> list[bytes]:
    return [item for chunk in chunks for item in splitter.feed(chunk)] + splitter.rest()


def test_items_are_what_is_between_separators() -> None:
    """Empty lines are items; a last line needs no end."""
    assert _split(Splitter(), b"a\n\nb") == [b"a", b"", b"b"]
    assert _split(Splitter(), b"a\nb\n") == [b"a", b"b"]
    assert _split(Splitter(), b"") == []


@given(st.binary(), st.lists(st.integers(0, 40), max_size=8))
def test_where_the_stream_is_cut_does_not_matter(data: bytes, sizes: list[int]) -> None:
    """However the bytes arrive, the items are those of ``bytes.split``."""
    chunks, rest = [], data
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]

    found = _split(Splitter(b"\0"), *chunks, rest)

    expected = data.split(b"\0")
    assert found == (expected if expected[-1] else expected[:-1])


def test_carriage_returns_end_lines_only() -> None:
    """A file from Windows gives the same items; with NUL as separator a carriage return is data."""
    assert _split(Splitter(), b"a\r", b"\nb\rc\r\n") == [b"a", b"b\rc"]
    assert _split(Splitter(b"\0"), b"a\r\0b\n\0") == [b"a\r", b"b\n"]


def test_a_line_without_end_is_refused() -> None:
    """Instead of filling the memory, an endless line is an error that says what to do."""
    splitter = Splitter(largest=5)
    splitter.feed(b"abc")
    with pytest.raises(UsageError, match=r"longer than 5 bytes; give one item a line, or .* -0"):
        splitter.feed(b"def")


def test_arguments_are_one_batch() -> None:
    """Arguments are all there at once; none are no batch."""
    assert list(from_arguments(["a", "b"])) == [[b"a", b"b"]]
    assert list(from_arguments([])) == []


@given(st.binary())
def test_any_bytes_survive_as_text(data: bytes) -> None:
    """What is no UTF-8 comes back as the same bytes."""
    assert pack(unpack(data)) == data


def test_patterns_give_files_sorted_and_once(tmp_path: Path) -> None:
    """Each pattern gives its files in order; one that matched before does not come again."""
    for name in ("b.py", "a.py", "a.txt", "sub/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = list(from_patterns([f"{tmp_path}/*.py", f"{tmp_path}/**/*", f"{tmp_path}/none*"]))

    names = [[os.path.relpath(unpack(item), tmp_path) for item in batch] for batch in found]
    assert names == [["a.py", "b.py"], ["a.txt", "sub/c.py"]]


def test_a_pattern_with_a_slash_at_its_end_gives_directories(tmp_path: Path) -> None:
    """``*/`` matches directories, as in a shell."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    assert list(from_patterns([f"{tmp_path}/*/"])) == [[pack(f"{tmp_path}/sub/")]]


def test_a_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted ``~`` in a pattern means what it means without quotes."""
    (tmp_path / "a").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(from_patterns(["~/a"])) == [[pack(f"{tmp_path}/a")]]


def test_lines_arrive_when_they_are_written() -> None:
    """A line is given as soon as its end was read, though more is to come."""
    reading, writing = os.pipe()
    lines = from_descriptor(reading)
    os.write(writing, b"one\ntw")
    assert next(lines) == [b"one"]
    os.write(writing, b"o\nthree")
    assert next(lines) == [b"two"]
    os.close(writing)
    assert list(lines) == [[b"three"]]
    os.close(reading)


def test_what_cannot_be_read_is_a_usage_error() -> None:
    """Standard input that is a directory is refused with the system's reason."""
    directory = os.open("/", os.O_RDONLY)
    with pytest.raises(UsageError, match="cannot read items from standard input: Is a directory"):
        list(from_descriptor(directory))
    os.close(directory)
