"""Garbage in any word of the control file: never a crash, never an endless walk, sound after a rebuild."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import pytest

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    DRAFT,
    DRAFT_END,
    HOT_END,
    META_WORDS,
    METRICS,
    METRICS_END,
    OP,
    PART_WORDS,
    PARTS_AT,
    SOURCE_WRITTEN,
    ST_DONE,
    ST_FAILED,
)
from tests.crash.operations import CLIENT, OTHER, WORKER, busy
from tests.crash.simulation import SECOND, TTL, New, Simulation

DAMAGE = (IndexError, ValueError, ArithmeticError)  # what the guard turns into a rebuild

WORDS = [(1 << 64) - 1, 1 << 63, 1 << 62, (1 << 62) - 1, 1 << 40, 1 << 32, 0xFFFF_FFFF, 1000, 24, 3, 1, 0]


def _addresses(sim: Simulation) -> list[range]:
    core = sim.core
    return [
        range(OP + 2, HOT_END),  # all of the hot page but op, and that the queue is closed
        range(DRAFT, DRAFT_END),
        range(METRICS, METRICS_END),
        range(PARTS_AT, PARTS_AT + core.participants * PART_WORDS),
        range(core.state_at, core.state_at + core.capacity),
        range(core.meta_at, core.meta_at + core.capacity * META_WORDS),
        range(core.delay.heap_at, core.delay.heap_at + core.capacity),
        range(core.buckets_at, core.buckets_at + core.buckets),
        range(core.arena.map_at, core.arena.map_at + core.arena.blocks),
    ]


def _scribble(sim: Simulation, random: Random, words: int) -> None:
    for _ in range(words):
        at = random.choice(random.choice(_addresses(sim)))
        old = sim.plain[at]
        kinds = [random.choice(WORDS), random.getrandbits(64), old ^ 1 << random.randrange(64)]
        sim.plain[at] = random.choice([*kinds, random.randrange(64)])


def _operations(sim: Simulation) -> list[Callable[[], object]]:
    """One of each operation, as who holds valid and invalid leases would call it."""
    held = [sim.lease(slot) for slot in range(sim.core.capacity)]
    some = [lease.slot for lease in held]
    result = b"r" * 300
    return [
        lambda: sim.push(CLIENT, New(301), New(302, size=300), New(303, given_id=True)),
        lambda: sim.push(CLIENT, New(304, run_at=sim.now + SECOND)),
        lambda: sim.reserve(CLIENT, New(305, size=2000)),
        lambda: [sim.publish(lease, CLIENT) for lease in held],
        lambda: [sim.accept.abandon(lease.slot, lease.gen, CLIENT) for lease in held],
        lambda: sim.take(WORKER, 3),
        lambda: [sim.deliver.start(*lease, OTHER, sim.now) for lease in held],
        lambda: [sim.deliver.give_back(*lease, OTHER) for lease in held[::2]],
        lambda: sim.deliver.unhoard(sim.now + SECOND),
        lambda: [sim.end(lease, WORKER, ST_DONE, 1, result) for lease in held[::3]],
        lambda: [sim.end(lease, WORKER, ST_FAILED, 2, b"error", 1) for lease in held],
        lambda: [sim.cancel(slot) for slot in some[::2]],
        lambda: [sim.update(slot, New(310 + slot, size=300 * (slot % 2))) for slot in some[::3]],
        lambda: [sim.update(held[1].slot, New(320, size=2000), CLIENT, SOURCE_WRITTEN, at) for at in held],
        lambda: [sim.resume(slot, slot % 2 * SECOND) for slot in some[1::3]],
        lambda: sim.collect.find(1, 12),
        lambda: sim.collect.inbox(CLIENT, 99),
        lambda: sim.settle(*((slot, bool(slot & 1)) for slot in some)),
        lambda: sim.take(OTHER, 9),
        lambda: sim.accept.make_room(3),
        lambda: sim.collect.vacuum(0, sim.now, False, True),
        lambda: sim.collect.expire(sim.now + TTL),
        lambda: sim.collect.waits_for_itself(CLIENT),
        lambda: sim.reclaim(OTHER),
        lambda: sim.recover.enter(OTHER),
        lambda: sim.reclaim(CLIENT, died=False),
    ]


def _guarded(sim: Simulation, operation: Callable[[], object]) -> None:
    """Run an operation as the guard does."""
    try:
        if sim.plain[OP]:
            sim.rebuild()
        operation()
    except DAMAGE:
        sim.rebuild()
        assert audit(sim.unwatched) == []
        operation()


def _survives(seed: int) -> None:
    random = Random(seed)
    sim = busy()
    before = sim.image()
    _scribble(sim, random, random.choice((1, 1, 2, 5, 40)))
    damaged = sim.image()
    sim.rebuild()
    assert audit(sim.unwatched) == []
    whole = sim.truth(), sim.order()
    assert sim.rebuild() == 0
    assert (sim.truth(), sim.order()) == whole

    sim.load(damaged)
    audit(sim.unwatched)
    operations = _operations(sim)
    random.shuffle(operations)
    for operation in operations:
        _guarded(sim, operation)
    sim.rebuild()
    assert audit(sim.unwatched) == []
    sim.load(before)


@pytest.mark.parametrize("seed", range(0, 100, 50))
def test_garbage_is_survived(seed: int) -> None:
    """Whatever stands in a few words, operations and rebuilds end, and a rebuild leaves a sound queue."""
    for n in range(seed, seed + 50):
        try:
            _survives(n)
        except Exception as error:
            raise AssertionError(f"seed {n}: {error!r}") from error


THOUSANDS = 19 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1000 * (THOUSANDS + 1), 1000))
def test_much_garbage_is_survived(seed: int) -> None:
    """The same for many more seeds."""
    for n in range(seed, seed + 1000):
        try:
            _survives(n)
        except Exception as error:
            raise AssertionError(f"seed {n}: {error!r}") from error
