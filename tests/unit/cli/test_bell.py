"""The bell."""

from __future__ import annotations

from ipcq.cli.bell import Bell


def test_a_ring_is_kept_until_it_was_heard() -> None:
    """None is lost between looking and waiting: `wait` returns at once."""
    bell = Bell()
    bell.ring()
    bell.wait(60)
    assert bell.rung()
    bell.quieten()
    assert not bell.rung()
    bell.wait(0)


def test_a_ring_wakes_whoever_waits_elsewhere() -> None:
    """While connected, each ring calls; afterwards none does."""
    bell = Bell()
    woken: list[int] = []
    with bell.connected(lambda: woken.append(1)):
        bell.ring()
        bell.ring()
    bell.ring()
    assert woken == [1, 1]
