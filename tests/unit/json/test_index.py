from __future__ import annotations

import pytest

from ipcq.backends.json.index import Index
from ipcq.backends.json.journal import Entry
from ipcq.backends.store import Forgotten


def _index(*writes: tuple[str, int, int], base: int = 0) -> Index:
    """An index of writes: key, version, length of the line; 0 for a removal."""
    index = Index(base)
    for key, version, length in writes:
        index.apply([Entry(key, version, 100 * version if length else -1, length)], version)
    return index


def test_the_last_write_counts() -> None:
    """Of each record there is its last write, of a removed one nothing."""
    index = _index(("a", 1, 10), ("b", 2, 20), ("a", 3, 30), ("b", 4, 0))
    assert index.get("a") == Entry("a", 3, 300, 30)
    assert index.get("b") is None
    assert [index.version(key) for key in "abc"] == [3, 0, 0]
    assert index.live == 30


def test_what_changed_is_told_by_version() -> None:
    """After a version: what changed since, removals too; from the start: what there is."""
    index = _index(("a", 1, 10), ("b", 2, 20), ("c", 3, 30), ("a", 4, 40), ("b", 5, 0))
    assert [entry.version for entry in index.since(0)] == [3, 4]
    assert [entry.version for entry in index.since(1)] == [3, 4, 5]
    assert [entry.version for entry in index.since(4)] == [5]
    assert index.since(5) == []


def test_taking_in_twice_is_once() -> None:
    """An interrupt may have come in the middle of the first time."""
    writes = [Entry("a", 1, 0, 10), Entry("a", 2, 10, 12), Entry("b", 3, 22, 5)]
    index = Index()
    index.apply(writes, 3)
    index.apply(writes, 3)
    assert (index.live, index.last) == (17, 3)
    assert [entry.key for entry in index.since(0)] == ["a", "b"]


def test_lines_that_moved_are_found_again() -> None:
    """After the log was written anew each record is behind the one before; older removals are forgotten."""
    index = _index(("a", 1, 10), ("b", 2, 0), ("c", 3, 30), ("d", 4, 0), ("e", 5, 50))
    index.move(200, oldest=2)
    assert [index.get(key) for key in "ce"] == [Entry("c", 3, 210, 30), Entry("e", 5, 240, 50)]
    assert [entry.version for entry in index.since(2)] == [3, 4, 5]
    assert index.get("a") == Entry("a", 1, 200, 10)


def test_who_is_to_begin_anew_is_so_after_a_move() -> None:
    """What was skipped is not known again because the log was written anew after that."""
    index = _index(("a", 5, 10))
    index.skip(9)
    index.move(0, oldest=2)
    with pytest.raises(Forgotten):
        index.check(5)


@pytest.mark.parametrize(("after", "known"), [(0, True), (1, False), (2, True), (5, True), (6, False)])
def test_forgotten_removals_are_told(after: int, known: bool) -> None:
    """Whoever saw less than what is forgotten, or more than there is, has to begin anew."""
    index = _index(("a", 5, 10))
    index.move(0, oldest=2)
    if known:
        index.check(after)
    else:
        with pytest.raises(Forgotten, match=f"version {after}"):
            index.check(after)
