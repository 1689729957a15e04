"""Tasks of other clients' workers: nobody ends them by guessing where they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import CustomBackend, LeaseLost, MemoryStorage, Pipe, Status, Task, WorkerExists
from ipcq.backends.liveness import own_identity
from ipcq.backends.pipe import Server
from ipcq.backends.pipe.failures import NotRegistered
from ipcq.backends.pipe.frames import Verb
from tests.unit.store.stores import DictStore

from .stranger import Stranger, stranger

GUESSES = 200
ERROR = ["Error", "text", "", b"\x80"]


@pytest.fixture(params=["Memory", "Custom"])
def server(request: pytest.FixtureRequest, queue: MemoryStorage, private_directory: Path) -> Iterator[Server]:
    """One of an empty queue."""
    backend: Any = queue if request.param == "Memory" else CustomBackend(store=DictStore())
    with Pipe.serve(backend, f"ipc://{private_directory}/socket") as serving:
        yield serving


@pytest.fixture
def honest(server: Server) -> Iterator[Pipe]:
    """A client of ours."""
    with Pipe(server.endpoint) as client:
        yield client


def _next(client: Pipe, lease: Any) -> Task[Any]:
    task = next(client.poll(lease))
    assert task is not None
    assert task.lease is not None
    return task


def _enter(asking: Stranger, name: str = "theirs") -> int:
    token, _ = asking.ask(Verb.REGISTER, name, [], list(own_identity()), None, b"")
    return int(token)


def _lost(asking: Stranger, token: int, task_id: bytes, lease: list[int]) -> None:
    with pytest.raises(LeaseLost):
        asking.ask(Verb.FINISH, token, [[task_id, lease]], False, False, blobs=[b"\x01"])
    with pytest.raises(LeaseLost):
        asking.ask(Verb.FINISH, token, [[task_id, lease]], False, True, blobs=[b"\x01"])
    with pytest.raises(LeaseLost):
        asking.ask(Verb.FAIL, token, task_id, lease, ERROR, 0.0, False)
    assert asking.ask(Verb.GIVE_BACK, token, task_id, lease) is False


def test_a_task_of_another_client(server: Server, honest: Pipe) -> None:
    """By whatever lease somebody else cannot end it, and its own worker can."""
    honest.push("ours")
    with honest.register_worker("ours") as lease, stranger(server.endpoint) as asking:
        task = _next(honest, lease)
        assert task.lease is not None
        right, token, task_id = list(task.lease), _enter(asking), task.id.to_bytes(16, "big")
        _lost(asking, token, task_id, right)
        _lost(asking, token, task_id, [*right[:3], right[3] + 1])
        with pytest.raises(NotRegistered):
            asking.ask(Verb.GIVE_BACK, 1, task_id, right)
        lease.finish(task, "value")
    assert honest.wait(task.id, 20).unwrap() == "value"


def test_leases_that_lead_anywhere(server: Server, honest: Pipe) -> None:
    """A worker with a task of its own ends that one by its very lease, and none by another."""
    honest.push_bulk(["theirs", "ours"])
    chance = random.Random(1)
    with stranger(server.endpoint) as asking, honest.register_worker("ours") as lease:
        token = _enter(asking)
        asking.ask(Verb.OPEN_STREAM, token, 1)
        row = asking.ask(Verb.TAKE, token, 1.0, 1)[0]
        task_id, right = row[0], row[3]
        task = _next(honest, lease)
        for _ in range(GUESSES):
            wrong = list(right)
            wrong[chance.randrange(3)] = chance.choice((0, 1, 2, 1 << 20, 1 << 40, (1 << 64) - 1))
            if wrong != right:
                _lost(asking, token, task_id, wrong)
                _lost(asking, token, task.id.to_bytes(16, "big"), wrong)
        asking.ask(Verb.FINISH, token, [[task_id, right]], False, False, blobs=[b"\x01"])
        with pytest.raises(LeaseLost):
            asking.ask(Verb.FINISH, token, [[task_id, right]], False, False, blobs=[b"\x01"])
        lease.finish(task, "value")
    assert honest.wait(task.id, 20).unwrap() == "value"


def test_one_among_others_is_not_ours(server: Server, honest: Pipe) -> None:
    """The others are DONE, and that one is its worker's."""
    ids = honest.push_bulk(range(3))
    with honest.register_worker("one") as one, honest.register_worker("two") as two:
        tasks = [_next(honest, one), _next(honest, two), _next(honest, one)]
        with pytest.raises(LeaseLost):
            one.finish_many(tasks, "abc")
        assert list(honest.check_status(ids).values()) == [Status.DONE, Status.RUNNING, Status.DONE]
        two.finish(tasks[1], "b")


def test_the_place_of_another_client(server: Server, honest: Pipe) -> None:
    """Nobody goes on in the name of a worker that its server serves, whatever it knows of it."""
    honest.push("ours")
    with honest.register_worker("ours") as lease, stranger(server.endpoint) as asking:
        task = _next(honest, lease)
        told = ["ours", [], list(own_identity()), lease._place]
        with pytest.raises(WorkerExists, match="another client's"):
            asking.ask(Verb.REGISTER, *told, task.id.to_bytes(16, "big"))
        with pytest.raises(WorkerExists):
            asking.ask(Verb.REGISTER, *told[:3], None, b"")
        lease.finish(task, "value")


def test_a_client_that_was_not_answered_goes_on(server: Server, honest: Pipe) -> None:
    """One that registered, and never heard of it, does so once more; what it was handed stays its own."""
    honest.push_bulk(["has", "lost"])
    lease = honest.register_worker("ours")
    task = _next(honest, lease)
    honest._use().call(Verb.TAKE, lease.token, 1.0, 1, wait=1.0)
    lease.enter_again(lease.token)
    assert len(list(server._desk.members)) == 1
    again = _next(honest, lease)
    assert again.args == "lost"
    lease.finish(task, 1)
    lease.finish(again, 2)
    lease.close()
    assert honest.list_workers() == []
