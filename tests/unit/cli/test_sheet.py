"""Where a run's lines went, and where the next one's go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcq.cli.exits import UsageError
from ipcq.cli.record import Place, Record
from ipcq.cli.sheet import cut_back, keep_name, place_of

LINE = b'{"item": "a", "value": 1}\n'


@pytest.fixture
def sheet(tmp_path: Path) -> Iterator[int]:
    """A file that is appended to, as by ``>>``."""
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def _written(sheet: int) -> Record:
    """A record of two lines that are in the file."""
    os.write(sheet, LINE * 2)
    return Record("m:f", written=2, done=2, place=place_of(sheet))


def _content(sheet: int) -> bytes:
    return Path(f"/dev/fd/{sheet}").read_bytes()


@pytest.mark.parametrize("more", [b"", b'{"it', b'{"item": "b", "va', LINE, LINE * 3 + b"{"])
def test_what_was_not_recorded_is_cut_off(sheet: int, more: bytes) -> None:
    """Whole and torn lines behind the recorded ones go: they are written again, at their place."""
    record = _written(sheet)
    os.write(sheet, more)
    cut_back(sheet, record)
    os.write(sheet, LINE)
    assert _content(sheet) == LINE * 3
    assert record.written == 2


@pytest.mark.parametrize("more", [b"note\n", LINE + b"note", b"note\n" + LINE, b"\n"])
def test_what_is_not_ours_stays(sheet: int, more: bytes) -> None:
    """A file to which somebody else appended is left as it is."""
    record = _written(sheet)
    os.write(sheet, more)
    cut_back(sheet, record)
    assert _content(sheet) == LINE * 2 + more


def test_an_empty_file_gets_every_line_again(sheet: int) -> None:
    """``>`` instead of ``>>`` emptied it: all lines are written again."""
    record = _written(sheet)
    os.ftruncate(sheet, 0)
    cut_back(sheet, record)
    assert (record.written, record.done, record.last, record.ahead) == (0, 0, None, set())


def test_lost_lines_are_an_error(sheet: int) -> None:
    """A file that lacks recorded lines cannot be continued: it says how much is missing."""
    record = _written(sheet)
    os.ftruncate(sheet, 30)
    with pytest.raises(
        UsageError, match=f"has {2 * len(LINE) - 30} bytes less than the interrupted run wrote"
    ):
        cut_back(sheet, record)


def test_another_file_and_a_pipe_are_left_alone(sheet: int, tmp_path: Path) -> None:
    """Lines that went elsewhere stay there, and the rest goes on here."""
    os.write(sheet, LINE)
    record = Record("m:f", written=2, place=Place(1, 2, 3))
    cut_back(sheet, record)
    reading, writing = os.pipe()
    assert place_of(writing) is None
    cut_back(writing, record)
    keep_name(writing)
    os.close(reading)
    os.close(writing)
    assert (record.written, _content(sheet)) == (2, LINE)


def test_the_directory_is_brought_to_the_disk(sheet: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file has its name after power loss, too; where that cannot be had, nothing fails."""
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        raise OSError("not here")

    monkeypatch.setattr(os, "fsync", fsync)
    keep_name(sheet)
    assert synced == [os.path.dirname(os.readlink(f"/proc/self/fd/{sheet}"))]
