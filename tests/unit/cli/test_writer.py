"""Writing without being stuck."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from ipcq.cli.writer import Writer


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def _fill(descriptor: int) -> int:
    """Fill a pipe; how many bytes fitted."""
    os.set_blocking(descriptor, False)
    size = 0
    try:
        while True:
            size += os.write(descriptor, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(descriptor, True)
        return size


def test_few_lines_wait_for_flush(pipe: tuple[int, int]) -> None:
    """Lines are collected and written in one piece."""
    reading, writing = pipe
    os.set_blocking(reading, False)
    writer = Writer(writing)
    writer.write([b"a\n", b"b\n"])
    with pytest.raises(BlockingIOError):
        os.read(reading, 9)
    writer.flush()
    assert os.read(reading, 9) == b"a\nb\n"


def test_many_lines_do_not_wait(pipe: tuple[int, int]) -> None:
    """64 KiB are written without being asked."""
    reading, writing = pipe
    Writer(writing).write([b"x" * 65536])
    assert os.read(reading, 4096) == b"x" * 4096


def test_a_slow_reader_gets_everything(pipe: tuple[int, int]) -> None:
    """More than a pipe holds arrives whole and in order."""
    reading, writing = pipe
    data = os.urandom(300_000)
    found = bytearray()

    def read() -> None:
        while len(found) < len(data):
            found.extend(os.read(reading, 10_000))

    reader = threading.Thread(target=read)
    reader.start()
    Writer(writing).write([data])
    reader.join()
    assert bytes(found) == data


def test_a_full_pipe_is_given_up_when_it_is_time(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody empties the pipe: the writer asks whether to go on, and keeps what is not written."""
    monkeypatch.setattr("ipcq.cli.writer._TICK", 20)
    reading, writing = pipe
    full = _fill(writing)
    asked = 0

    def impatient() -> bool:
        nonlocal asked
        asked += 1
        return True

    writer = Writer(writing, impatient)
    writer.write([b"line\n"])
    assert not writer.flush()
    assert asked == 1
    while full:
        full -= len(os.read(reading, full))
    assert writer.flush()
    assert os.read(reading, 99) == b"line\n"


def test_a_reader_that_has_gone_is_an_error() -> None:
    """Writing to a closed pipe raises BrokenPipeError."""
    reading, writing = os.pipe()
    os.close(reading)
    writer = Writer(writing)
    writer.write([b"line\n"])
    with pytest.raises(BrokenPipeError):
        writer.flush()
    os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_with_its_place() -> None:
    """The error of the system says that it was standard output."""
    full = os.open("/dev/full", os.O_WRONLY)
    writer = Writer(full)
    writer.write([b"line\n"])
    with pytest.raises(OSError, match="No space left on device: 'standard output'"):
        writer.flush()
    os.close(full)


def test_what_is_in_the_way_is_wiped_first(pipe: tuple[int, int]) -> None:
    """The hook runs once before lines appear, and not when there are none."""
    wiped: list[int] = []
    writer = Writer(pipe[1], before=lambda: wiped.append(1))
    writer.flush()
    assert not wiped
    writer.write([b"a\n", b"b\n"])
    writer.flush()
    assert wiped == [1]


@pytest.mark.slow
def test_it_tells_when_all_lines_are_out(pipe: tuple[int, int]) -> None:
    """After the last byte, and only when there were lines: not when it gave up, nor for nothing."""
    told: list[int] = []
    writer = Writer(pipe[1], lambda: True, after=lambda: told.append(len(told)))
    writer.flush()
    assert told == []
    writer.write([b"a\n"])
    writer.flush()
    assert told == [0]
    _fill(pipe[1])
    writer.write([b"b\n"])
    assert not writer.flush()
    assert told == [0]
