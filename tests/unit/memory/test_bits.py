"""Sets of participants as bit words, against sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.bits import add_to_set, discard_from_set, in_set, pop_from_set
from ipcq.backends.memory.layout import MAX_PARTICIPANTS, SET_WORDS
from ipcq.backends.memory.machine import highest_bit, lowest_bit
from tests.crash.simulation import WatchedWords, plain_words

members = st.integers(0, MAX_PARTICIPANTS - 1)


@given(st.integers(1, (1 << 64) - 1))
def test_the_bits_at_both_ends(word: int) -> None:
    """The highest and the lowest bit of a word that is not 0."""
    assert 1 << highest_bit(word) == 1 << len(f"{word:b}") - 1
    assert 1 << lowest_bit(word) == word & -word


@given(st.lists(st.tuples(st.booleans(), members), max_size=50))
def test_a_set_holds_what_was_put_in(steps: list[tuple[bool, int]]) -> None:
    """Until it is taken out; and it gives its members back lowest first."""
    words = plain_words(1 + SET_WORDS)
    model: set[int] = set()
    for add, member in steps:
        (add_to_set if add else discard_from_set)(words, 0, member)
        (model.add if add else model.discard)(member)
        assert in_set(words, 0, member) == (member in model)
        assert bool(words[0]) == bool(model)
    assert [pop_from_set(words, 0) for _ in range(len(model) + 1)] == [*sorted(model), -1]
    assert not any(words)


@pytest.mark.skipif(COMPILED, reason="nothing sees the stores; see test_uncompiled.py")
@given(st.sets(members), members, st.sampled_from([add_to_set, discard_from_set]))
def test_after_each_store_the_summary_shows_every_member(
    before: set[int], member: int, change: object
) -> None:
    """Who is killed in the middle hides nobody from those who wake."""
    plain = plain_words(1 + SET_WORDS)
    for other in before:
        add_to_set(plain, 0, other)
    words = WatchedWords(plain)

    def stored() -> None:
        assert all(not plain[1 + part] or plain[0] >> part & 1 for part in range(SET_WORDS))

    words.stored = stored
    change(words, 0, member)  # type: ignore[operator]


@pytest.mark.parametrize("summary", [1, 0b1010, 1 << 63, (1 << 64) - 1])
def test_a_summary_without_members_is_emptied(summary: int) -> None:
    """Bits that lead nowhere are cleared on the way."""
    words = plain_words(1 + SET_WORDS)
    words[0] = summary
    assert pop_from_set(words, 0) == -1
    assert not words[0]
