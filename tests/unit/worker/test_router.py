"""Tasks of several types in one queue, and who runs which."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from ipcq import Abort, HandlerNotFound, MemoryStorage, Router, Status, Task, Worker
from ipcq.backends.weak import Weak
from ipcq.sink import TAG, tag_of

from ..working import work


@dataclass
class Mail:
    to: str
    copies: int = 1


def send(mail: Mail) -> list[Any]:
    """Tell what arrived."""
    return [type(mail).__name__, mail.to, mail.copies]


def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


def test_each_type_has_its_handler(queue: MemoryStorage) -> None:
    """Objects, classes and tags find their handlers, those of a dataclass an object of it."""
    sink = queue.weak()
    ids = [sink.push(Mail("a", 2)), sink.push(21), sink.push({"to": "b"}, Mail), sink.push(5, "square")]
    router = Router({Mail: send, int: f"{__name__}:double", "square": lambda n: n * n})
    work(queue, router, 4)
    assert [queue.wait(i, 10).unwrap() for i in ids] == [["Mail", "a", 2], 42, ["Mail", "b", 1], 25]


def test_an_unknown_type_is_killed_and_the_worker_goes_on(queue: MemoryStorage) -> None:
    """A task that nobody has a handler for is KILLED at its first run, with the reason; the next one runs."""
    lost = queue.weak().push(1, "parcel", max_attempts=5)
    plain = queue.push(1)
    kept = queue.weak().push(4)
    work(queue, Router({int: double}), 3)
    result = queue.wait(lost, 10)
    assert (result.status, queue.wait(kept, 10).value) == (Status.KILLED, 8)
    assert "no handler for tasks of type 'parcel'; the Router knows builtins.int" in str(result.error)
    assert "has no type, which a Router needs" in str(queue.wait(plain, 10).error)


def test_what_does_not_make_an_object_is_not_tried_again() -> None:
    """Fields that a dataclass does not have are an Abort, which names the class."""
    task = Task.of({"from": "a"}, metadata={TAG: tag_of(Mail)})
    with pytest.raises(Abort, match=r"does not make a tests\.unit\.worker\.test_router\.Mail"):
        Router({Mail: send})(task)


def test_the_tag_travels_beside_other_metadata(queue: MemoryStorage) -> None:
    """What the producer says of a task stays; the tag comes to it, under one documented key."""
    task = queue.fetch_by_id(queue.weak().push("x", metadata={"trace": "t"}, priority=3))
    assert task is not None
    assert (task.args, task.priority, dict(task.metadata)) == ("x", 3, {"trace": "t", TAG: "builtins.str"})


def test_what_is_missing_is_found_before_any_task(queue: MemoryStorage) -> None:
    """A name that leads nowhere, no handler at all and two for one tag are errors when they are given."""
    with pytest.raises(HandlerNotFound, match="nowhere"):
        Worker("w", queue, Router({int: "tests.unit.worker.test_router:nowhere"}))
    with pytest.raises(HandlerNotFound, match="cannot be a handler"):
        Router({int: 5})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="one handler at least"):
        Router({})
    with pytest.raises(ValueError, match=r"two for .builtins\.int."):
        Router({int: double, "builtins.int": double})


def test_a_router_can_be_sent_to_workers() -> None:
    """Pickled, it has the same handlers: a Monitor's processes use it."""
    router = pickle.loads(pickle.dumps(Router({Mail: send, "n": double})))
    assert router.tags == {tag_of(Mail), "n"}
    assert router(Task.of({"to": "x"}, metadata={TAG: tag_of(Mail)})) == ["Mail", "x", 1]


def test_what_they_are_can_be_seen(queue: MemoryStorage) -> None:
    """The reprs of both sides tell where tasks go and which types are known."""
    assert repr(Weak(queue)) == f"<Weak sink into {queue!r}>"
    assert repr(Router({int: double, "a": double})) == "<Router of a, builtins.int>"
