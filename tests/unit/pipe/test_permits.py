"""Permits behind a pipe: whose they are, when a server is lost, and when a client is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ipcq
from ipcq import MemoryStorage, Pipe
from ipcq.backends.liveness import Identity, own_identity
from ipcq.backends.pipe import holders
from ipcq.backends.pipe.holders import Holders, Wanted
from tests.unit.memory.children import Line, child

from .serving import end, kill, serving

PATIENCE = 20.0
ME, OTHER = b"me", b"other"
HERE = list(own_identity())
AWAY = [1, 2, 3, 4]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of this process give out permits from their start."""
    monkeypatch.setattr(holders, "_RECLAIMING", 0.0)


@pytest.fixture
def server(queue: MemoryStorage, at_once: None) -> Iterator[Holders]:
    """What a server knows."""
    made = Holders(queue, dead_after=10.0)
    yield made
    made.close()


def _wanted(number: int, limit: int = 1) -> Wanted:
    return Wanted(number, "a", limit)


# --- what the server knows --------------------------------------------------------------------------


def test_asked_twice_and_given_once(server: Holders) -> None:
    """A question that is sent again has the same answer, and takes nothing more."""
    assert server.take(ME, HERE, _wanted(1, 2))
    assert server.take(ME, HERE, _wanted(1, 2))
    assert server.take(OTHER, HERE, _wanted(1, 2))
    assert not server.take(ME, HERE, _wanted(2, 2))
    assert repr(server) == "<Holders: 2 have 2 permits>"


def test_what_is_not_in_the_list_goes_back(server: Holders) -> None:
    """But for what was asked for after the list was made, or is asked for just now."""
    for number in (1, 2, 3):
        assert server.take(ME, HERE, _wanted(number, 3))
    server.keep(ME, HERE, 1, 3, [_wanted(1, 3)], [2])
    assert not server.take(OTHER, HERE, _wanted(1, 3))
    server.keep(ME, HERE, 2, 4, [_wanted(3, 3)], [])
    assert [server.take(OTHER, HERE, _wanted(number, 3)) for number in (2, 3, 4)] == [True, True, False]


def test_an_old_list_is_dropped(server: Holders) -> None:
    """What was given back since does not come back by it."""
    server.keep(ME, HERE, 2, 2, [], [])
    server.keep(ME, HERE, 1, 2, [_wanted(1)], [])
    assert server.take(OTHER, HERE, _wanted(1))


def test_a_question_that_comes_late(server: Holders) -> None:
    """Who does not wait for an answer any more is given nothing; who does is."""
    server.keep(ME, HERE, 1, 3, [], [2])
    assert not server.take(ME, HERE, _wanted(1))
    assert server.take(ME, HERE, _wanted(2))


def test_another_server_takes_what_clients_have(server: Holders, queue: MemoryStorage) -> None:
    """Before it gives out anything; where somebody else was faster it tries again with the next list."""
    with queue.take_permit("a", 1) or pytest.fail("none"):
        server.keep(ME, HERE, 7, 9, [_wanted(5)], [])
        assert repr(server) == "<Holders: 1 have 0 permits>"
    server.keep(ME, HERE, 8, 9, [_wanted(5)], [])
    assert queue.take_permit("a", 1) is None


def test_a_new_server_waits_for_what_clients_have(queue: MemoryStorage) -> None:
    """It gives out none at first, and takes what they tell."""
    server = Holders(queue, dead_after=10.0)
    assert not server.take(OTHER, HERE, _wanted(1, 2))
    server.keep(ME, HERE, 1, 2, [_wanted(1, 2)], [])
    assert repr(server) == "<Holders: 2 have 1 permits>"
    server.close()


def test_the_dead_have_none(server: Holders, queue: MemoryStorage) -> None:
    """Whose process is gone, and who cannot be seen and was silent for long; not who can be seen."""

    def tell(line: Line) -> None:
        line.say(" ".join(map(str, own_identity())))
        line.hear()

    with child(tell) as process:
        assert server.take(b"killed", list(map(int, process.hear().split())), _wanted(1, 3))
        assert server.take(b"away", AWAY, _wanted(1, 3))
        assert server.take(b"here", HERE, _wanted(1, 3))
        assert not Identity(*AWAY).can_be_seen
        server.tend(time.monotonic() + 5)
        assert queue.take_permit("a", 3) is None
        process.kill()
        server.tend(time.monotonic() + 5)
        assert repr(server) == "<Holders: 2 have 2 permits>"
        server.tend(time.monotonic() + 1000)
        assert repr(server) == "<Holders: 1 have 1 permits>"


