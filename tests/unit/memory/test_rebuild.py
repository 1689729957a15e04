"""What a rebuild keeps, what it repairs and what it sets aside."""

from __future__ import annotations

import pytest

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    ARENA_COMMITTED,
    FRESH,
    IDLE,
    KIND_CORRUPT,
    M_DONE_AT,
    M_EPOCH,
    M_LOCK_AT,
    M_PARTS,
    M_PAYLOAD,
    M_RESULT,
    M_RUN_AT,
    META_WORDS,
    P_ASLEEP,
    P_GEN,
    P_INBOX,
    P_OWNED,
    P_STATE,
    P_WAKE,
    PART_HIGH,
    REBUILDS,
    SEQ,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_RUNNING,
)
from tests.crash.operations import CLIENT, OTHER, WORKER, busy
from tests.crash.simulation import SECOND, TTL, New, Simulation


def _set(sim: Simulation, slot: int, at: int, value: int) -> None:
    sim.plain[sim.core.meta_at + slot * META_WORDS + at] = value


def _check(sim: Simulation, corrupt: int = 0) -> None:
    assert sim.rebuild() == corrupt
    assert audit(sim.unwatched) == []


def _corrupt(sim: Simulation) -> set[int]:
    return {n for n, truth in sim.truth().items() if truth.result and truth.result[0] == KIND_CORRUPT}


def test_a_sound_queue_stays_as_it_is() -> None:
    """A rebuild changes nothing that can be observed."""
    sim = busy()
    before = sim.truth(), sim.order()
    _check(sim)
    assert (sim.truth(), sim.order()) == before


def test_a_result_outlives_the_payload_that_had_metadata() -> None:
    """The payload of a DONE task is gone, how much of it was metadata still stands there."""
    sim = Simulation()
    for index in (CLIENT, WORKER):
        sim.recover.enter(index)
    sim.push(CLIENT, New(1, size=700))
    _set(sim, 0, M_PARTS, 1 << 32 | 100)
    (lease,) = sim.take(WORKER)
    sim.end(lease, WORKER, ST_DONE, 1, b"result")
    _check(sim)
    assert sim.truth()[1].status == ST_DONE
    assert sim.truth()[1].result == (1, b"result")


def test_two_tasks_with_one_area_cannot_both_be_right() -> None:
    """The second is set aside, and holds no part of the arena any more."""
    sim = busy()
    sim.push(CLIENT, New(101, size=300), New(102, size=700))
    slots = {sim.number(slot): slot for slot in sim.used()}
    _set(sim, slots[102], M_RESULT, sim.meta(slots[101], M_PAYLOAD))
    _set(sim, slots[101], M_RESULT, sim.meta(slots[102], M_PAYLOAD))
    sim.plain[sim.core.state_at + slots[101]] += ST_FAILED - ST_PENDING  # FAILED, which may have a result
    _check(sim, corrupt=1)
    _check(sim)


@pytest.mark.parametrize("word", [1 << 63, (1 << 64) - 1, 1 << 32 | 0xFFFFFF << 8 | 5 << 2 | 2])
def test_a_task_with_garbage_is_killed(word: int) -> None:
    """It says that it is corrupt; the others are as they were."""
    sim = busy()
    slot = sim.with_status(ST_PENDING)[0]
    before = sim.truth()
    _set(sim, slot, M_PAYLOAD, word)
    _check(sim, corrupt=1)
    number = sim.number(slot)
    assert _corrupt(sim) == {number}
    assert sim.truth()[number].status == ST_KILLED
    assert {n: t for n, t in sim.truth().items() if n != number} == {
        n: t for n, t in before.items() if n != number
    }


@pytest.mark.parametrize("at", [M_RUN_AT, M_LOCK_AT, M_DONE_AT])
def test_a_moment_that_no_clock_shows_is_garbage(at: int) -> None:
    """To it seconds are added, which must not go past the word."""
    sim = busy()
    slot = sim.with_status(ST_RUNNING)[0]
    _set(sim, slot, at, (1 << 64) - 1)
    _check(sim, corrupt=1)
    assert _corrupt(sim) == {sim.number(slot)}
    _check(sim)
    sim.deliver.unhoard(sim.now + SECOND)
    sim.collect.expire(sim.now + TTL)
    assert audit(sim.unwatched) == []


