"""Which items have their line, over interrupted runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.cli.exits import UsageError
from ipcq.cli.ledger import Chain, Recorded, Unrecorded
from ipcq.cli.record import Record
from ipcq.cli.stream import Window
from ipcq.task import Task


def _again(record: Record) -> Record:
    """What the next run finds."""
    return Record.load(record.dump())


def _settle(ledger: Recorded, window: Window, tasks: list[Task[bytes]]) -> list[bytes]:
    """Lines that come out when these are done in this order; items that begin with ``bad`` fail."""
    out = []
    for task in tasks:
        if task.args.startswith(b"bad"):
            ledger.failed(task.id)
        lines = window.settle(task.id, task.args)
        ledger.handed(task.id, len(lines))
        out += lines
    return out


@given(st.data())
def test_over_all_runs_each_item_has_one_line(data: st.DataObject) -> None:
    """Wherever runs are interrupted, and in whatever order items are done: none is lost, and none twice."""
    items = data.draw(st.lists(st.sampled_from([b"a", b"b", b"bad"]), max_size=20))
    record, lines = Record("m:f"), list[bytes]()
    for runs_left in (2, 1, 0):
        ordered = data.draw(st.booleans())
        ledger, window = Recorded(record, ordered=ordered, resuming=True), Window(ordered=ordered)
        tasks = ledger.tasks(items)
        for task in tasks:
            window.admit(task.id, task.args)
        done = data.draw(st.permutations(tasks))
        lines += _settle(ledger, window, done[: data.draw(st.integers(0, len(done)))] if runs_left else done)
        ledger.check_all_came()
        record = _again(record)
    assert sorted(lines) == sorted(items)
    assert (record.written, record.ahead) == (len(items), set())
    assert (record.done, record.failed) == (len(items) - items.count(b"bad"), items.count(b"bad"))


@pytest.mark.parametrize("other", [[b"a", b"x", b"c"], [b"x", b"b", b"c"], [b"a", b"b", b"x"]])
def test_all_items_up_to_the_last_line_are_compared(other: list[bytes]) -> None:
    """Where lines came in any order, other items and fewer are refused before one of them is to run."""
    record = Record("m:f")
    ledger, window = Recorded(record, ordered=False, resuming=False), Window(ordered=False)
    for task in (tasks := ledger.tasks([b"a", b"b", b"c", b"d"])):
        window.admit(task.id, task.args)
    _settle(ledger, window, [tasks[2], tasks[1]])
    ledger = Recorded(_again(record), ordered=False, resuming=True)
    assert ledger.tasks(other[:2]) == []
    with pytest.raises(UsageError, match="were 2 items, and the interrupted run wrote the line of item 3"):
        ledger.check_all_came()
    with pytest.raises(UsageError, match="the first 3 items are not those"):
        ledger.tasks(other[2:])


def test_an_item_is_known_by_all_before_it() -> None:
    """The same items in the same order have the same ids; another one changes those behind it, too."""
    first, same, other, key = Chain("k"), Chain("k"), Chain("k"), Chain("l")
    ids = [first.next(item) for item in (b"a", b"b", b"b")]
    assert ids == [same.next(item) for item in (b"a", b"b", b"b")]
    others = [other.next(item) for item in (b"a", b"x", b"b")]
    assert [a == b for a, b in zip(ids, others, strict=True)] == [True, False, False]
    assert len({*ids, *others, key.next(b"a")}) == 6


def test_other_items_are_refused() -> None:
    """A run is not continued with items that are not those it began with, nor with fewer."""
    ledger = Recorded(Record("m:f"), ordered=True, resuming=False)
    window = Window()
    for task in (tasks := ledger.tasks([b"a", b"b", b"c"])):
        window.admit(task.id, task.args)
    _settle(ledger, window, tasks[:2])
    with pytest.raises(UsageError, match="the first 2 items are not those of the interrupted run"):
        Recorded(_again(ledger.record), ordered=True, resuming=True).tasks([b"x", b"b", b"c"])
    fewer = Recorded(_again(ledger.record), ordered=True, resuming=True)
    assert fewer.tasks([b"a"]) == []
    with pytest.raises(UsageError, match="were 1 items, and the interrupted run wrote the line of item 2"):
        fewer.check_all_came()
    assert repr(fewer) == "<Recorded run [1 items seen, 2 written]>"


def test_a_run_of_its_own_has_ids_of_chance() -> None:
    """Without a record the same item is another task each time, and nothing is known from before."""
    ledger = Unrecorded()
    first, second = ledger.tasks([b"a", b"a"])
    assert first.id != second.id
    assert not ledger.known([first])
