"""Permits behind a pipe, over a network that loses answers, keeps messages back, and servers that die."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from ipcq import StorageError
from ipcq.backends.pipe.frames import Verb
from ipcq.backends.pipe.holders import Holders, Wanted
from ipcq.backends.pipe.permits import Permits, PipePermit
from ipcq.layers.own import OwnLimits
from ipcq.testing import FakeClock

LIMIT, CLIENTS = 2, 3
AWAY = [1, 2, 3, 4]  # nobody whose process could be seen


FATES = ["answered"] * 5 + ["kept back", "kept back", "answer lost", "lost"]


class Telling(Permits):
    """Tells when the test says so, instead of in a thread."""

    def _change(self) -> None:
        self._changes += 1


class Network:
    """In the place of a client's channels."""

    endpoint, closed = "nowhere", False

    def __init__(self, world: World) -> None:
        self._world = world

    def call(self, verb: Verb, *body: Any, patience: float = 0.0) -> Any:
        who, _, *rest = body
        return self._world.send(lambda server: _handle(server, verb, who, rest))


def _handle(server: Holders, verb: Verb, who: bytes, body: list[Any]) -> bool:
    if verb is Verb.TAKE_PERMIT:
        return server.take(who, AWAY, Wanted(*body[0]), body[1])
    number, following, has, asked = body
    server.keep(who, AWAY, number, following, [Wanted(*each) for each in has], asked)
    return True


class _Answer:
    def __init__(self, body: bool) -> None:
        self.body = body


class World:
    """Some clients and one server after the other."""

    def __init__(self) -> None:
        self.clock = FakeClock(100)
        self.backend = OwnLimits(self.clock)
        self.kept_back: list[Callable[[Holders], bool]] = []
        self.fate = "answered"
        self.clients = [self._client() for _ in range(CLIENTS)]
        self.held: list[list[PipePermit]] = [[] for _ in range(CLIENTS)]
        self.told: set[int] = set()
        self._start()
        self.settle()  # nobody has anything

    def _client(self) -> Permits:
        return Telling(Network(self))  # type: ignore[arg-type] # all that it uses

    def _start(self) -> None:
        self.server = Holders(self.backend, dead_after=1e9)
        self.told.clear()
        self.server._begun = float("inf")  # it gives out none until all have told what they have

    def send(self, message: Callable[[Holders], bool]) -> _Answer:
        """Let a message have its fate."""
        if self.fate == "kept back":
            self.kept_back.append(message)
        if self.fate in ("kept back", "lost"):
            raise StorageError("no server answered")
        answer = _Answer(message(self.server))
        if self.fate == "answer lost":
            raise StorageError("no server answered")
        return answer

    def take(self, client: int, fate: str) -> None:
        """A client asks for a permit."""
        self.fate = fate
        try:
            permit = self.clients[client].take("a", LIMIT)
        except StorageError:
            return
        if permit is not None:
            self.held[client].append(permit)

    def release(self, client: int, which: int) -> None:
        """A client gives one back, and tells nobody yet."""
        if self.held[client]:
            self.held[client].pop(which % len(self.held[client])).release()

    def tell(self, client: int, fate: str) -> None:
        """A client sends its list, as long as there is a reason."""
        told = self.clients[client]
        if not told._held and told._changes == told._known:
            self.told.add(client)
            return
        self.fate = fate
        try:
            self.clients[client]._tell(0.0)
        except StorageError:
            return
        self.told.add(client)

    def arrive(self, which: int) -> None:
        """What was kept back arrives, in any order."""
        if self.kept_back:
            self.kept_back.pop(which % len(self.kept_back))(self.server)

    def settle(self) -> None:
        """All had time to tell the server what they have."""
        for client in range(CLIENTS):
            if client not in self.told:
                self.tell(client, "answered")
        self.server._begun = float("-inf")

    def lose_the_server(self) -> None:
        """It is killed, and another one started; what was on its way to it is lost."""
        self.server.close()
        self.kept_back.clear()
        self._start()

    def lose_a_client(self, client: int) -> None:
        """It is killed, and the server finds that; another one comes."""
        self._bury(client)
        self.clients[client] = self._client()
        self.held[client] = []

    def _bury(self, client: int) -> None:
        holder = self.server._all.get(self.clients[client]._me[0])
        if holder is not None:
            holder.heard = float("-inf")
            self.server.tend(time.monotonic())

    def check(self) -> None:
        """Whatever happened, no more believe that they have one."""
        assert sum(map(len, self.held)) <= LIMIT

    def end(self) -> None:
        """When all is told, the server has what the clients have, and all others are there."""
        for _ in range(2):  # what comes late comes when some have nothing to tell any more
            for client in range(CLIENTS):
                self.tell(client, "answered")
            while self.kept_back:
                self.kept_back.pop()(self.server)
        for client in range(CLIENTS):
            self.tell(client, "answered")
        living = {each._me[0] for each in self.clients}
        for who, holder in self.server._all.items():
            if who not in living:  # a killed client's message that came late: its process is found to be gone
                holder.heard = float("-inf")
        self.server.tend(time.monotonic())
        held = sum(map(len, self.held))
        assert self.backend.running == held
        self.settle()
        self.clock.advance(1.0)  # a client that asked for what it had already was the first in line
        taken = [self.backend.take_permit("a", LIMIT) for _ in range(LIMIT)]
        assert sum(permit is not None for permit in taken) == LIMIT - held


STEPS: list[tuple[int, Callable[[World, random.Random], object]]] = [
    (30, lambda world, chance: world.take(chance.randrange(CLIENTS), chance.choice(FATES))),
    (20, lambda world, chance: world.release(chance.randrange(CLIENTS), chance.randrange(9))),
    (30, lambda world, chance: world.tell(chance.randrange(CLIENTS), chance.choice(FATES))),
    (10, lambda world, chance: world.arrive(chance.randrange(99))),
    (5, lambda world, chance: world.settle()),
    (2, lambda world, chance: world.lose_the_server()),
    (2, lambda world, chance: world.lose_a_client(chance.randrange(CLIENTS))),
]


@pytest.mark.parametrize("histories", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_any_history(histories: int) -> None:
    """Never more permits than the limit, and none is lost."""
    weights = [weight for weight, _ in STEPS]
    given = 0
    for seed in range(histories):
        chance, world = random.Random(seed), World()
        for _, step in chance.choices(STEPS, weights, k=chance.randrange(5, 80)):
            step(world, chance)
            world.check()
        given += sum(map(len, world.held))
        world.end()
    assert given > histories / 2  # they have some to lose


@pytest.mark.parametrize("fate", ["answer lost", "kept back"])
def test_a_permit_that_nobody_heard_of(fate: str) -> None:
    """Given to a client that gave up asking: it goes back with the next list, and does not come again."""
    world = World()
    world.take(0, fate)
    if fate == "kept back":
        world.arrive(0)
    assert world.backend.running == 1
    world.end()
