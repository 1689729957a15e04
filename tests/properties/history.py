"""Random histories of one queue's memory, told as checksums: the same in both modes.

    python -m tests.properties.history agree FIRST LAST     a line for each history: a checksum of its end
    python -m tests.properties.history damage FIRST LAST    likewise, with words overwritten at random

Each number is one history. What differs between the modes in the damaged ones (which store came before
the damage was met) is not told, only that the queue is whole again.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Callable

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    OK,
    OP,
    SOURCE_GIVEN,
    SOURCE_KEPT,
    SOURCE_WRITTEN,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_QUEUED,
    ST_RUNNING,
    ST_WRITING,
)
from ipcq.backends.memory.slots import finished
from tests.crash.simulation import SECOND, TTL, Lease, New, Simulation

ROWS = 4
STEPS = 120
DAMAGE = (IndexError, ValueError, ArithmeticError)  # what the guard answers with a rebuild


class History:
    """One random history; every operation that the queue has, on whatever it finds."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.sim = Simulation(capacity=16)
        self.number = 0
        self.answers = 0
        for row in range(ROWS):
            self.sim.recover.enter(row)
        self.operations: list[Callable[[int], object]] = [
            self.push, self.push, self.reserve, self.publish, self.take, self.take, self.start,
            self.give_back, self.end, self.end, self.cancel, self.resume, self.update, self.fetch,
            self.vacuum, self.expire, self.come_back, self.make_room, self.look, self.result,
            self.unhoard, self.wait, self.postpone,
        ]  # fmt: skip

    def step(self) -> None:
        """One operation of a random participant; its answer counts."""
        self.sim.now += self.chance.randrange(3 * SECOND)
        answer = self.chance.choice(self.operations)(self.chance.randrange(ROWS))
        self.answers = zlib.crc32(repr(answer or 0).encode(), self.answers)

    def checksum(self) -> int:
        """Of all memory, and of all answers."""
        return zlib.crc32(b"".join(self.sim.image()), self.answers)

    # --- operations -----------------------------------------------------------------------------

    def _slot(self, status: int, row: int) -> int | None:
        found = self.sim.with_status(status, row)
        return self.chance.choice(found) if found else None

    def _new(self, size: int) -> New:
        self.number += 1
        run_at = self.sim.now + self.chance.choice((-1, 1, 5)) * SECOND
        pick = self.chance.choice
        return New(
            self.number - pick((0, 0, 0, 1)), size, pick((7, 7, 0, 15)), run_at, pick((True, True, False)),
            pick((1, 2, 3)), pick((0, 1, 2)), pick((True, False)),
        )  # fmt: skip

    def push(self, row: int) -> object:
        return self.sim.push(row, *(self._new(self.chance.choice((0, 10, 104, 105, 900))) for _ in range(3)))

    def reserve(self, row: int) -> object:
        return self.sim.reserve(row, self._new(self.chance.choice((1000, 3000, 6000))))

    def publish(self, row: int) -> object:
        slot = self._slot(ST_WRITING, row)
        if slot is None:
            return None
        lease = self.sim.lease(slot)
        if self.chance.random() < 0.3:
            return self.sim.accept.abandon(slot, lease.gen, row)
        return self.sim.publish(lease, row)

    def take(self, row: int) -> object:
        return [tuple(lease) for lease in self.sim.take(row, self.chance.randrange(1, 5))]

    def _lease(self, status: int, row: int) -> Lease | None:
        slot = self._slot(status, row)
        if slot is None:
            return None
        lease = self.sim.lease(slot)
        return lease._replace(epoch=lease.epoch + (self.chance.random() < 0.1))

    def start(self, row: int) -> object:
        lease = self._lease(ST_QUEUED, row)
        return lease and self.sim.deliver.start(*lease, row, self.sim.now)

    def give_back(self, row: int) -> object:
        lease = self._lease(self.chance.choice((ST_QUEUED, ST_RUNNING)), row)
        return lease and self.sim.deliver.give_back(*lease, row)

    def postpone(self, row: int) -> object:
        lease = self._lease(self.chance.choice((ST_QUEUED, ST_RUNNING)), row)
        return lease and self.sim.postpone(lease, row, self.chance.choice((0, 4 * SECOND)))

    def end(self, row: int) -> object:
        lease = self._lease(ST_RUNNING, row)
        result = bytes(self.chance.choice((0, 10, 56, 57, 600)))
        status = self.chance.choice((ST_DONE, ST_FAILED, ST_KILLED))
        return lease and self.sim.end(lease, row, status, 1, result, self.chance.choice((0, 4 * SECOND)))

    def result(self, row: int) -> object:
        lease, blob = self._lease(ST_RUNNING, row), self.chance.random() < 0.5
        return lease and self.sim.finish.reserve_result(*lease, row, self.chance.randrange(300, 5000), blob)

    def cancel(self, row: int) -> object:
        if not self.sim.used():
            return None
        slot = self.chance.choice(self.sim.used())
        return self.sim.cancel(slot)

    def resume(self, row: int) -> object:
        if not self.sim.used():
            return None
        slot, wait = self.chance.choice(self.sim.used()), self.chance.choice((0, 0, 4 * SECOND))
        return self.sim.resume(slot, wait, reset=self.chance.random() < 0.3)

    def update(self, row: int) -> object:
        if not self.sim.used():
            return None
        slot = self.chance.choice(self.sim.used())
        new = self._new(self.chance.choice((0, 10, 104, 105, 900)))._replace(number=self.sim.number(slot))
        writing = self._slot(ST_WRITING, row)
        if writing is None or self.chance.random() < 0.5:
            return self.sim.update(slot, new, row, self.chance.choice((SOURCE_GIVEN, SOURCE_KEPT)))
        home = self.sim.lease(writing)
        return self.sim.update(slot, new._replace(size=6000), row, SOURCE_WRITTEN, home)

    def fetch(self, row: int) -> object:
        count = self.sim.collect.inbox(row, 5)
        slots = [self.sim.out[2 * n] for n in range(count)]
        if self.sim.used():
            slots.append(self.chance.choice(self.sim.used()))
        return self.sim.settle(*((slot, self.chance.random() < 0.7) for slot in slots))

    def vacuum(self, row: int) -> object:
        before = self.sim.now - self.chance.choice((0, 20 * SECOND))
        return self.sim.collect.vacuum(0, before, self.chance.random() < 0.5, self.chance.random() < 0.5)

    def expire(self, row: int) -> object:
        return self.sim.collect.expire(self.sim.now + TTL - 60 * SECOND)

    def come_back(self, row: int) -> object:
        """Leave or die, and enter again."""
        count = self.sim.reclaim(row, self.chance.random() < 0.5)
        self.sim.recover.enter(row)
        return count

    def make_room(self, row: int) -> object:
        return self.sim.accept.make_room(2)

    def unhoard(self, row: int) -> object:
        return self.sim.deliver.unhoard(self.sim.now)

    def wait(self, row: int) -> object:
        """All ways to wait."""
        sim = self.sim
        seen = [sim.accept.wait_for_space(row), sim.finish.wait_for_room(row)]
        sim.finish.found_room(row)
        sim.collect.watch(row)
        return [*seen, int(sim.collect.waits_for_itself(row))]

    def look(self, row: int) -> object:
        self.sim.stage[0], self.sim.stage[1] = 1, self.chance.randrange(self.number + 1)
        self.sim.collect.find_many(1)
        found = self.sim.out[0], self.sim.out[1]
        return found, [finished(self.sim.word(slot)) for slot in self.sim.used()]

    # --- damage ---------------------------------------------------------------------------------

    def damage(self) -> None:
        """Overwrite a word with something likely to hurt."""
        words, chance = self.sim.plain, self.chance
        at = chance.choice((chance.randrange(512, 640), chance.randrange(512, len(words))))
        value = chance.choice((0, 1, 2, 17, 64, 4096, 1 << 31, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1))
        flip = 1 << chance.randrange(64)
        words[at] = chance.choice((value, words[at] ^ flip, chance.getrandbits(64)))

    def guarded(self) -> None:
        """One operation as the guard runs it."""
        try:
            if self.sim.plain[OP]:
                self.sim.rebuild()
            self.step()
        except DAMAGE:
            self.sim.rebuild()


def agree(seed: int) -> int:
    """The end of one history."""
    history = History(seed)
    for n in range(STEPS):
        history.step()
        if n % 40 == 39:
            history.sim.rebuild()
    assert audit(history.sim.core) == []
    return history.checksum()


def damaged(seed: int) -> int:
    """The end of one history in which words are overwritten; `OK` once it is whole again."""
    history = History(seed)
    for n in range(STEPS):
        if n % 10 == 5:
            history.damage()
        history.guarded()
    history.sim.rebuild()
    assert audit(history.sim.core) == [], seed
    return OK


def main(what: str, first: str, last: str) -> None:
    """Tell the histories from ``first`` up to ``last``."""
    tell = agree if what == "agree" else damaged
    for seed in range(int(first), int(last)):
        print(seed, tell(seed), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
