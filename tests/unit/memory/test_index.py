"""The table of ids against a dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipcq.backends.memory.index import Index
from ipcq.backends.memory.layout import M_HASH, M_ID_HI, M_ID_LO, META_WORDS
from tests.crash.simulation import plain_words

SLOTS = 10
BUCKETS = 4

ids = st.tuples(st.integers(0, 3), st.integers(0, 3) | st.just(1 << 63))


def _index() -> Index:
    return Index(plain_words(BUCKETS + SLOTS * META_WORDS), BUCKETS, 0, BUCKETS, SLOTS)


def _name(index: Index, slot: int, hi: int, lo: int) -> None:
    index.w[BUCKETS + slot * META_WORDS + M_ID_HI] = hi
    index.w[BUCKETS + slot * META_WORDS + M_ID_LO] = lo


@given(st.lists(st.tuples(ids, st.booleans()), max_size=40))
def test_a_task_is_found_by_its_id(steps: list[tuple[tuple[int, int], bool]]) -> None:
    """As long as it is in, under that id and no other."""
    index = _index()
    known: dict[tuple[int, int], int] = {}
    free = list(range(SLOTS))
    for name, add in steps:
        if add and name not in known and free:
            slot = known[name] = free.pop()
            _name(index, slot, *name)
            index.add(slot)
        elif not add and name in known:
            slot = known.pop(name)
            index.remove(slot)
            free.append(slot)
        assert {name: index.find(*name) - 1 for name in known} == known
        assert not index.find(9, 9)
        assert name in known or not index.find(*name)


def test_removing_what_is_not_in_changes_nothing() -> None:
    """A slot may be taken out twice."""
    index = _index()
    for slot in range(2):
        _name(index, slot, 0, slot * BUCKETS)
        index.add(slot)
    index.remove(0)
    index.remove(0)
    assert index.find(0, BUCKETS) == 2


def test_a_cycle_ends_a_search() -> None:
    """Links that lead in a circle are not followed for ever."""
    index = _index()
    for slot in range(3):
        _name(index, slot, 0, slot * BUCKETS)
        index.add(slot)
    index.w[BUCKETS + M_HASH] = 3
    assert index.find(0, 99 * BUCKETS) == 0
    _name(index, 5, 0, 0)
    index.remove(5)
