"""What the critical sections answer that change a task from outside, in corner cases."""

from __future__ import annotations

import pytest

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    BUSY,
    GONE,
    KIND_CANCELLED,
    LOST,
    M_EPOCH,
    OK,
    REFUSED,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
)
from tests.crash.simulation import SECOND, New, Simulation

CLIENT, WORKER, OTHER = range(3)


@pytest.fixture
def sim() -> Simulation:
    """A queue with a client, a worker, and another one."""
    found = Simulation(6)
    for index in (CLIENT, WORKER, OTHER):
        found.recover.enter(index)
    return found


def test_cancel_ends_whatever_is_not_finished(sim: Simulation) -> None:
    """PENDING, delayed, QUEUED and RUNNING tasks are KILLED; leases on them are void."""
    sim.push(CLIENT, New(0), New(1), New(2, run_at=sim.now + SECOND), New(3))
    running, queued = sim.take(WORKER, 2)
    for slot in (running.slot, queued.slot, 2, 3):
        assert sim.cancel(slot) == OK
        assert sim.cancel(slot) == REFUSED
    assert {number: truth.result for number, truth in sim.truth().items()} == dict.fromkeys(
        range(4), (KIND_CANCELLED, None)
    )
    assert sim.deliver.start(*queued, WORKER, sim.now) == LOST
    assert sim.end(running, WORKER, ST_DONE) == LOST
    assert audit(sim.unwatched) == []


def test_what_changed_since_it_was_seen_is_left_alone(sim: Simulation) -> None:
    """Another status, another hand-out, another task in the place: the caller must look again."""
    sim.push(CLIENT, New(0))
    word, epoch = sim.word(0), sim.meta(0, M_EPOCH)
    (lease,) = sim.take(WORKER)
    assert sim.amend.cancel(0, word, epoch, sim.now) == GONE
    word, epoch = sim.word(0), sim.meta(0, M_EPOCH)
    sim.deliver.give_back(*lease, WORKER)
    sim.take(WORKER)
    assert sim.amend.cancel(0, word, epoch, sim.now) == GONE  # the same but for its epoch
    assert sim.cancel(0) == OK
    word = sim.word(0)
    sim.collect.vacuum(0, sim.now, True, True)
    assert sim.amend.cancel(0, word, sim.meta(0, M_EPOCH), sim.now) == GONE


def test_a_result_that_is_being_stored_is_not_taken_away(sim: Simulation) -> None:
    """Its owner copies into that memory without the lock: BUSY until the run has ended."""
    sim.push(CLIENT, New(0, max_attempts=2))
    (lease,) = sim.take(WORKER)
    assert sim.finish.reserve_result(*lease, WORKER, 1000, False) == OK
    assert sim.cancel(0) == BUSY
    sim.end(lease, WORKER, ST_FAILED, wait=SECOND)
    assert sim.cancel(0) == OK
    assert sim.truth()[0].status == ST_KILLED
    assert audit(sim.unwatched) == []
