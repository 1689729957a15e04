"""Lists of slots, linked through their metadata, against plain lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.backends.memory.chains import Chains
from ipcq.backends.memory.layout import M_NEXT, M_PREV, M_SEQ, META_WORDS
from tests.crash.simulation import plain_words

SLOTS = 12
HEAD = 0
META_AT = 2

keys = st.lists(st.integers(0, 20), min_size=SLOTS, max_size=SLOTS)


def _chains(keys: list[int] | None = None) -> Chains:
    chains = Chains(plain_words(META_AT + SLOTS * META_WORDS), META_AT, SLOTS)
    for slot, key in enumerate(keys or []):
        chains.w[META_AT + slot * META_WORDS + M_SEQ] = key
    return chains


def _forward(chains: Chains) -> list[int]:
    return _walk(chains, chains.w[HEAD], M_NEXT)


def _walk(chains: Chains, at: int, link: int) -> list[int]:
    slots: list[int] = []
    while at and len(slots) <= SLOTS:
        slots.append(at - 1)
        at = chains.w[META_AT + (at - 1) * META_WORDS + link]
    return slots


def _check(chains: Chains, expected: list[int]) -> None:
    """The list is the expected one in both directions."""
    assert _forward(chains) == expected
    assert _walk(chains, chains.w[HEAD + 1], M_PREV) == expected[::-1]


@given(st.permutations(range(SLOTS)), st.permutations(range(SLOTS)))
def test_slots_come_in_the_order_of_appending(added: list[int], removed: list[int]) -> None:
    """Appending and removing anywhere keeps the order of the others."""
    chains = _chains()
    expected: list[int] = []
    for slot in added:
        chains.append(HEAD, slot)
        expected.append(slot)
        _check(chains, expected)
    for slot in removed:
        chains.remove(HEAD, slot)
        expected.remove(slot)
        _check(chains, expected)


@pytest.mark.parametrize("method", ["insert", "insert_last"])
@given(keys=keys, slots=st.permutations(range(SLOTS)))
def test_inserting_keeps_the_order_of_the_key(method: str, keys: list[int], slots: list[int]) -> None:
    """From either end a slot gets where its key belongs."""
    chains = _chains(keys)
    for slot in slots:
        getattr(chains, method)(HEAD, slot, M_SEQ)
        order = [keys[slot] for slot in _forward(chains)]
        assert order == sorted(order)
    _check(chains, _forward(chains))
    assert sorted(_forward(chains)) == list(range(SLOTS))


@given(keys=keys, slots=st.permutations(range(SLOTS)), count=st.integers(0, SLOTS))
def test_sorting_is_stable(keys: list[int], slots: list[int], count: int) -> None:
    """Slots with equal keys stay in their order."""
    chains = _chains(keys)
    for slot in slots[:count]:
        chains.append(HEAD, slot)
    chains.sort(HEAD, M_SEQ)
    _check(chains, sorted(slots[:count], key=lambda slot: keys[slot]))


@pytest.mark.parametrize("method", ["insert", "insert_last"])
def test_a_cycle_ends_an_insertion(method: str) -> None:
    """A list that leads into itself is not followed for ever."""
    chains = _chains([1, 2, 3, 2])
    for slot in range(3):
        chains.append(HEAD, slot)
    for slot in (1, 2):
        chains.w[META_AT + slot * META_WORDS + M_NEXT] = 2
        chains.w[META_AT + slot * META_WORDS + M_PREV] = 3
    getattr(chains, method)(HEAD, 3, M_SEQ)
