"""Every operation of a queue, in a queue where much is under way: what the crash images are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ipcq.backends.memory.layout import (
    HOARD,
    KIND_ERROR,
    KIND_VALUE,
    L_KEEP,
    M_LIMITS,
    OK,
    SOURCE_GIVEN,
    SOURCE_KEPT,
    SOURCE_WRITTEN,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
)

from .simulation import BLOB, LARGE, SECOND, TTL, New, Simulation

CLIENT, WORKER, OTHER, SPARE = range(4)

Operation = Callable[[], object]


class Case(NamedTuple):
    """One operation: how it begins, and who is dead after it."""

    name: str
    begin: Callable[[Simulation], Operation]
    dead: tuple[int, ...]


def empty() -> Simulation:
    """A queue with a client and two workers, and nothing in it."""
    sim = Simulation(capacity=24)
    for index in (CLIENT, WORKER, OTHER):
        sim.recover.enter(index)
    return sim


def busy() -> Simulation:
    """A queue with tasks in every status, of both sizes, by several participants."""
    sim = empty()
    sim.push(CLIENT, *(New(n, size=300 if n % 3 == 0 else 20) for n in range(1, 7)))
    done = sim.take(WORKER, 6)
    for at, lease in enumerate(done[1:4]):
        sim.deliver.start(*lease, WORKER, sim.now)
        assert sim.end(lease, WORKER, ST_DONE, KIND_VALUE, b"r" * (10 if at else 200)) == OK
    assert sim.end(done[0], WORKER, ST_KILLED, KIND_ERROR, b"error") == OK
    sim.settle((done[0].slot, True), (done[1].slot, False))
    sim.push(CLIENT, New(10, max_attempts=3), New(11, max_deaths=0))
    sim.push(CLIENT, New(12, keep=False, size=400, max_attempts=3))
    sim.push(OTHER, New(13), New(14, level=9), New(15, run_at=sim.now + 60 * SECOND))
    sim.push(CLIENT, New(16, run_at=sim.now + 50 * SECOND, size=300), New(17, level=3), New(18))
    sim.take(OTHER, 3)
    failed = sim.take(WORKER)[0]
    sim.end(failed, WORKER, ST_FAILED, KIND_ERROR, b"again", 30 * SECOND)
    sim.reserve(CLIENT, New(20, size=LARGE))
    return sim


def _one(sim: Simulation, status: int, index: int | None = None) -> int:
    found = sim.with_status(status, index)
    assert found, f"the situation has no task with status {status}"
    return found[0]


def _push(*tasks: New) -> Callable[[Simulation], Operation]:
    return lambda sim: lambda: sim.push(CLIENT, *tasks)


def _reserve(task: New) -> Callable[[Simulation], Operation]:
    return lambda sim: lambda: sim.reserve(CLIENT, task)


def _publish(size: int) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        lease = sim.reserve(CLIENT, New(50, size=size))
        assert not isinstance(lease, int)
        return lambda: sim.publish(lease, CLIENT)

    return begin


def _abandon(size: int) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        lease = sim.reserve(CLIENT, New(50, size=size))
        assert not isinstance(lease, int)
        return lambda: sim.accept.abandon(lease.slot, lease.gen, CLIENT)

    return begin


def _take(most: int, later: int = 0) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        sim.now += later
        return lambda: sim.take(WORKER, most)

    return begin


def _take_hoarded(sim: Simulation) -> Operation:
    sim.push(CLIENT, *(New(n) for n in range(60, 64)))
    sim.take(OTHER, 20)
    sim.now += HOARD + 1
    return lambda: sim.take(WORKER, 2)


def _unhoard(sim: Simulation) -> Operation:
    _take_hoarded(sim)
    return lambda: sim.deliver.unhoard(sim.now)


def _start(sim: Simulation) -> Operation:
    lease = sim.lease(_one(sim, ST_QUEUED, OTHER))
    return lambda: sim.deliver.start(*lease, OTHER, sim.now)


def _end(
    task: New, status: int, result: bytes = b"", wait: int = 0, kind: int = KIND_VALUE
) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        sim.push(CLIENT, task._replace(level=15))
        lease = sim.take(WORKER)[0]
        return lambda: sim.end(lease, WORKER, status, kind, result, wait)

    return begin


def _end_with_room(blob: bool) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        sim.push(CLIENT, New(50, level=15))
        lease = sim.take(WORKER)[0]
        size = BLOB if blob else LARGE

        def operation() -> None:
            assert sim.finish.reserve_result(*lease, WORKER, size, blob) == OK
            sim.end(lease, WORKER, ST_DONE, KIND_VALUE)

        return operation

    return begin


def _give_back(status: int) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        lease = sim.lease(_one(sim, status, OTHER))
        return lambda: sim.deliver.give_back(*lease, OTHER)

    return begin


def _postpone(status: int, wait: int) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        lease = sim.lease(_one(sim, status, OTHER))
        return lambda: sim.postpone(lease, OTHER, wait)

    return begin


def _cancel(status: int, delayed: bool = False) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        truth = sim.truth()
        slot = next(slot for slot in sim.with_status(status) if (truth[sim.number(slot)].due > 0) == delayed)
        return lambda: sim.cancel(slot)

    return begin


def _resume(status: int, wait: int, delayed: bool = False) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        truth = sim.truth()
        slot = next(slot for slot in sim.with_status(status) if (truth[sim.number(slot)].due > 0) == delayed)
        sim.now += SECOND
        return lambda: sim.resume(slot, wait)

    return begin


def _resume_fetched(fetched: bool, keep: bool, wait: int = 0) -> Callable[[Simulation], Operation]:
    """Of a task that was run as often as it may be, and whose error was fetched or is in an inbox."""

    def begin(sim: Simulation) -> Operation:
        sim.push(CLIENT, New(50, level=15, keep=keep, max_deaths=0, size=300))
        (lease,) = sim.take(WORKER)
        sim.reclaim(WORKER)
        sim.recover.enter(WORKER)
        if fetched:
            sim.settle((lease.slot, True))
        sim.now += SECOND
        return lambda: sim.resume(lease.slot, wait)

    return begin


def _update(
    status: int, new: New, delayed: bool = False, kept: bool = False
) -> Callable[[Simulation], Operation]:
    """Of a task that is there, all that may change."""

    def begin(sim: Simulation) -> Operation:
        truth = sim.truth()
        slot = next(slot for slot in sim.with_status(status) if (truth[sim.number(slot)].due > 0) == delayed)
        task = new._replace(number=sim.number(slot), keep=sim.meta(slot, M_LIMITS) & L_KEEP > 0)
        return lambda: sim.update(slot, task, source=SOURCE_KEPT if kept else SOURCE_GIVEN)

    return begin


def _update_written(before: int, after: int) -> Callable[[Simulation], Operation]:
    """Of a task with a payload of one size, to one that was written outside of the lock."""

    def begin(sim: Simulation) -> Operation:
        if before < LARGE:
            sim.push(CLIENT, New(50, size=before))
        else:
            lease = sim.reserve(CLIENT, New(50, size=before))
            assert not isinstance(lease, int)
            sim.publish(lease, CLIENT)
        slot = next(slot for slot in sim.used() if sim.number(slot) == 50)
        new = New(50, size=after, level=9, max_deaths=1)
        home = sim.reserve(CLIENT, new)
        assert not isinstance(home, int)
        return lambda: sim.update(slot, new, CLIENT, SOURCE_WRITTEN, home)

    return begin


def _settle(fetched: bool) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        slots = sim.with_status(ST_DONE) + sim.with_status(ST_KILLED)
        return lambda: sim.settle(*((slot, fetched) for slot in slots))

    return begin


def _full(sim: Simulation) -> Operation:
    number = 70
    while sim.push(CLIENT, New(number)):
        number += 1
    sim.settle(*((slot, True) for slot in sim.with_status(ST_DONE)))
    return lambda: sim.push(CLIENT, New(200), New(201))


def _expire(sim: Simulation) -> Operation:
    sim.now += TTL + SECOND
    return lambda: sim.collect.expire(sim.now)


def _reclaim(dead: int, died: bool) -> Callable[[Simulation], Operation]:
    def begin(sim: Simulation) -> Operation:
        sim.push(CLIENT, New(50, level=15, max_deaths=0), New(51, level=15))
        if dead != CLIENT:
            sim.take(dead)
            sim.take(dead, 2)
        return lambda: sim.reclaim(dead, died)

    return begin


EVERYWHERE = (
    Case("push", _push(New(50)), (CLIENT,)),
    Case("push, in the arena", _push(New(50, size=700)), (CLIENT,)),
    Case("push, delayed", _push(New(50, run_at=10**18)), (CLIENT,)),
    Case("push, id given", _push(New(50, given_id=True)), (CLIENT,)),
    Case("bulk", _push(New(50), New(51, size=300, level=12), New(52, keep=False)), (CLIENT,)),
    Case("reserve, arena", _reserve(New(50, size=LARGE)), (CLIENT,)),
    Case("reserve, file", _reserve(New(50, size=BLOB)), (CLIENT,)),
    Case("publish, arena", _publish(LARGE), (CLIENT,)),
    Case("publish, file", _publish(BLOB), (CLIENT,)),
    Case("abandon, arena", _abandon(LARGE), (CLIENT,)),
    Case("abandon, file", _abandon(BLOB), (CLIENT,)),
    Case("finish", _end(New(50), ST_DONE, b"value"), (WORKER,)),
    Case("finish, nothing", _end(New(50), ST_DONE), (WORKER,)),
    Case("finish, in the arena", _end(New(50, size=300), ST_DONE, b"v" * 300), (WORKER,)),
    Case("finish, room reserved", _end_with_room(False), (WORKER,)),
    Case("finish, file reserved", _end_with_room(True), (WORKER,)),
    Case("finish, result not kept", _end(New(50, keep=False, size=300), ST_DONE, b"v"), (WORKER,)),
    Case("fail, run again", _end(New(50, max_attempts=3), ST_FAILED, b"error", 0, KIND_ERROR), (WORKER,)),
    Case("fail, later", _end(New(50, max_attempts=3), ST_FAILED, b"e" * 99, SECOND, KIND_ERROR), (WORKER,)),
    Case("fail, for good", _end(New(50), ST_FAILED, b"error", 0, KIND_ERROR), (WORKER,)),
    Case("kill", _end(New(50, max_attempts=3), ST_KILLED, b"error", 0, KIND_ERROR), (WORKER,)),
    Case("resume, killed", _resume_fetched(False, True), (CLIENT,)),
    Case("resume, killed, result not kept", _resume_fetched(False, False, SECOND), (CLIENT,)),
    Case("resume, fetched", _resume_fetched(True, True, SECOND), (CLIENT,)),
    Case("resume, fetched, result not kept", _resume_fetched(True, False), (CLIENT,)),
    Case("update, written", _update_written(10, LARGE), (CLIENT,)),
    Case("update, written to a file", _update_written(LARGE, BLOB), (CLIENT,)),
    Case("update, file to file", _update_written(BLOB, BLOB + 9), (CLIENT,)),
    Case("update, file to area", _update_written(BLOB, LARGE + 9), (CLIENT,)),
    Case("enter", lambda sim: lambda: sim.recover.enter(SPARE), (SPARE,)),
    Case("reclaim a worker", _reclaim(WORKER, True), (WORKER, CLIENT)),
    Case("leave", _reclaim(WORKER, False), (WORKER,)),
)
"""Those that need nothing to be there."""

UNDER_WAY = (
    Case("push, a fetched one gives way", _full, (CLIENT,)),
    Case("take", _take(1), (WORKER,)),
    Case("take several", _take(3), (WORKER,)),
    Case("take, delayed ones are due", _take(9, 100 * SECOND), (WORKER,)),
    Case("take what others hoard", _take_hoarded, (WORKER,)),
    Case("unhoard", _unhoard, (CLIENT,)),
    Case("start", _start, (OTHER,)),
    Case("requeue, queued", _give_back(ST_QUEUED), (OTHER,)),
    Case("requeue, running", _give_back(ST_RUNNING), (OTHER,)),
    Case("postpone, queued", _postpone(ST_QUEUED, 9 * SECOND), (OTHER,)),
    Case("postpone, running", _postpone(ST_RUNNING, 9 * SECOND), (OTHER,)),
    Case("postpone, due at once", _postpone(ST_RUNNING, 0), (OTHER,)),
    Case("cancel, pending", _cancel(ST_PENDING), (CLIENT,)),
    Case("cancel, delayed", _cancel(ST_PENDING, True), (CLIENT,)),
    Case("cancel, failed", _cancel(ST_FAILED, True), (CLIENT,)),
    Case("cancel, queued", _cancel(ST_QUEUED), (CLIENT,)),
    Case("cancel, running", _cancel(ST_RUNNING), (CLIENT,)),
    Case("put off, pending", _resume(ST_PENDING, 9 * SECOND), (CLIENT,)),
    Case("put off, queued", _resume(ST_QUEUED, 9 * SECOND), (CLIENT,)),
    Case("put off, running", _resume(ST_RUNNING, 9 * SECOND), (CLIENT,)),
    Case("put off, delayed", _resume(ST_PENDING, 9 * SECOND, True), (CLIENT,)),
    Case("bring forward, delayed", _resume(ST_PENDING, 0, True), (CLIENT,)),
    Case("bring forward, queued", _resume(ST_QUEUED, 0), (CLIENT,)),
    Case("resume, failed", _resume(ST_FAILED, 0, True), (CLIENT,)),
    Case("resume, running", _resume(ST_RUNNING, 0), (CLIENT,)),
    Case("update, pending", _update(ST_PENDING, New(0, size=33, max_attempts=7)), (CLIENT,)),
    Case("update, pending, up", _update(ST_PENDING, New(0, size=333, level=11)), (CLIENT,)),
    Case("update, pending, off", _update(ST_PENDING, New(0, level=2, run_at=10**18), kept=True), (CLIENT,)),
    Case("update, delayed", _update(ST_PENDING, New(0, size=44, run_at=9**18), True), (CLIENT,)),
    Case("update, delayed, due", _update(ST_PENDING, New(0, size=0, level=3), True), (CLIENT,)),
    Case("update, failed", _update(ST_FAILED, New(0, size=55, max_attempts=9), True), (CLIENT,)),
    Case("update, failed, no attempt left", _update(ST_FAILED, New(0, max_deaths=0), True), (CLIENT,)),
    Case("update, queued", _update(ST_QUEUED, New(0, size=300)), (CLIENT,)),
    Case("update, killed", _update(ST_KILLED, New(0, size=300, max_deaths=0)), (CLIENT,)),
    Case("update, killed, payload kept", _update(ST_KILLED, New(0, level=3), kept=True), (CLIENT,)),
    Case("fetch", _settle(True), (CLIENT,)),
    Case("notice", _settle(False), (CLIENT,)),
    Case("vacuum", lambda sim: lambda: sim.collect.vacuum(0, sim.now, True, True), (CLIENT,)),
    Case("expire", _expire, (CLIENT,)),
    Case("make room", lambda sim: lambda: sim.accept.make_room(9), (CLIENT,)),
    Case("reclaim a producer", _reclaim(CLIENT, True), (CLIENT, WORKER)),
    Case("reclaim the other worker", _reclaim(OTHER, True), (OTHER, CLIENT)),
    Case("rebuild", lambda sim: sim.rebuild, (CLIENT,)),
)
"""Those that need a queue where much is under way."""
