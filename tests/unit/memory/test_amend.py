"""What the critical sections answer that change a task from outside, in corner cases."""

from __future__ import annotations

import pytest

from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    BLOB_VERSION_SHIFT,
    BLOB_VERSIONS,
    BUSY,
    D_BLOB,
    GONE,
    KIND_CANCELLED,
    LOST,
    M_EPOCH,
    M_PAYLOAD,
    NO_BYTES,
    OK,
    OP,
    REFUSED,
    SEQ,
    SOURCE_WRITTEN,
    ST_DONE,
    ST_FAILED,
    ST_FREE,
    ST_KILLED,
    ST_PENDING,
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
    for size, blob in ((5000, False), (5000, True)):
        assert sim.finish.reserve_result(*lease, WORKER, size, blob) == OK
        assert (sim.cancel(0), sim.resume(0), sim.update(0, New(0))) == (BUSY, BUSY, BUSY)
    sim.end(lease, WORKER, ST_FAILED, wait=SECOND)
    assert sim.cancel(0) == OK
    assert sim.truth()[0].status == ST_KILLED
    assert audit(sim.unwatched) == []


def test_postponed_by_who_has_it_alone(sim: Simulation) -> None:
    """Delayed, with what it was charged before; by a lease that is void, or another's, nothing changes."""
    sim.push(CLIENT, New(0, max_attempts=3), New(1))
    (lease,) = sim.take(WORKER)
    sim.end(lease, WORKER, ST_FAILED)
    queued, running = reversed(sim.take(WORKER, 2))
    before = sim.truth()
    assert sim.postpone(running, OTHER, SECOND) == sim.postpone(lease, WORKER, SECOND) == LOST
    assert sim.truth() == before
    for each in (queued, running):
        assert sim.postpone(each, WORKER, SECOND) == OK
        assert sim.postpone(each, WORKER, 0) == LOST
    assert [(t.status, t.attempts, t.deaths, t.due - sim.now) for _, t in sorted(sim.truth().items())] == [
        (ST_PENDING, 1, 0, SECOND), (ST_PENDING, 0, 0, SECOND)
    ]  # fmt: skip
    assert audit(sim.unwatched) == []
    assert sim.take(OTHER) == []
    sim.now += SECOND
    assert {lease.slot for lease in sim.take(OTHER, 2)} == {0, 1}


def test_a_new_version_takes_over_what_was_written_aside(sim: Simulation) -> None:
    """The place in which the payload was written is free then; without it, or another's, nothing changes."""
    sim.push(CLIENT, New(0))
    home = sim.reserve(CLIENT, New(0, size=2000))
    assert not isinstance(home, int)
    before = sim.truth()
    assert sim.update(0, New(0, size=2000), OTHER, SOURCE_WRITTEN, home) == LOST
    assert sim.update(0, New(0, size=2000), CLIENT, SOURCE_WRITTEN, home._replace(gen=9)) == LOST
    assert sim.truth() == before
    assert sim.update(0, New(0, size=2000, level=3), CLIENT, SOURCE_WRITTEN, home) == OK
    assert sim.update(0, New(0, size=2000, level=3), CLIENT, SOURCE_WRITTEN, home) == LOST
    assert sim.truth()[0].payload == New(0, size=2000).payload
    assert sim.with_status(ST_FREE) == [home.slot]
    assert audit(sim.unwatched) == []


def test_the_versions_of_a_file_differ(sim: Simulation) -> None:
    """From each other, from that of the task, and from none, though the numbers begin again."""
    sim.push(CLIENT, New(0))
    at = sim.core.meta_at + M_PAYLOAD
    sim.plain[SEQ] = BLOB_VERSIONS
    sim.plain[at] = D_BLOB | 100 << 2 | BLOB_VERSIONS << BLOB_VERSION_SHIFT
    assert [sim.amend.next_version(0) for _ in range(3)] == [1, 2, 3]


def test_no_room_for_a_new_version(sim: Simulation) -> None:
    """The task is as it was, and so are the bytes in use."""
    sim.push(CLIENT, New(0, size=4000), New(1, size=4000), New(2, size=3000))
    before = sim.image()
    assert sim.update(0, New(0, size=4096)) == NO_BYTES
    assert sim.truth()[0].payload == New(0, size=4000).payload
    assert audit(sim.unwatched) == []
    sim.rebuild()
    recovered = sim.truth()
    sim.load(before)
    assert sim.truth() == recovered


@pytest.mark.parametrize("size", [10, 300, 900])
def test_a_ready_task_keeps_its_place(sim: Simulation, size: int) -> None:
    """It is changed where it is, among many of its priority, and moved to where it belongs in another."""
    sim.push(CLIENT, *(New(n) for n in range(5)))
    assert sim.update(1, New(1, size=size)) == OK
    assert sim.order() == [0, 1, 2, 3, 4]
    for slot in (3, 0, 2):
        assert sim.update(slot, New(slot, level=9)) == OK
    assert sim.order() == [0, 2, 3, 1, 4]
    assert audit(sim.unwatched) == []


@pytest.mark.skipif(COMPILED, reason="nothing sees the stores; both modes run the same sections")
@pytest.mark.parametrize("size", [10, 300])
def test_a_result_that_died_with_its_owner_is_not_waited_for(sim: Simulation, size: int) -> None:
    """A small one is copied within the lock: what is there of a run that goes on is of no use to anybody."""
    sim.push(CLIENT, New(0))
    (lease,) = sim.take(WORKER)
    for image in sim.images(lambda: sim.end(lease, WORKER, ST_DONE, 1, bytes(size)))[1:]:
        sim.load(image)
        if sim.plain[OP]:
            sim.rebuild()
        assert sim.cancel(0) in (OK, REFUSED)
        assert audit(sim.unwatched) == []


def test_who_is_charged_for_a_task_does_not_change(sim: Simulation) -> None:
    """Whether its result is kept, and where its id came from, are no part of a new version."""
    sim.push(CLIENT, New(0, keep=False), New(1, given_id=True))
    for slot, keep in ((0, True), (1, False)):
        assert sim.update(slot, New(slot, keep=keep, level=3)) == OK
    limits = {number: truth.limits for number, truth in sim.truth().items()}
    assert limits == {0: New(0, keep=False, level=3).limits, 1: New(1, given_id=True, level=3).limits}
    assert audit(sim.unwatched) == []
