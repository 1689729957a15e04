"""Processes killed at random instructions of the queue's critical sections, compiled or not.

A store that another process can see is not the only place where one can die: between two instructions
of compiled code nothing tells a test where it is. So children do nothing but critical sections, and
are killed after random microseconds.
"""

from __future__ import annotations

import os
import random
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ipcq import MemoryStorage
from ipcq.backends.memory.exchange import Staged
from ipcq.backends.memory.layout import (
    FRESH,
    L_DEATHS_SHIFT,
    L_KEEP,
    L_LEVEL_SHIFT,
    M_EPOCH,
    M_LIMITS,
    META_WORDS,
    NEED_SLOTS,
    OP,
    PROGRESS_TOLD,
    REBUILDS,
    S_WORDS,
    SOURCE_GIVEN,
    SOURCE_KEPT,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
)
from ipcq.backends.memory.slots import generation
from ipcq.backends.parts import microseconds
from tests.unit.memory.children import Line, child

from .aftermath import check_empty, check_whole

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

LONG = float(os.environ.get("IPCQ_CHAOS_SECONDS", "30"))


MANY = 32
SIZES = (0, 10, 104, 105, 700, 3000)


class Hands:
    """One process that is client and worker, and calls critical sections with nothing in between."""

    def __init__(self, storage: MemoryStorage, name: str) -> None:
        self.connection = storage._attached()
        self.client = storage._me().index
        me = storage.register_worker(name).me
        self.worker, self.generation = me.index, me.generation
        self.chance = random.Random(name)

    def work(self) -> None:
        """For ever."""
        connection = self.connection
        while True:
            self.exchange()
            self.push()
            for slot, epoch in self.take():
                self.end(slot, epoch)
            self.change()
            self.fetch()
            connection.run(connection.accept.make_room, MANY)
            connection.run(connection.deliver.unhoard, microseconds())
            if self.chance.random() < 0.1:
                connection.run(connection.collect.vacuum, 0, microseconds(), True, True)

    def exchange(self) -> None:
        """The steps that take the lock themselves."""
        connection, exchange = self.connection, self.connection.exchange
        words = (0, 2 | 2 << L_DEATHS_SHIFT | L_KEEP, 0, 0)
        size = self.chance.choice(SIZES)
        tasks: list[Staged] = [(self.chance.getrandbits(128), bytes(size), words) for _ in range(MANY)]
        while exchange.push(tasks, self.client, microseconds())[1] == NEED_SLOTS:
            connection.grow_slots()
        count, places = exchange.take(self.worker, self.generation, MANY, MANY // 2, microseconds())
        leases = [tuple(places[at : at + 3]) for at in range(0, 3 * count, 3)]
        running, held = leases[: MANY // 2], leases[MANY // 2 :]
        for lease in running:
            exchange.tell(lease, self.worker, PROGRESS_TOLD | size)
        exchange.finish_many(running[1:], self.worker, 1, [bytes(size)] * len(running[1:]), microseconds())
        for lease, following in zip(running[:1] + held, [*held, None], strict=False):
            exchange.finish(lease, self.worker, 1, bytes(size), following, microseconds())
        count, found = exchange.inbox(self.client, MANY)
        if count:
            looked = [exchange.look(found[at], found[at + 1]) for at in range(0, 2 * count, 2)]
            exchange.settle(looked, [None if n % 4 else n for n in range(count)])

    def push(self) -> None:
        connection, stage = self.connection, self.connection.stage
        size = self.chance.choice(SIZES)
        for n in range(MANY):
            due = microseconds() + 300 if n % 8 == 7 else 0
            limits = 2 | 2 << L_DEATHS_SHIFT | n % 3 << L_LEVEL_SHIFT | (L_KEEP if n % 5 else 0)
            for at, word in enumerate((n, self.chance.getrandbits(64), 0, size, due, limits, 0, 0)):
                stage[n * S_WORDS + at] = word
        data = memoryview(bytes(size))
        while connection.run(connection.accept.push, data, MANY, self.client, microseconds()) == NEED_SLOTS:
            connection.grow_slots()

    def take(self) -> list[tuple[int, int]]:
        connection, out = self.connection, self.connection.out
        count = connection.run(connection.deliver.take, self.worker, MANY, 1, microseconds())
        return [(out[2 * n], out[2 * n + 1]) for n in range(count)]

    def end(self, slot: int, epoch: int) -> None:
        connection, now = self.connection, microseconds()
        gen = generation(connection.words[connection.core.state_at + slot])
        connection.run(connection.deliver.start, slot, gen, epoch, self.worker, now)
        connection.run(connection.deliver.tell, slot, gen, epoch, self.worker, PROGRESS_TOLD)
        size = self.chance.choice(SIZES)
        status = self.chance.choice((ST_DONE, ST_DONE, ST_FAILED, ST_KILLED))
        lease = (slot, gen, epoch, self.worker)
        connection.run(connection.finish.end, *lease, status, 1, memoryview(bytes(size)), size, now, now)

    def change(self) -> None:
        """Tasks from outside, whoever has them."""
        connection, words, core = self.connection, self.connection.words, self.connection.core
        for _ in range(MANY):
            slot = self.chance.randrange(words[FRESH])
            m, now = core.meta_at + slot * META_WORDS, microseconds()
            seen = slot, words[core.state_at + slot], words[m + M_EPOCH]
            which = self.chance.random()
            if which < 0.1:
                connection.run(connection.amend.cancel, *seen, now)
            elif which < 0.5:
                connection.run(connection.amend.resume, *seen, now + self.chance.choice((0, 300)), True, now)
            else:
                self.update(seen, words[m + M_LIMITS] ^ self.chance.randrange(4) << L_LEVEL_SHIFT)

    def update(self, seen: tuple[int, int, int], limits: int) -> None:
        connection, stage = self.connection, self.connection.stage
        size = self.chance.choice(SIZES)
        source = self.chance.choice((SOURCE_KEPT, SOURCE_GIVEN))
        for at, word in enumerate((0, 0, 0, size, 0, limits, 0, 0, source)):
            stage[at] = word
        connection.run(connection.amend.update, *seen, memoryview(bytes(size)), microseconds())

    def fetch(self) -> None:
        connection, stage, out = self.connection, self.connection.stage, self.connection.out
        count = connection.run(connection.collect.inbox, self.client, MANY)
        for n in range(count):
            stage[3 * n], stage[3 * n + 1], stage[3 * n + 2] = out[2 * n], out[2 * n + 1], n % 4 > 0
        connection.run(connection.collect.settle, count)


def _work(storage: MemoryStorage, number: int, line: Line) -> None:
    with MemoryStorage(storage.queue) as queue:
        hands = Hands(queue, f"worker-{number}")
        line.say()
        hands.work()


@pytest.mark.parametrize("seconds", [0.6, pytest.param(LONG, marks=pytest.mark.slow, id="long")])
def test_killed_at_any_instruction(make_queue: MakeQueue, seconds: float) -> None:
    """After each of hundreds of kills the queue is whole, and in the end it can be emptied."""
    storage = make_queue(capacity=256, arena_bytes=1 << 20)
    assert storage._connection.grow_arena()
    words = storage._connection.words
    chance = random.Random(2)
    kills = inside = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until or not inside:  # how often one is inside, chance decides
        assert kills < 2000
        with child(partial(_work, storage, kills)) as process:
            process.hear()
            time.sleep(chance.uniform(0, 0.004))
            process.kill()
        kills += 1
        inside += words[OP] != 0
        check_whole(storage)
    print(f"\n{kills} kills, {inside} of them inside a section, {words[REBUILDS]} rebuilds")
    _drain(storage)
    check_empty(storage)


def _drain(storage: MemoryStorage) -> None:
    """Run what is left."""
    with storage.register_worker("last") as worker:
        stream = storage.poll(worker)
        while (task := next(stream)) is not None:
            worker.finish(task, None)
        stream.close()