def test_an_epoch_that_cannot_grow_is_garbage() -> None:
    """Also in a free place, whose next task would suffer from it."""
    sim = busy()
    running, pending = sim.with_status(ST_RUNNING)[0], sim.with_status(ST_PENDING)[0]
    free = sim.plain[FRESH]
    sim.push(CLIENT, New(101, keep=False, level=15))
    (lease,) = sim.take(WORKER)
    sim.end(lease, WORKER, ST_DONE)
    for slot in (running, pending, free):
        _set(sim, slot, M_EPOCH, (1 << 64) - 1)
    _check(sim, corrupt=2)
    sim.push(CLIENT, New(102, level=15))
    assert sim.number(sim.take(WORKER)[0].slot) == 102


def test_tasks_of_a_row_that_is_not_in_use_go_back() -> None:
    """Garbage in a participant's state costs its tasks their run, no more."""
    sim = busy()
    held = [slot for slot in sim.used() if sim.word(slot) >> 8 & 0x3FF == OTHER + 1]
    sim.plain[sim.core.row(OTHER) + P_STATE] = 77
    _check(sim)
    assert held
    assert {sim.word(slot) & 0xF for slot in held} == {ST_PENDING}
    assert not sim.is_active(OTHER)


def test_a_row_that_is_not_in_use_keeps_no_list() -> None:
    """Its process may live and use it once more: garbage there must not stop the next operation."""
    sim = busy()
    row = sim.core.row(OTHER)
    sim.plain[row + P_STATE] = 77
    for at in (P_OWNED, P_OWNED + 1, P_INBOX, P_INBOX + 1):
        sim.plain[row + at] = 1 << 40
    _check(sim)
    assert sim.take(OTHER)
    sim.rebuild()
    assert audit(sim.unwatched) == []


@pytest.mark.parametrize("at", [FRESH, PART_HIGH])
def test_how_far_a_section_is_used_is_found_again(at: int) -> None:
    """No task is forgotten because a count says there are none."""
    sim = busy()
    before = sim.truth()
    sim.plain[at] = 0
    _check(sim)
    assert sim.truth() == before


@pytest.mark.parametrize("at", [FRESH, PART_HIGH, ARENA_COMMITTED, SEQ, REBUILDS])
@pytest.mark.parametrize("value", [1000, 1 << 40, (1 << 64) - 1])
def test_counts_that_are_too_large_are_survived(at: int, value: int) -> None:
    """They are limited before anything is done with them."""
    sim = busy()
    before = sim.truth()
    sim.plain[at] = value
    _check(sim)
    assert sim.truth() == before
    sim.push(CLIENT, New(201), New(202))
    assert set(sim.truth()) == {*before, 201, 202}
    assert audit(sim.unwatched) == []


def test_all_who_wait_are_woken() -> None:
    """Their places in the sets are gone: they must look again."""
    sim = busy()
    sim.core.wait_in(IDLE, WORKER)
    sim.plain[sim.core.row(WORKER) + P_ASLEEP] = 1
    before = sim.core.wait_in(IDLE, WORKER)
    _check(sim)
    assert sim.core.wait_in(IDLE, WORKER) == before + 1


def test_a_wake_word_with_garbage_starts_again() -> None:
    """Who is woken by it is woken all the same."""
    sim = busy()
    sim.plain[sim.core.row(WORKER) + P_WAKE] = (1 << 64) - 1
    _check(sim)
    assert sim.plain[sim.core.row(WORKER) + P_WAKE] == 0


def test_a_row_whose_generation_is_the_last_can_be_entered() -> None:
    """It starts again."""
    sim = Simulation()
    sim.plain[sim.core.row(0) + P_GEN] = (1 << 64) - 1
    sim.recover.enter(0)
    assert sim.is_active(0)
    assert sim.push(0, New(1)) == 1


def test_reclaim_stops_at_a_list_that_lies() -> None:
    """The row stays active; after a rebuild its turn comes again."""
    sim = busy()
    sim.plain[sim.core.row(OTHER) + P_OWNED] = sim.with_status(ST_PENDING)[0] + 1
    before = sim.truth()
    sim.reclaim(OTHER)
    assert sim.is_active(OTHER)
    assert sim.truth() == before
    sim.mend(OTHER)
    assert not sim.is_active(OTHER)
    assert audit(sim.unwatched) == []
