"""What the critical sections answer in corner cases: full, last, wrapped, too late."""

from __future__ import annotations

import pytest

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    DUPLICATE,
    FULL,
    GEN_MASK,
    GEN_SHIFT,
    GONE,
    HOARD,
    IDLE,
    KIND_DIED,
    LOST,
    MAX_ATTEMPTS,
    NEED_SLOTS,
    NO_BYTES,
    OK,
    P_ASLEEP,
    SLOTS_COMMITTED,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_RUNNING,
    UNLINKS,
    WAKES,
)
from ipcq.backends.memory.slots import generation
from tests.crash.simulation import SECOND, TTL, Lease, New, Simulation

CLIENT, WORKER, OTHER = range(3)


def _queue(capacity: int = 4) -> Simulation:
    sim = Simulation(capacity)
    for index in (CLIENT, WORKER, OTHER):
        sim.recover.enter(index)
    return sim


def _run(sim: Simulation, new: New, status: int = ST_DONE, result: bytes = b"r") -> Lease:
    sim.push(CLIENT, new)
    (lease,) = sim.take(WORKER)
    assert sim.end(lease, WORKER, status, 1, result) == OK
    return lease


# --- full -------------------------------------------------------------------------------------


def test_a_queue_of_one_place_works() -> None:
    """Its only place is used again and again."""
    sim = _queue(capacity=1)
    for number in range(5):
        assert sim.push(CLIENT, New(number), New(99)) == 1
        assert sim.push_code(CLIENT, New(98)) == FULL
        (lease,) = sim.take(WORKER, 3)
        sim.end(lease, WORKER, ST_DONE)
        assert sim.push_code(CLIENT, New(98)) == FULL
        assert sim.settle((lease.slot, True)) == [OK]
        assert audit(sim.unwatched) == []
    assert sim.order() == []


def test_the_result_that_was_fetched_first_gives_way() -> None:
    """A full queue makes place from what was fetched, and from nothing else."""
    sim = _queue(capacity=3)
    leases = [_run(sim, New(number)) for number in range(3)]
    sim.settle((leases[2].slot, True), (leases[0].slot, True))
    assert sim.push(CLIENT, New(3)) == 1
    assert set(sim.truth()) == {0, 1, 3}
    assert sim.push(CLIENT, New(4), New(5)) == 1
    assert set(sim.truth()) == {1, 3, 4}


def test_memory_is_committed_before_results_give_way() -> None:
    """As long as there are places without memory the caller is asked for it."""
    sim = _queue(capacity=4)
    sim.plain[SLOTS_COMMITTED] = 1
    _run(sim, New(0))
    sim.settle((0, True))
    assert sim.push_code(CLIENT, New(1)) == NEED_SLOTS
    sim.plain[SLOTS_COMMITTED] = 4
    assert sim.push_code(CLIENT, New(1)) == OK


def test_payloads_leave_the_results_their_room() -> None:
    """The payloads' budget ends before the arena does (I12)."""
    sim = Simulation(capacity=12, blocks=64, payload_blocks=48)
    for index in (CLIENT, WORKER):
        sim.recover.enter(index)
    number = 0
    while sim.push_code(CLIENT, New(number, size=2000)) == OK:
        number += 1
    assert number == 6
    assert sim.push_code(CLIENT, New(number, size=2000)) == NO_BYTES
    (lease,) = sim.take(WORKER)
    assert sim.end(lease, WORKER, ST_DONE, 1, b"r" * 4000) == OK


def test_who_waits_for_itself_is_told() -> None:
    """When every place is taken by the pusher's own tasks and one of them is finished."""
    sim = _queue(capacity=2)
    lease = _run(sim, New(0))
    sim.push(CLIENT, New(1))
    assert sim.collect.waits_for_itself(CLIENT)
    assert not sim.collect.waits_for_itself(OTHER)
    sim.settle((lease.slot, True))
    assert not sim.collect.waits_for_itself(CLIENT)


