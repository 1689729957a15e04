"""The buddy allocator against a plain map of blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.backends.memory.arena import Arena, order_of
from ipcq.backends.memory.layout import ARENA_COMMITTED, ARENA_HEADS, FREE_AREA, HOT_END, TOP_ORDER
from tests.crash.simulation import plain_words

BLOCKS = 96
MAP_AT = HOT_END


def _arena(committed: int = BLOCKS) -> Arena:
    arena = Arena(plain_words(MAP_AT + BLOCKS), MAP_AT, BLOCKS)
    arena.extend(committed)
    return arena


def _free(arena: Arena) -> list[int]:
    """How many free areas there are of each order."""
    words = [arena.w[MAP_AT + block] for block in range(BLOCKS)]
    return [sum(word & FREE_AREA != 0 and word >> 56 & 31 == order for word in words) for order in range(12)]


@pytest.mark.parametrize(
    ("length", "order"), [(1, 0), (256, 0), (257, 1), (512, 1), (513, 2), (1024, 2), (1 << 18, TOP_ORDER)]
)
def test_an_area_is_the_smallest_power_of_two_that_fits(length: int, order: int) -> None:
    """Its order follows from the length."""
    assert order_of(length) == order


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 99)), max_size=60))
def test_areas_never_overlap_and_nothing_is_lost(steps: list[tuple[bool, int, int]]) -> None:
    """However areas are taken and given, they are disjoint; when all are given, all is as at first."""
    arena = _arena()
    whole = _free(arena)
    taken: list[tuple[int, int]] = []
    used: set[int] = set()
    for take, order, pick in steps:
        if take:
            block = arena.take(order) - 1
            if block < 0:
                assert not _has_room(used, order)
                continue
            area = set(range(block, block + (1 << order)))
            assert not area & used
            assert max(area) < BLOCKS
            used |= area
            taken.append((block, order))
        elif taken:
            block, order = taken.pop(pick % len(taken))
            arena.give(block, order)
            used -= set(range(block, block + (1 << order)))
    for block, order in taken:
        arena.give(block, order)
    assert _free(arena) == whole


def _has_room(used: set[int], order: int) -> bool:
    """Whether an aligned area of that order is free in the model."""
    size = 1 << order
    starts = range(0, BLOCKS - size + 1, size)
    return any(used.isdisjoint(range(start, start + size)) for start in starts)


@given(st.sets(st.integers(0, 11)), st.integers(0, 3))
def test_what_is_claimed_is_not_free(claimed: set[int], order: int) -> None:
    """After a reset, all but the claimed areas is free again, in areas as large as can be."""
    arena = _arena()
    arena.reset()
    for n in claimed:
        assert arena.claim(8 * n, order)
    arena.settle()
    for n in claimed:
        arena.give(8 * n, order)
    assert _free(arena) == _free(_arena())


def test_overlapping_claims_are_refused() -> None:
    """Two slots cannot both have a block."""
    arena = _arena()
    arena.reset()
    assert arena.claim(8, 2)
    assert not arena.claim(10, 0)
    assert not arena.claim(8, 3)
    arena.disclaim(8, 2)
    assert arena.claim(8, 3)


@pytest.mark.parametrize(("block", "order"), [(1, 1), (96, 0), (64, 6), (1 << 23, 0), (0, 63), (0, 11)])
def test_what_cannot_be_an_area_is_neither_claimed_nor_given(block: int, order: int) -> None:
    """Garbage in a descriptor changes nothing outside of the map."""
    arena = _arena()
    before = [arena.w[at] for at in range(MAP_AT + BLOCKS)]
    assert not arena.claim(block, order)
    arena.give(block, order)
    assert before == [arena.w[at] for at in range(MAP_AT + BLOCKS)]


def test_only_committed_blocks_are_given_out() -> None:
    """The rest has no memory yet; committing it adds it."""
    arena = _arena(32)
    assert arena.take(5) == 1
    assert arena.take(0) == 0
    arena.extend(64)
    assert arena.w[ARENA_COMMITTED] == BLOCKS
    assert arena.take(5) > 32
    assert arena.take(TOP_ORDER) == 0


def test_a_free_list_with_garbage_gives_nothing() -> None:
    """A head that leads out of the arena is no area."""
    arena = _arena()
    arena.w[ARENA_HEADS + 6] = 5000
    assert arena.take(6) == 0
