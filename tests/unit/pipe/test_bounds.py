"""What one client may have the server keep, and what it is told beyond that; others are served meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq import Pipe, StorageError
from ipcq.backends.liveness import own_identity
from ipcq.backends.pipe import Server, awaited, bounds, gate, handing, holders, members, peers
from ipcq.backends.pipe import server as server_module
from ipcq.backends.pipe.bounds import Bound, Quota
from ipcq.backends.pipe.frames import FrameError, Outcome, Request, Verb, read_request, write_request

from .stranger import ID, PARTS, PATIENCE, stranger

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

HALF = 600_000


@pytest.fixture
def server(make_queue: MakeQueue, private_directory: Path) -> Iterator[Server]:
    """One of a queue that has room for two large payloads."""
    with Pipe.serve(make_queue(blob_bytes=1_000_000), f"ipc://{private_directory}/socket") as serving:
        yield serving


@pytest.fixture
def honest(server: Server) -> Iterator[Pipe]:
    """A client of ours, which is served at the end of each test."""
    with Pipe(server.endpoint) as client:
        yield client
        assert client.fetch_by_id(client.push("served")) is not None


def _ids(count: int) -> bytes:
    return b"".join((n + 1).to_bytes(16, "big") for n in range(count))


def test_a_quota_for_each_and_for_all() -> None:
    """One who has too much is refused, and so is everybody where all have; what is given back is free."""
    quota = Quota(Bound("things", 2, 3, "drop some"))
    quota.take(b"a", 2)
    with pytest.raises(StorageError, match="this client has 2 things"):
        quota.take(b"a")
    quota.take(b"b")
    with pytest.raises(StorageError, match="all clients of this server have 3 things"):
        quota.take(b"b")
    quota.give(b"a", 2)
    quota.take(b"c", 0)
    quota.take(b"b")
    assert repr(quota) == "<Quota: 2 things of 1 clients>"


def test_workers(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client has so many; those that leave make room."""
    monkeypatch.setattr(bounds.WORKERS, "each", 2)
    told = list(own_identity())
    with stranger(server.endpoint) as asking:
        (first, _), _ = (asking.ask(Verb.REGISTER, name, [], told, None, b"") for name in "ab")
        with pytest.raises(StorageError, match="2 workers"):
            asking.ask(Verb.REGISTER, "c", [], told, None, b"")
        honest.register_worker("c").close()
        asking.ask(Verb.LEAVE, first)
        asking.ask(Verb.REGISTER, "d", [], told, None, b"")
        with pytest.raises(StorageError):
            asking.ask(Verb.REGISTER, "e", [], told, None, b"")