def test_who_waits_for_others_is_not() -> None:
    """Another's task in a place may end and make room."""
    sim = _queue(capacity=2)
    _run(sim, New(0))
    sim.push(OTHER, New(1))
    assert not sim.collect.waits_for_itself(CLIENT)


def test_killed_tasks_count_though_their_result_was_not_to_be_kept() -> None:
    """They stay, as dead letters: who waits for the places of its own waits for itself."""
    sim = _queue(capacity=2)
    lease = _run(sim, New(0, keep=False), ST_KILLED)
    sim.push(CLIENT, New(1, keep=False))
    assert not sim.collect.waits_for_itself(CLIENT)  # when this one is done its place is free
    assert sim.cancel(1) == OK
    assert sim.collect.waits_for_itself(CLIENT)
    assert audit(sim.unwatched) == []
    sim.rebuild()
    assert sim.collect.waits_for_itself(CLIENT)
    sim.settle((lease.slot, True))
    assert not sim.collect.waits_for_itself(CLIENT)
    assert sim.collect.vacuum(0, sim.now, False, True) == 2
    assert audit(sim.unwatched) == []


# --- ids --------------------------------------------------------------------------------------


def test_a_given_id_is_accepted_once() -> None:
    """Pushed twice, or published while another pushed it."""
    sim = _queue(capacity=6)
    assert (
        sim.push_code(CLIENT, New(1, given_id=True), New(2, given_id=True), New(1, given_id=True))
        == DUPLICATE
    )
    assert sim.out[0] == 2
    assert sim.reserve(CLIENT, New(1, size=2000, given_id=True)) == DUPLICATE
    lease = sim.reserve(CLIENT, New(3, size=2000, given_id=True))
    assert isinstance(lease, Lease)
    sim.push(OTHER, New(3, given_id=True))
    assert sim.publish(lease, CLIENT) == DUPLICATE
    assert sim.accept.abandon(lease.slot, lease.gen, CLIENT) == OK
    assert audit(sim.unwatched) == []


def test_no_more_is_handed_out_than_can_be_told() -> None:
    """What a take answers lies before the wakes: however much is asked for, it does not reach them."""
    sim = _queue(capacity=WAKES)
    for number in range(0, WAKES, 100):
        sim.push(CLIENT, *(New(n) for n in range(number, min(number + 100, WAKES))))
    assert len(sim.take(WORKER, 1 << 40)) == WAKES // 2
    assert sim.out[WAKES] <= 1
    assert audit(sim.unwatched) == []


def test_who_has_no_row_any_more_reserves_no_place() -> None:
    """Nobody would free it, should its producer die."""
    sim = _queue()
    sim.reclaim(CLIENT)
    assert sim.reserve(CLIENT, New(0, size=2000)) == LOST
    assert audit(sim.unwatched) == []


# --- leases -----------------------------------------------------------------------------------


def test_a_generation_wraps_and_leases_stay_apart() -> None:
    """After 2^24 tasks in one place an old lease still fits none: the epoch goes on."""
    sim = _queue(capacity=1)
    old = _run(sim, New(0, keep=False))
    sim.plain[sim.core.state_at] = GEN_MASK << GEN_SHIFT
    new = _run(sim, New(1, keep=False))
    assert new.gen == 0
    assert audit(sim.unwatched) == []
    sim.rebuild()
    sim.push(CLIENT, New(2))
    (last,) = sim.take(WORKER)
    assert last.gen == old.gen == generation(sim.word(0))
    assert sim.end(old, WORKER, ST_DONE) == LOST
    assert sim.end(last, WORKER, ST_DONE) == OK


def test_a_lease_completes_once() -> None:
    """Neither its owner nor anybody else can use it again (I5)."""
    sim = _queue()
    lease = _run(sim, New(0, max_attempts=3), ST_FAILED)
    before = sim.truth()
    for index in (CLIENT, WORKER, OTHER):
        assert sim.end(lease, index, ST_DONE) == LOST
        assert sim.deliver.start(*lease, index, sim.now) == LOST
        assert sim.deliver.give_back(*lease, index) == LOST
        assert sim.finish.reserve_result(*lease, index, 500, False) == LOST
    assert sim.truth() == before


