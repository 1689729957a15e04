"""Queues in which an operation may begin: empty, busy with everything at once, and full."""

from __future__ import annotations

from ipcq.backends.memory.layout import ST_DONE, ST_FAILED, ST_KILLED
from tests.crash.simulation import SECOND, Lease, New, Simulation

__all__ = ["CLIENT", "GUEST", "OTHER", "SITUATIONS", "WORKER"]

CLIENT, WORKER, OTHER, GUEST = range(4)
URGENT = 15  # the level of tasks that are to be taken at once


def empty() -> Simulation:
    """Three participants and nothing to do."""
    return _attended(12)


def waiting() -> Simulation:
    """Nothing to do, and everybody waits for something."""
    sim = _attended(12)
    sim.take(WORKER)
    sim.take(OTHER)
    sim.collect.watch(CLIENT)
    sim.accept.wait_for_space(CLIENT)
    return sim


def busy() -> Simulation:
    """Every status, list and size of payload at once."""
    sim = _attended(26)
    _collected(sim)
    _failed(sim)
    sim.push(CLIENT, *(New(n, level=URGENT, size=600 if n == 41 else 10) for n in range(41, 45)))
    sim.take(WORKER, 3)
    sim.push(CLIENT, New(45, level=URGENT), New(46, level=URGENT, keep=False))
    sim.take(OTHER, 2)
    sim.take(OTHER, 1)
    sim.push(CLIENT, New(47, level=URGENT, max_deaths=0))
    sim.take(WORKER, 1)
    sim.push(CLIENT, New(51, run_at=sim.now + 10 * SECOND), New(52, run_at=sim.now + 5 * SECOND))
    sim.push(OTHER, New(53, run_at=sim.now + 5 * SECOND, level=9), New(54), New(55, level=9))
    sim.push(CLIENT, New(56), New(57, size=300))
    sim.reserve(CLIENT, New(61, size=1500, given_id=True))
    sim.reserve(WORKER, New(62, size=6000))
    return sim


def full() -> Simulation:
    """Every place taken; only fetched results can give way."""
    sim = _attended(6)
    for n in (71, 72, 73):
        _end(sim, New(n, size=200), ST_DONE)
    sim.settle((0, True), (1, True))
    sim.push(CLIENT, New(74), New(75), New(76))
    sim.take(WORKER, 2)
    return sim


def _attended(capacity: int) -> Simulation:
    sim = Simulation(capacity)
    for index in (CLIENT, WORKER, OTHER):
        sim.recover.enter(index)
    return sim


def _end(
    sim: Simulation, task: New, status: int, result: bytes = b"r" * 20, pusher: int = CLIENT, wait: int = 0
) -> int:
    """Push a task, run it and end it; its slot."""
    sim.push(pusher, task._replace(level=URGENT))
    (lease,) = sim.take(WORKER)
    sim.end(lease, WORKER, status, 2 if status != ST_DONE else 1, result, wait)
    return lease.slot


def _collected(sim: Simulation) -> None:
    """Finished tasks in every list: inbox, fetched, noticed, of nobody."""
    sim.recover.enter(GUEST)
    slots = [_end(sim, New(n), ST_DONE, bytes([n]) * size) for n, size in enumerate((20, 700, 20, 300, 20))]
    killed = _end(sim, New(6), ST_KILLED, b"why" * 30)
    _end(sim, New(7), ST_DONE, pusher=GUEST)
    _end(sim, New(8), ST_KILLED, pusher=GUEST)
    sim.settle((slots[2], True), (slots[3], True), (slots[4], False), (killed, False))
    sim.reclaim(GUEST, died=False)


def _failed(sim: Simulation) -> None:
    """Failures that are owed another run: later, and at once."""
    _end(sim, New(31, max_attempts=3), ST_FAILED, b"e" * 100, wait=7 * SECOND)
    _end(sim, New(32, max_attempts=3), ST_FAILED, b"e" * 30)
    sim.take(OTHER)
    sim.finish.reserve_result(*_only(sim), OTHER, 400, False)


def _only(sim: Simulation) -> Lease:
    return sim.lease(sim.with_status(4, OTHER)[0])


SITUATIONS = {"empty": empty, "waiting": waiting, "busy": busy, "full": full}