def test_a_question_of_a_dead_client(server: Holders, queue: MemoryStorage) -> None:
    """It is found dead by its own question, and has nothing afterwards."""

    def tell(line: Line) -> None:
        line.say(" ".join(map(str, own_identity())))
        line.hear()

    with child(tell) as process:
        identity = list(map(int, process.hear().split()))
        assert server.take(b"killed", identity, _wanted(1))
        process.kill()
        server._tended = 0.0
        assert not server.take(b"killed", identity, _wanted(2))
    with queue.take_permit("a", 1) or pytest.fail("it was lost"):
        assert repr(server) == "<Holders: 0 have 0 permits>"


def test_many_clients_that_have_nothing(server: Holders, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are forgotten before they are too many."""
    monkeypatch.setattr(holders, "_MOST_HOLDERS", 3)
    assert server.take(ME, HERE, _wanted(1, 2))
    for number in range(9):
        server.keep(b"%d" % number, HERE, 1, 1, [], [])
    assert repr(server) == "<Holders: 2 have 1 permits>"


def test_who_has_nothing_is_forgotten(server: Holders) -> None:
    """After a minute of silence."""
    server.keep(ME, HERE, 1, 1, [], [])
    server.tend(time.monotonic() + 30)
    assert repr(server) == "<Holders: 1 have 0 permits>"
    server.tend(time.monotonic() + 90)
    assert repr(server) == "<Holders: 0 have 0 permits>"


# --- the two sides together -------------------------------------------------------------------------


@pytest.fixture
def endpoint(private_directory: Path) -> str:
    """Where the servers are, one after the other."""
    return f"ipc://{private_directory}/socket"


def _eventually(pipe: Any, limit: int = 1) -> Any:
    until = time.monotonic() + PATIENCE
    while (permit := pipe.take_permit("a", limit)) is None:
        assert time.monotonic() < until, "there is no permit"
        time.sleep(0.005)
    return permit


def test_a_client_that_closes(queue: MemoryStorage, endpoint: str, at_once: None) -> None:
    """What it had is there at once; the backend behind and the clients share the limit."""
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client:
        permit = _eventually(client)
        assert queue.take_permit("a", 1) is None
        client.close()
        _eventually(queue).release()
        permit.release()


def test_a_forked_child_gives_nothing_back(queue: MemoryStorage, endpoint: str, at_once: None) -> None:
    """It has no part in its parent's permit, and asks for its own."""
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client:
        permit = _eventually(client)

        def work(line: Line) -> None:
            permit.release()
            line.say(str(client.take_permit("a", 1)))

        with child(work) as process:
            assert process.hear() == "None"
        permit.release()
        _eventually(client).release()


def test_many_permits_and_one_thread(queue: MemoryStorage, endpoint: str, at_once: None) -> None:
    """It ends when there is nothing to tell for a while."""
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as client:
        for _ in range(50):
            _eventually(client).release()
        thread = client._permits._thread
        assert thread is not None
        thread.join(PATIENCE)
        assert not thread.is_alive()
        _eventually(client).release()
        assert queue.config


@pytest.mark.slow
@pytest.mark.parametrize("ended", [kill, end])
def test_a_run_that_outlives_its_server(private_directory: Path, endpoint: str, ended: Any) -> None:
    """The next server knows what the client has, and what it gave back while there was none."""
    with ipcq.connect("memory://permits") as queue:
        assert isinstance(queue, MemoryStorage)
        with (
            serving("memory://permits", endpoint) as first,
            Pipe(endpoint) as client,
            Pipe(endpoint) as other,
        ):
            kept, given_back = _eventually(client, 2), _eventually(client, 2)
            ended(first)
            given_back.release()
            with serving("memory://permits", endpoint):
                mine = _eventually(other, 2)
                assert other.take_permit("a", 2) is None
                kept.release()
                _eventually(other, 2).release()
                mine.release()
        queue.destroy(force=True)
