"""A kill after every single store, in a queue whose runs have told how far they are, and were told before."""

from __future__ import annotations

import pytest

from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    LOST,
    M_EPOCH,
    M_PROGRESS,
    META_WORDS,
    OK,
    OP,
    PROGRESS_TOLD,
    ST_DONE,
    ST_FAILED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    TOLD,
)
from ipcq.backends.memory.progress import progress_of, progress_word
from ipcq.task import Progress

from .operations import EVERYWHERE, OTHER, SPARE, UNDER_WAY, WORKER, Case, busy
from .simulation import Lease, New, Simulation

pytestmark = pytest.mark.skipif(COMPILED, reason="nothing sees the stores; see test_uncompiled.py")

HALF, MORE = progress_word(Progress(1, 2)), progress_word(Progress(3, 4))


def _told(sim: Simulation, lease: Lease, owner: int, word: int = HALF) -> Lease:
    assert sim.deliver.tell(*lease, owner, word) == OK
    return lease


def _busy() -> Simulation:
    """The busy queue, where each task that waits was run before, and each run has told."""
    sim = busy()
    for slot in (*sim.with_status(ST_PENDING), *sim.with_status(ST_QUEUED), *sim.with_status(ST_FAILED)):
        sim.plain[sim.core.meta_at + slot * META_WORDS + M_PROGRESS] = MORE
    for index in (WORKER, OTHER):
        for slot in sim.with_status(ST_RUNNING, index):
            _told(sim, sim.lease(slot), index)
    sim.push(WORKER, New(30, level=15), New(31, level=15))
    for lease in [sim.take(WORKER)[0] for _ in range(2)]:
        _told(sim, lease, WORKER)
        assert sim.deliver.give_back(*lease, WORKER) == OK
    return sim


def test_a_kill_while_it_is_told_changes_nothing_else() -> None:
    """At each store the word is the one before or the one after, no rebuild is needed, and no task moved."""
    sim = _busy()
    slot = sim.with_status(ST_RUNNING, OTHER)[0]
    truth, seen = sim.truth(), sim.plain[TOLD]
    images = sim.images(lambda: _told(sim, sim.lease(slot), OTHER, MORE))
    assert len(images) == 3
    for image, word in zip(images, (HALF, MORE, MORE), strict=True):
        sim.load(image)
        assert (sim.plain[OP], sim.meta(slot, M_PROGRESS)) == (0, word)
        assert sim.truth() == truth
        assert audit(sim.unwatched) == []
    assert sim.plain[TOLD] == seen + 1


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name) for case in (*EVERYWHERE, *UNDER_WAY) if SPARE not in case.dead]
)
def test_no_run_shows_what_another_told(case: Case) -> None:
    """After a kill at any store of any operation, a run shows what it told itself, or nothing."""
    sim = _busy()
    before = {(slot, sim.lease(slot)) for slot in sim.with_status(ST_RUNNING)}
    operation = case.begin(sim)
    own = {(slot, sim.lease(slot)): sim.meta(slot, M_PROGRESS) for slot in sim.with_status(ST_RUNNING)}
    for image in sim.images(operation):
        for repaired in (False, True):
            sim.load(image)
            if repaired:
                sim.mend(*case.dead)
            for slot in sim.with_status(ST_RUNNING):
                told = progress_of(sim.meta(slot, M_PROGRESS))
                allowed = progress_of(own.get((slot, sim.lease(slot)), 0))
                assert told in (None, allowed), f"slot {slot}"
    assert before


def test_what_was_told_survives_a_rebuild() -> None:
    """Whoever dies elsewhere in the queue takes nothing of it along."""
    sim = _busy()
    slot = sim.with_status(ST_RUNNING, OTHER)[0]
    sim.rebuild()
    assert sim.meta(slot, M_PROGRESS) == HALF


def test_the_end_of_a_run_is_in_its_place() -> None:
    """What a run told is gone with its end, and in its place is the number by which results are in order."""
    sim = _busy()
    lease = _told(sim, sim.take(WORKER)[0], WORKER)
    assert sim.meta(lease.slot, M_PROGRESS) & PROGRESS_TOLD
    assert sim.end(lease, WORKER, ST_DONE) == OK
    assert 0 < sim.meta(lease.slot, M_PROGRESS) < sim.meta(lease.slot, M_EPOCH) + 10_000
    assert sim.deliver.tell(*lease, WORKER, HALF) == LOST
    assert audit(sim.unwatched) == []
