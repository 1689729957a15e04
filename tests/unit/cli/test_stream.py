"""The window: what may go in, what may come out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipcq.cli.stream import Window


def test_lines_come_out_in_the_order_of_items() -> None:
    """A line waits until all earlier ones are there."""
    window = Window()
    for key in "abc":
        window.admit(key, key.encode())

    assert window.settle("b", b"B") == []
    assert window.settle("a", b"A") == [b"A", b"B"]
    assert window.settle("c", b"C") == [b"C"]
    assert len(window) == 0


def test_without_order_lines_come_out_at_once() -> None:
    """An unordered window holds nothing back."""
    window = Window(ordered=False)
    window.admit("a", b"a")
    window.admit("b", b"b")
    assert window.settle("b", b"B") == [b"B"]
    assert window.drain() == []


def test_a_full_window_has_no_room_until_an_eighth_is_free() -> None:
    """It is refilled in bulk; while the first item runs, lines that wait for it take room."""
    window = Window(items=16)
    for key in range(16):
        window.admit(key, b"")
    assert window.room() == (0, 0)
    assert window.settle(1, b"") == []
    assert window.settle(2, b"") == []
    assert window.room() == (0, 0)  # both are held
    assert len(window.settle(0, b"")) == 3
    assert window.room()[0] == 3


def test_bytes_are_bounded() -> None:
    """Items count until they are settled, lines until they are out."""
    window = Window(size=10)
    window.admit("a", b"12345")
    window.admit("b", b"12345")
    assert window.room() == (0, 0)
    window.settle("b", b"123456789")
    assert window.room() == (0, 0)
    window.settle("a", b"")
    assert window.room()[1] == 10


def test_draining_gives_what_waits_in_order() -> None:
    """After an interruption the lines that waited for unfinished items come out, the rest is forgotten."""
    window = Window(size=100)
    for key in "abcd":
        window.admit(key, b"item")
    window.settle("d", b"D")
    window.settle("b", b"B")

    assert window.drain() == [b"B", b"D"]
    assert len(window) == 0
    assert window.room()[1] == 100


@given(st.permutations(range(12)), st.booleans())
def test_every_line_comes_out_once(order: list[int], ordered: bool) -> None:
    """Whatever the order of settling: each line once, in order where asked, and all room is back."""
    window = Window(ordered=ordered, size=1000)
    for key in range(12):
        window.admit(key, b"x" * key)
    out = [line for key in order for line in window.settle(key, bytes([key]))]

    assert out == [bytes([key]) for key in (sorted(order) if ordered else order)]
    assert window.room()[1] == 1000
    assert repr(window) == "<Window [0 open, 0 held, 1000 bytes left]>"


def test_an_item_is_known_by_its_key() -> None:
    """While it is open, the item can be looked up."""
    window = Window()
    window.admit("key", b"item")
    assert window.item("key") == b"item"