def test_a_taken_back_task_is_lost_to_who_held_it() -> None:
    """Given back after hoarding, or taken again by the same worker: the old epoch is void."""
    sim = _queue()
    sim.push(CLIENT, New(0), New(1))
    _, hoarded = sim.take(WORKER, 2)
    sim.now += HOARD
    assert sim.deliver.unhoard(sim.now) == 1
    assert sim.deliver.start(*hoarded, WORKER, sim.now) == LOST
    (again,) = sim.take(WORKER)
    assert again.slot == hoarded.slot
    assert sim.end(hoarded, WORKER, ST_DONE) == LOST
    assert sim.end(again, WORKER, ST_DONE) == OK


# --- budgets ----------------------------------------------------------------------------------


def test_attempts_end() -> None:
    """A task fails as often as it may, then it is KILLED; its last error stays."""
    sim = _queue()
    sim.push(CLIENT, New(0, max_attempts=3))
    for attempt in (1, 2, 3):
        (lease,) = sim.take(WORKER)
        sim.end(lease, WORKER, ST_FAILED, 2, bytes([attempt]))
        truth = sim.truth()[0]
        assert truth.attempts == attempt
        assert truth.status == (ST_FAILED if attempt < 3 else ST_KILLED)
    assert truth.result == (2, b"\x03")


def test_attempts_do_not_overflow() -> None:
    """The largest limit is reached, and not gone beyond."""
    sim = _queue()
    sim.push(CLIENT, New(0, max_attempts=MAX_ATTEMPTS))
    sim.plain[sim.core.state_at] |= (MAX_ATTEMPTS - 1) << 26
    (lease,) = sim.take(WORKER)
    sim.end(lease, WORKER, ST_FAILED)
    assert sim.truth()[0].status == ST_KILLED
    assert sim.truth()[0].attempts == MAX_ATTEMPTS


@pytest.mark.parametrize("most", [0, 1, 2, 254, 255])
def test_deaths_end(most: int) -> None:
    """A task outlives as many workers as it may, then it is KILLED and tells how the last one died."""
    sim = _queue()
    sim.push(CLIENT, New(0, max_deaths=most))
    for _ in range(most):
        sim.take(WORKER)
        assert sim.reclaim(WORKER) == 1
        sim.recover.enter(WORKER)
    assert sim.truth()[0].status == ST_PENDING
    sim.take(WORKER)
    assert sim.reclaim(WORKER) == 0
    truth = sim.truth()[0]
    assert truth.status == ST_KILLED
    assert truth.result is not None
    assert truth.result[0] == KIND_DIED
    assert truth.deaths == min(most + 1, 255)
    assert audit(sim.unwatched) == []


def test_only_a_running_task_is_charged() -> None:
    """What was merely prefetched, and what an orderly leave gives back, costs nothing."""
    sim = _queue()
    sim.push(CLIENT, New(0), New(1), New(2))
    sim.take(WORKER, 2)
    sim.take(OTHER)
    sim.reclaim(WORKER)
    sim.reclaim(OTHER, died=False)
    assert [sim.truth()[n].deaths for n in range(3)] == [1, 0, 0]
    assert sim.order() == [0, 1, 2]


# --- order ------------------------------------------------------------------------------------


def test_priority_comes_before_acceptance() -> None:
    """And what goes back goes back to its place."""
    sim = _queue(capacity=8)
    sim.push(CLIENT, New(0), New(1, level=9), New(2), New(3, level=9), New(4, level=0))
    assert sim.order() == [1, 3, 0, 2, 4]
    leases = sim.take(WORKER, 3)
    assert sim.order() == [2, 4]
    sim.deliver.give_back(*leases[2], WORKER)
    sim.deliver.give_back(*leases[0], WORKER)
    assert sim.order() == [1, 0, 2, 4]


