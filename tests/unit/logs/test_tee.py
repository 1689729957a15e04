"""What becomes of print."""

from __future__ import annotations

import io
import sys
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.logs.tee import Lines, Tee


@given(st.lists(st.text("ab\n", max_size=30)), st.integers(1, 12))
def test_lines_are_whole_and_nothing_is_lost(writes: list[str], most: int) -> None:
    """Pieces end with a newline, but for those that are too long, and the last one."""
    sent: list[str] = []
    lines = Lines(sent.append, most)
    for text in writes:
        lines.write(text)
    assert all(piece.endswith("\n") or len(piece) == most for piece in sent)
    lines.end()
    assert "".join(sent) == "".join(writes)
    assert all(0 < len(piece) <= most for piece in sent)


def test_a_line_of_any_length_is_copied_once() -> None:
    """Not all that is left of it for each of its pieces, which took a minute for 100 MB."""

    class Counted(str):
        __slots__ = ()
        copied = 0

        def __getitem__(self, key: object) -> str:
            piece = super().__getitem__(key)  # type: ignore[index]
            Counted.copied += len(piece)
            return piece

        def __radd__(self, other: str) -> str:
            return self

    sent: list[str] = []
    lines = Lines(sent.append, 10)
    lines.write(Counted("x" * 1005))
    lines.end()
    assert ("".join(sent), Counted.copied) == ("x" * 1005, 1005)


def test_threads_have_lines_of_their_own() -> None:
    """One that was begun by one of them is not ended by another."""
    sent: list[str] = []
    lines = Lines(sent.append, 100)
    lines.write("begun ")
    other = Thread(target=lambda: lines.write("whole\nrest"))
    other.start()
    other.join()
    lines.write("here\n")
    lines.end()
    assert sent == ["whole\n", "begun here\n", "rest"]


def test_each_write_goes_where_it_belongs() -> None:
    """To who takes it, or as ever."""
    old, taken = io.StringIO(), list[str]()

    def take(text: str) -> bool:
        taken.append(text)
        return text != "mine"

    tee = Tee(old, take)
    print("one", file=tee, flush=True)
    assert tee.write("mine") == 4
    assert ("".join(taken), old.getvalue()) == ("one\nmine", "mine")
    with pytest.raises(TypeError):
        tee.write(b"bytes")  # type: ignore[arg-type]


def test_all_else_is_the_old_streams() -> None:
    """Its descriptor, its encoding, its buffer; closing leaves it open."""
    with open("/dev/null", "w", encoding="latin-1", errors="replace") as old:
        tee = Tee(old, lambda _: True)
        assert (tee.fileno(), tee.encoding, tee.errors, tee.isatty()) == (
            old.fileno(),
            "latin-1",
            "replace",
            False,
        )
        assert tee.buffer is old.buffer
        assert tee.writable()
        tee.close()
        with tee:
            pass
        assert not old.closed


def test_a_process_without_a_stream() -> None:
    """As some daemons are: what is taken is taken, the rest goes nowhere."""
    tee = Tee(None, lambda text: False)
    print("x", file=tee, flush=True)
    assert not tee.isatty()
    with pytest.raises(io.UnsupportedOperation):
        tee.fileno()
    assert tee.encoding == "utf-8"
    assert sys.stdout is not tee