def test_waits(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client has so many open at once; one that was forgotten makes room."""
    monkeypatch.setattr(bounds.WAITS, "each", 2)
    task_id = honest.push("awaited").to_bytes(16, "big")
    with stranger(server.endpoint) as asking:
        assert [asking.ask(Verb.AWAIT, token, task_id) for token in (b"1", b"2")] == [False, False]
        with pytest.raises(StorageError, match="2 open waits"):
            asking.ask(Verb.AWAIT, b"3", task_id)
        asking.ask(Verb.FORGET, b"1", task_id)
        assert asking.ask(Verb.AWAIT, b"3", task_id) is False
        assert asking.ask(Verb.AWAIT, b"2", task_id) is True


def test_awaited_tasks(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client awaits so many; none more where there is no room for all of them, or one is not there."""
    monkeypatch.setattr(bounds.AWAITED, "each", 3)
    ids = [each.to_bytes(16, "big") for each in honest.push_bulk(range(4))]
    with stranger(server.endpoint) as asking:
        with pytest.raises(StorageError, match="0 awaited tasks"):
            asking.ask(Verb.AWAIT, b"1", b"".join(ids))
        asking.ask(Verb.AWAIT, b"1", b"".join(ids[:2]) * 3)
        with pytest.raises(LookupError):
            asking.ask(Verb.AWAIT, b"1", ID)
        asking.ask(Verb.AWAIT, b"1", ids[2])
        with pytest.raises(StorageError):
            asking.ask(Verb.AWAIT, b"2", ids[3])
        asking.ask(Verb.FORGET, b"1", ids[0])
        asking.ask(Verb.AWAIT, b"2", ids[3])
    waiting = server._desk.awaited
    assert waiting._tasks._all == 3
    waiting.tend(1e12)
    assert (waiting._tasks._all, waiting._waits._all, len(waiting._askers)) == (0, 0, 0)


def test_results_come_in_parts(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has as many values as it has room for, and one at least."""
    monkeypatch.setattr(awaited, "_LARGEST_FETCH", 15)
    waiting = honest.wait_for(honest.push_bulk(range(3)), PATIENCE)
    with honest.register_worker("worker") as lease:
        tasks = honest.poll(lease).take_many(3)
        lease.finish_many(tasks, [bytes(10)] * 3)
    assert [result.unwrap() for result in waiting] == [bytes(10)] * 3


def test_tasks_in_the_hands_of_a_worker(
    server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who takes and takes is refused until it has ended some."""
    monkeypatch.setattr(members, "_MOST_HANDED", 2)
    honest.push_bulk(range(3))
    with honest.register_worker("worker") as lease:
        stream = honest.poll(lease)
        tasks = stream.take_many(2)
        with pytest.raises(StorageError, match="2 tasks in its hands"):
            next(stream)
        lease.finish_many(tasks, [1, 2])
        assert next(stream) is not None


def test_tasks_that_one_answer_has_no_room_for(
    server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go back, and come with the next one; one that no answer has room for is KILLED."""
    monkeypatch.setattr(handing, "LARGEST_MESSAGE", 25)
    monkeypatch.setattr(handing, "LARGEST_BLOB", 40)
    last = honest.push(bytes(50), priority=-1)
    honest.push_bulk([bytes(10)] * 3, metadata={"some": "thing"})
    with honest.register_worker("worker") as lease:
        stream = honest.poll(lease)
        for _ in range(3):
            for task in stream.take_many(4):
                assert (task.args, task.metadata, task.attempts) == (bytes(10), {"some": "thing"}, 0)
                lease.finish(task, None)
        stream.take_many(4)
    result = honest.wait(last, PATIENCE)
    assert result.error is not None
    assert "cannot travel" in result.error.message


def test_a_page_has_a_bound(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for more is told to ask for less at a time."""
    monkeypatch.setattr(handing, "_LARGEST_PAGE", 15)
    honest.push_bulk([bytes(10)] * 3)
    with pytest.raises(StorageError, match="smaller page_size"):
        honest.list_tasks()


@pytest.mark.slow
def test_pushes_that_wait_for_room(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The payloads of those are bounded; one more is told at once that the queue is full."""
    monkeypatch.setattr(server_module, "_MOST_PARKED", HALF)
    honest.push(bytes(HALF))
    with stranger(server.endpoint) as first, stranger(server.endpoint) as second:
        first.send(Verb.PUSH, [ID, [PARTS], 60.0], [bytes(HALF)])
        while server._parking.size != HALF:
            honest.check_status([])
        second.send(Verb.PUSH, [_ids(1), [PARTS], 60.0], [bytes(HALF)])
        late = second.hear()
        assert late.outcome is Outcome.FAILED
        assert late.body[0] == "QueueFull"
        assert server._parking.size == HALF
        assert first.hear().body[0] == "QueueFull"  # its second is over
        honest.check_status([])
        assert server._parking.size == 0


def test_answers_that_are_kept(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest large ones are dropped; who asks for one again is told so."""
    monkeypatch.setattr(peers, "_MOST_KEPT", 30_000)
    told = list(own_identity())
    honest.push_bulk([bytes(20_000)] * 2)
    with stranger(server.endpoint) as first, stranger(server.endpoint) as second:
        for asking in (first, second):
            token, _ = asking.ask(Verb.REGISTER, f"worker {id(asking)}", [], told, None, b"")
            asking.ask(Verb.OPEN_STREAM, token, 1)
            assert len(asking.ask(Verb.TAKE, token, 1.0, 1)) == 1
            asking.socket.send_multipart(write_request(Request(3, Verb.TAKE, [token, 1.0, 1])))
            if asking is first:
                assert len(asking.hear().blobs[0]) > 20_000
        assert second.hear().outcome is Outcome.DONE
        first.socket.send_multipart(write_request(Request(3, Verb.TAKE, [0, 1.0, 1])))
        lost = first.hear()
        assert lost.outcome is Outcome.FAILED
        assert "dropped" in lost.body[1]


def test_sockets_that_are_known(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were silent for longest are forgotten."""
    monkeypatch.setattr(peers, "_MOST_PEERS", 3)
    for _ in range(5):
        with stranger(server.endpoint) as asking:
            asking.ask(Verb.HELLO)
    assert len(server._peers) == 3


def test_permits(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many clients may ask for some, and have so many together."""
    monkeypatch.setattr(holders, "_MOST_HOLDERS", 2)
    monkeypatch.setattr(holders, "_MOST_OF_ALL", 3)
    monkeypatch.setattr(holders, "_RECLAIMING", 0.0)
    told = list(own_identity())
    with stranger(server.endpoint) as asking:
        asked = [(b"1", 1), (b"1", 2), (b"2", 1), (b"2", 2)]
        given = [asking.ask(Verb.TAKE_PERMIT, who, told, [n, "limit", 9], 0.0) for who, n in asked]
        assert given == [True, True, True, False]
        with pytest.raises(StorageError, match="2 clients"):
            asking.ask(Verb.TAKE_PERMIT, b"3", told, [1, "limit", 9], 0.0)


# --- messages -------------------------------------------------------------------------------------


def test_frames_without_end(server: Server, honest: Pipe) -> None:
    """They are dropped, one by one; the connection is served on."""
    with stranger(server.endpoint) as asking:
        asking.socket.send_multipart([b"x"] * 50_000)
        assert asking.ask(Verb.HELLO)
    assert server.refusals.counts["malformed messages"] == 1


def test_bytes_of_a_message(server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames together have a bound, on the way in and on the way out."""
    monkeypatch.setattr(gate, "LARGEST_MESSAGE", 50_000)
    good = write_request(Request(1, Verb.PUSH, [_ids(3), [PARTS], 0.0], [bytes(20_000)] * 3))
    with stranger(server.endpoint) as asking:
        asking.socket.send_multipart(good)
        assert asking.ask(Verb.HELLO)
    assert server.refusals.counts["malformed messages"] == 1
    monkeypatch.setattr("ipcq.backends.pipe.frames.LARGEST_MESSAGE", 50_000)
    with pytest.raises(FrameError, match="a message of 60"):
        read_request(good)
    with pytest.raises(FrameError, match="a message of 60"):
        write_request(Request(1, Verb.PUSH, None, [bytes(20_000)] * 3))


def test_many_values_are_finished_in_parts(
    server: Server, honest: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker sends no message that is too large because there are many of them."""
    monkeypatch.setattr(gate, "LARGEST_MESSAGE", 50_000)
    monkeypatch.setattr("ipcq.backends.pipe.working._LARGEST_PART", 45_000)
    waiting = honest.wait_for(honest.push_bulk(range(5)), PATIENCE)
    with honest.register_worker("worker") as lease:
        lease.finish_many(honest.poll(lease).take_many(5), [bytes(20_000)] * 5)
    assert [len(result.unwrap()) for result in waiting] == [20_000] * 5
