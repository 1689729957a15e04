"""How far a run came, kept in its queue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ipcq import CustomBackend, TaskId
from ipcq.cli.exits import UsageError
from ipcq.cli.record import Place, Record, Shelf

from ..store.stores import DictStore


@pytest.fixture
def store() -> Iterator[Any]:
    """A queue that can do everything."""
    with CustomBackend(store=DictStore(), codec="raw") as backend:
        yield backend


def test_a_record_comes_back() -> None:
    """All of it survives as bytes, small though many lines are ahead of a gap."""
    record = Record(
        "m:f", written=7, last=TaskId(5), ahead={9, 10, 4000}, done=3, failed=2, place=Place(1, 2, 3)
    )
    assert Record.load(record.dump()) == record
    assert len(Record("m:f", written=7, ahead=set(range(8, 4096))).dump()) < 1400
    assert Record.load(Record("m:f").dump()).key != Record("m:f").key


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"key": 3}', b"\xff"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    """Bytes of somebody else's are an error in one line."""
    with pytest.raises(UsageError, match="cannot be read"):
        Record.load(data)


def test_it_is_found_by_the_next_run(store: Any) -> None:
    """What was kept last is found; no worker runs it; a complete run leaves nothing that is owed."""
    shelf = Shelf(store)
    assert shelf.find() is None
    record = Record("m:f")
    shelf.keep(record)
    record.written, record.last = 3, TaskId(9)
    shelf.keep(record)
    assert Shelf(store).find() == record
    stream = store.poll("w")
    stream.wake()
    assert next(stream) is None
    stream.close()
    shelf.close(record)
    found = Shelf(store).find()
    assert found == record
    assert found.complete
    assert [task.status.name for task in store.list_tasks().items] == ["KILLED"]


def test_after_a_complete_run_comes_another(store: Any) -> None:
    """The place of a run that is complete is taken by the next one."""
    Shelf(store).keep(first := Record("m:f"))
    shelf = Shelf(store)
    shelf.find()
    shelf.close(first)
    shelf = Shelf(store)
    shelf.find()
    shelf.keep(second := Record("m:g"))
    assert Shelf(store).find() == second
    assert repr(shelf) == f"<Shelf in {store!r}>"