def test_delayed_tasks_join_when_they_are_due() -> None:
    """In the order of their moments, behind those that are ready."""
    sim = _queue(capacity=8)
    sim.push(CLIENT, New(0, run_at=sim.now + 2 * SECOND), New(1, run_at=sim.now + SECOND), New(2))
    assert sim.order() == [2]
    sim.now += 2 * SECOND
    assert [sim.number(lease.slot) for lease in sim.take(WORKER, 3)] == [2, 1, 0]


def test_who_finds_nothing_learns_when_to_look_again() -> None:
    """At the next delayed task's moment, or when what others hold may go back."""
    sim = _queue()
    assert sim.take(WORKER) == []
    assert sim.out[1] == 0
    sim.push(CLIENT, New(0, run_at=sim.now + SECOND))
    assert sim.take(WORKER) == []
    assert sim.out[1] == sim.now + SECOND
    sim.push(CLIENT, New(1), New(2))
    sim.take(OTHER, 2)
    assert sim.take(WORKER) == []
    assert sim.out[1] == sim.now + HOARD


# --- removing ---------------------------------------------------------------------------------


def test_results_that_nobody_fetches_expire() -> None:
    """After their time and not before, whoever pushed them; what runs does not."""
    sim = _queue()
    _run(sim, New(0))
    sim.now += SECOND
    _run(sim, New(1))
    sim.push(CLIENT, New(2))
    assert sim.collect.expire(sim.now + TTL - 2 * SECOND) == 0
    assert sim.collect.expire(sim.now + TTL - SECOND) == 1
    assert set(sim.truth()) == {1, 2}
    sim.reclaim(CLIENT)
    assert sim.collect.expire(sim.now + TTL) == 1
    assert set(sim.truth()) == {2}


def test_what_was_read_from_a_task_that_changed_is_void() -> None:
    """`settle` marks only what is as it was found."""
    sim = _queue()
    lease = _run(sim, New(0))
    found = sim.word(lease.slot)
    sim.collect.vacuum(0, sim.now, True, True)
    _run(sim, New(1))
    sim.stage[0], sim.stage[1], sim.stage[2] = lease.slot, found, 1
    sim.collect.settle(1)
    assert sim.out[0] == GONE
    assert not sim.truth()[1].fetched


def test_what_is_not_finished_cannot_be_fetched() -> None:
    """A task that still runs is no result."""
    sim = _queue()
    sim.push(CLIENT, New(0))
    (lease,) = sim.take(WORKER)
    assert sim.settle((lease.slot, True)) == [GONE]
    assert sim.truth()[0].status == ST_RUNNING


# --- answers ----------------------------------------------------------------------------------


def test_only_sleepers_are_listed_to_be_woken() -> None:
    """Who spins sees its wake word change."""
    sim = _queue()
    sim.take(WORKER)
    word = sim.out[0]
    sim.take(OTHER)
    sim.plain[sim.core.row(OTHER) + P_ASLEEP] = 1
    sim.push(CLIENT, New(0), New(1))
    assert [sim.out[WAKES + 1 + n] for n in range(sim.out[WAKES])] == [OTHER]
    sim.plain[sim.core.row(OTHER) + P_ASLEEP] = 0
    assert word != sim.core.wait_in(IDLE, WORKER)


def test_files_to_remove_are_listed() -> None:
    """The payload's when the task is done, the result's when it is removed."""
    sim = _queue()
    lease = sim.reserve(CLIENT, New(0, size=6000))
    assert isinstance(lease, Lease)
    sim.publish(lease, CLIENT)
    (lease,) = sim.take(WORKER)
    assert sim.recover.is_live_blob(lease.slot, lease.gen, 0)
    sim.finish.reserve_result(*lease, WORKER, 7000, True)
    sim.end(lease, WORKER, ST_DONE)
    assert [sim.out[UNLINKS + n] for n in range(4)] == [1, lease.slot, lease.gen, 0]
    assert not sim.recover.is_live_blob(lease.slot, lease.gen, 0)
    assert sim.recover.is_live_blob(*lease)
    sim.collect.vacuum(0, sim.now, True, True)
    assert [sim.out[UNLINKS + n] for n in range(4)] == [1, *lease]
    assert not sim.recover.is_live_blob(*lease)
