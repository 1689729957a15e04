"""The heap of delayed tasks against Python's."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.backends.memory.delay import Delay
from ipcq.backends.memory.layout import HEAP_SIZE, HOT_END, M_PREV, M_RUN_AT, META_WORDS, OP, OP_DAMAGED
from tests.crash.simulation import plain_words

SLOTS = 40
HEAP_AT = HOT_END
META_AT = HEAP_AT + SLOTS


def _delay(moments: list[int]) -> Delay:
    delay = Delay(plain_words(META_AT + SLOTS * META_WORDS), META_AT, HEAP_AT, SLOTS)
    for slot, moment in enumerate(moments):
        delay.w[META_AT + slot * META_WORDS + M_RUN_AT] = moment
    return delay


@given(st.lists(st.integers(0, 9), min_size=1, max_size=SLOTS))
def test_tasks_come_out_when_they_are_due(moments: list[int]) -> None:
    """First the earliest; of one moment the one in the lowest slot."""
    delay = _delay(moments)
    heap: list[tuple[int, int]] = []
    for slot, moment in enumerate(moments):
        delay.add(slot)
        heapq.heappush(heap, (moment, slot))
        assert delay.first() == heap[0][1] + 1
    while heap:
        _, slot = heapq.heappop(heap)
        assert delay.first() == slot + 1
        delay.remove(slot)
    assert delay.first() == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=SLOTS), st.randoms(use_true_random=False))
def test_any_task_can_be_taken_out(moments: list[int], random: object) -> None:
    """Removing from the middle leaves a heap of the others."""
    delay = _delay(moments)
    for slot in range(len(moments)):
        delay.add(slot)
    left = list(range(len(moments)))
    random.shuffle(left)  # type: ignore[attr-defined]
    while left:
        delay.remove(left.pop())
        first = min(((moments[slot], slot) for slot in left), default=(0, -1))
        assert delay.first() == first[1] + 1


@pytest.mark.parametrize("garbage", [1, 3, SLOTS, 1 << 63])
def test_a_wrong_position_is_damage(garbage: int) -> None:
    """A task that is not where it says is left where it is, and to a rebuild."""
    delay = _delay([5, 6, 7])
    for slot in range(3):
        delay.add(slot)
    delay.w[META_AT + M_PREV] = garbage
    delay.remove(0)
    assert delay.w[OP] == OP_DAMAGED
    assert delay.w[HEAP_SIZE] == 3


def test_a_wrong_size_is_damage() -> None:
    """A heap that claims to be larger than the queue grows no further."""
    delay = _delay([5])
    delay.w[HEAP_SIZE] = 1 << 40
    delay.add(0)
    assert delay.w[OP] == OP_DAMAGED
