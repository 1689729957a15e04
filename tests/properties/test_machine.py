"""Random histories of a queue against a plain model, with kills between and inside operations.

Several participants act on one memory in one process; who is dead is what the machine says. A kill
ends an operation after a random store; the next one begins with a rebuild, which may be killed too.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    DELAYED,
    KIND_DIED,
    KIND_ERROR,
    KIND_VALUE,
    LOST,
    M_DONE_SEQ,
    M_PROGRESS,
    M_RUN_AT,
    M_SEQ,
    OK,
    OP,
    REFUSED,
    SEQ,
    SOURCE_GIVEN,
    SOURCE_KEPT,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
    ST_WRITING,
)
from ipcq.backends.memory.progress import progress_of, progress_word
from ipcq.backends.memory.slots import owner
from ipcq.task import Progress
from tests.crash.simulation import SECOND, TTL, Lease, New, Simulation
from tests.properties.model import FINISHED, OWED, Model, Task

ROWS = 4
CAPACITY = 8

picks = st.integers(0, 99)
waits = st.sampled_from((0, 0, 0, 1, 3, 20))
kills = st.one_of(st.just(0), st.just(0), st.integers(1, 12), st.integers(1, 40))
wishes = st.builds(
    New,
    number=st.just(0),
    size=st.sampled_from((0, 10, 104, 105, 300)),
    level=st.sampled_from((7, 7, 0, 15)),
    run_at=st.just(0),
    given_id=st.just(False),
    keep=st.sampled_from((True, True, False)),
    max_attempts=st.integers(1, 3),
    max_deaths=st.integers(0, 2),
)


class QueueMachine(RuleBasedStateMachine):
    """A queue and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = Simulation(CAPACITY, ROWS, blocks=256, payload_blocks=200)
        self.model = Model(CAPACITY, self._slot)
        self.dead: set[int] = set()
        self.leases: dict[int, Lease] = {}
        self.history: list[tuple[int, Lease]] = []
        self.reserved: dict[int, tuple[New, Lease]] = {}
        self.told: dict[tuple[int, Lease], list[int]] = {}
        self.number = 0
        self.life = 0
        for index in range(ROWS - 1):
            self._enter(index)

    # --- one operation ----------------------------------------------------------------------------

    def _slot(self, number: int) -> int:
        return next(s for s in self.sim.used() if self.sim.number(s) == number and self.sim.word(s) & 0xF > 1)

    def _act(
        self, index: int, kill: int, operation: Callable[[], object], effect: Callable[[Model], object]
    ) -> bool:
        """Let a participant do something, or die after so many stores of it; whether it survived."""
        before = dict(self.model.tasks)
        answer: list[object] = []
        if self.sim.kill_after(kill or -1, lambda: answer.append(operation())):
            self.dead.add(index)
            effect(self.model)
            self._recover(before, kill)
            return False
        # Compiled, what gives nothing gives 0.
        assert (answer[0] or 0) == (effect(self.model) or 0)
        return True

    def _recover(self, before: dict[int, Task], kill: int) -> None:
        """What the next holder of the lock does; then each task is as before or as after."""
        sim = self.sim
        if sim.plain[OP]:
            sim.kill_after(3 * kill, sim.rebuild)
            sim.rebuild()
        after, self.model.tasks = self.model.tasks, {}
        for slot in sim.used():
            number = sim.number(slot)
            if sim.word(slot) & 0xF > ST_WRITING:
                self.model.tasks[number] = self._merged(slot, before.get(number), after.get(number))
        self._check_absent(before, after)
        writing = sim.with_status(ST_WRITING)
        self.model.writing = {sim.number(slot): owner(sim.word(slot)) - 1 for slot in writing}
        self.model.turn = sim.plain[SEQ]
        self.model.lives = {i: life for i, life in self.lives.items() if sim.is_active(i)}
        self.dead &= set(self.model.lives)

    def _check_absent(self, before: dict[int, Task], after: dict[int, Task]) -> None:
        for number in {*before, *after} - set(self.model.tasks):
            assert number not in before or number not in after, f"task {number} is lost"

    def _merged(self, slot: int, before: Task | None, after: Task | None) -> Task:
        """The version of a task that came true, with the place in the order that it got."""
        sim = self.sim
        truth = sim.truth()[sim.number(slot)]
        steps = [task for task in (before, after) if task is not None]
        if before is not None and before.status == ST_QUEUED:  # taken from who held it, for another
            steps.append(before._replace(status=ST_PENDING, owner=-1))
        versions = map(self._with_any_death(truth.result), steps)
        found = [task for task in versions if task.truth(sim.now) == truth]
        assert found, f"task {sim.number(slot)} is {truth}, neither {before} nor {after}"
        delayed = bool(sim.word(slot) & DELAYED)
        run_at = sim.meta(slot, M_RUN_AT) if delayed else found[-1].run_at
        return found[-1]._replace(
            turn=sim.meta(slot, M_SEQ), filed=sim.meta(slot, M_DONE_SEQ), delayed=delayed, run_at=run_at
        )

    def _with_any_death(self, result: object) -> Callable[[Task], Task]:
        """What is written of a death is not what is looked at here."""

        def replaced(task: Task) -> Task:
            if task.result and task.result[0] == KIND_DIED and result:
                return task._replace(result=result)  # type: ignore[arg-type]
            return task

        return replaced

    # --- who acts ---------------------------------------------------------------------------------

    @property
    def alive(self) -> list[int]:
        """Participants that can do something."""
        return sorted(set(self.model.lives) - self.dead)

    def _any(self, pick: int) -> int:
        return self.alive[pick % len(self.alive)]

    def _has(self, *statuses: int) -> bool:
        """Whether there is a task in one of these."""
        return any(task.status in statuses for task in self.model.tasks.values())

    def _enter(self, index: int, kill: int = 0) -> None:
        self.life += 1
        self.lives = {**self.model.lives, index: self.life}

        def effect(model: Model) -> None:
            model.lives[index] = self.life

        self._act(index, kill, lambda: self.sim.recover.enter(index), effect)

    @precondition(lambda self: len(self.model.lives) < ROWS)
    @rule(kill=kills)
    def attach(self, kill: int) -> None:
        self._enter(next(index for index in range(ROWS) if index not in self.model.lives), kill)

    @precondition(lambda self: len(self.alive) > 1)
    @rule(pick=picks)
    def die(self, pick: int) -> None:
        self.dead.add(self._any(pick))

    def _leave(self, by: int, index: int, died: bool, kill: int) -> None:
        self.lives = dict(self.model.lives)

        def effect(model: Model) -> bool:
            model.reclaim(index, died, self.sim.now)
            return True

        def operation() -> bool:
            self.sim.reclaim(index, died)
            return True

        if self._act(by, kill, operation, effect):
            self.dead.discard(index)
            self._adopt_deaths()

    def _adopt_deaths(self) -> None:
        """A reclaim goes through the tasks in any order: take over in which they finished."""
        for number, task in self.model.tasks.items():
            if task.result and task.result[0] == KIND_DIED and task.status in FINISHED:
                slot = self._slot(number)
                truth = self.sim.truth()[number]
                self.model.tasks[number] = task._replace(
                    result=truth.result, filed=self.sim.meta(slot, M_DONE_SEQ)
                )
        for number, task in self.model.tasks.items():
            slot = self._slot(number)
            self.model.tasks[number] = task._replace(
                turn=self.sim.meta(slot, M_SEQ), filed=self.sim.meta(slot, M_DONE_SEQ)
            )
        self.model.turn = self.sim.plain[SEQ]

    @precondition(lambda self: len(self.alive) > 2)
    @rule(pick=picks, kill=kills)
    def detach(self, pick: int, kill: int) -> None:
        index = self._any(pick)
        self._leave(index, index, False, kill)

    @precondition(lambda self: bool(self.dead))
    @rule(pick=picks, kill=kills)
    def resume_abandoned(self, pick: int, kill: int) -> None:
        index = sorted(self.dead)[pick % len(self.dead)]
        self._leave(self._any(pick) if self.alive else index, index, True, kill)

    @rule(seconds=st.sampled_from((1, 5, 30)))
    def wait(self, seconds: int) -> None:
        self.sim.now += seconds * SECOND

    # --- accepting --------------------------------------------------------------------------------

    def _new(self, wish: New, wait: int) -> New:
        self.number += 1
        run_at = self.sim.now + wait * SECOND if wait else 0
        return wish._replace(number=self.number, run_at=run_at)

    @precondition(lambda self: self.alive)
    @rule(pick=picks, wishes=st.lists(st.tuples(wishes, waits), min_size=1, max_size=3), kill=kills)
    def push(self, pick: int, wishes: list[tuple[New, int]], kill: int) -> None:
        index = self._any(pick)
        news = tuple(self._new(*wish) for wish in wishes)
        self._act(
            index,
            kill,
            lambda: self.sim.push(index, *news),
            lambda model: model.push(index, news, self.sim.now),
        )

    @precondition(lambda self: self.alive and self.model.tasks)
    @rule(pick=picks, wish=wishes, kill=kills)
    def push_the_same_id(self, pick: int, wish: New, kill: int) -> None:
        index = self._any(pick)
        numbers = sorted(self.model.tasks)
        new = wish._replace(number=numbers[pick % len(numbers)], given_id=True)
        self._act(index, kill, lambda: self.sim.push(index, new), lambda model: 0)

    @precondition(lambda self: self.alive)
    @rule(pick=picks, wish=wishes, size=st.sampled_from((1000, 2000, 6000)), kill=kills)
    def reserve(self, pick: int, wish: New, size: int, kill: int) -> None:
        index = self._any(pick)
        new = self._new(wish._replace(size=size), 0)
        lease: list[Lease | int] = []

        def effect(model: Model) -> bool:
            if not model.has_place():
                return False
            model.writing[new.number] = index
            return True

        def operation() -> bool:
            lease.append(self.sim.reserve(index, new))
            return isinstance(lease[0], Lease)

        if self._act(index, kill, operation, effect) and isinstance(lease[0], Lease):
            self.reserved[new.number] = (new, lease[0])

    @precondition(lambda self: bool(set(self.model.writing.values()) & set(self.alive)))
    @rule(pick=picks, complete=st.booleans(), kill=kills)
    def publish_or_abandon(self, pick: int, complete: bool, kill: int) -> None:
        mine = sorted(n for n, index in self.model.writing.items() if index in self.alive)
        number = mine[pick % len(mine)]
        index = self.model.writing[number]
        new, lease = self.reserved[number]

        def effect(model: Model) -> int:
            if complete:
                model.publish(index, new, self.sim.now)
            else:
                del model.writing[number]
            return OK

        def operation() -> int:
            if complete:
                return self.sim.publish(lease, index)
            return self.sim.accept.abandon(lease.slot, lease.gen, index)

        self._act(index, kill, operation, effect)

    @precondition(lambda self: bool(self.alive) and any(t.fetched for t in self.model.tasks.values()))
    @rule(pick=picks, most=st.integers(1, 3), kill=kills)
    def make_room(self, pick: int, most: int, kill: int) -> None:
        self._act(
            self._any(pick), kill, lambda: self.sim.accept.make_room(most), lambda model: model.give_way(most)
        )

    # --- delivering -------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.alive) and self._has(*OWED, ST_QUEUED))
    @rule(pick=picks, most=st.integers(1, 4), kill=kills)
    def take(self, pick: int, most: int, kill: int) -> None:
        index = self._any(pick)

        def operation() -> list[int]:
            leases = self.sim.take(index, most)
            numbers = [self.sim.number(lease.slot) for lease in leases]
            self.history += zip(numbers, leases, strict=True)
            self.leases |= dict(zip(numbers, leases, strict=True))
            return numbers

        self._act(index, kill, operation, lambda model: model.take(index, most, self.sim.now))

    @precondition(lambda self: bool(self.alive) and self._has(ST_QUEUED))
    @rule(pick=picks, kill=kills)
    def unhoard(self, pick: int, kill: int) -> None:
        self._act(
            self._any(pick),
            kill,
            lambda: self.sim.deliver.unhoard(self.sim.now),
            lambda model: model.unhoard(self.sim.now),
        )

    def _held(self, *statuses: int) -> list[int]:
        """Tasks that a living participant holds."""
        tasks = self.model.tasks.items()
        return sorted(n for n, t in tasks if t.status in statuses and t.owner in self.alive)

    @precondition(lambda self: self._held(ST_QUEUED))
    @rule(pick=picks, kill=kills)
    def start(self, pick: int, kill: int) -> None:
        held = self._held(ST_QUEUED)
        number = held[pick % len(held)]
        index = self.model.tasks[number].owner

        def effect(model: Model) -> int:
            model.start(number)
            return OK

        lease = self.leases[number]
        self._act(index, kill, lambda: self.sim.deliver.start(*lease, index, self.sim.now), effect)

    @precondition(lambda self: self._held(ST_RUNNING))
    @rule(pick=picks, done=st.integers(0, 5), kill=kills)
    def tell(self, pick: int, done: int, kill: int) -> None:
        held = self._held(ST_RUNNING)
        number = held[pick % len(held)]
        index, lease = self.model.tasks[number].owner, self.leases[number]
        word = progress_word(Progress(done, 5))
        self.told.setdefault((number, lease), []).append(word)
        self._act(index, kill, lambda: self.sim.deliver.tell(*lease, index, word), lambda _: OK)

    @precondition(lambda self: self._held(ST_QUEUED, ST_RUNNING))
    @rule(pick=picks, kill=kills)
    def give_back(self, pick: int, kill: int) -> None:
        held = self._held(ST_QUEUED, ST_RUNNING)
        number = held[pick % len(held)]
        index = self.model.tasks[number].owner

        def effect(model: Model) -> int:
            model.requeue(number)
            return OK

        lease = self.leases[number]
        self._act(index, kill, lambda: self.sim.deliver.give_back(*lease, index), effect)

    @precondition(lambda self: self._held(ST_QUEUED, ST_RUNNING))
    @rule(pick=picks, wait=waits, kill=kills)
    def postpone(self, pick: int, wait: int, kill: int) -> None:
        held = self._held(ST_QUEUED, ST_RUNNING)
        number = held[pick % len(held)]
        index, now, lease = self.model.tasks[number].owner, self.sim.now, self.leases[number]

        def effect(model: Model) -> int:
            assert model.resume(number, now + wait * SECOND, False, now)
            return OK

        self._act(index, kill, lambda: self.sim.postpone(lease, index, wait * SECOND), effect)

    @precondition(lambda self: self._held(ST_RUNNING))
    @rule(
        pick=picks,
        status=st.sampled_from((ST_DONE, ST_DONE, ST_FAILED, ST_FAILED, ST_KILLED)),
        size=st.sampled_from((1, 56, 57, 300)),
        wait=waits,
        kill=kills,
    )
    def end(self, pick: int, status: int, size: int, wait: int, kill: int) -> None:
        held = self._held(ST_RUNNING)
        number = held[pick % len(held)]
        index = self.model.tasks[number].owner
        kind = KIND_VALUE if status == ST_DONE else KIND_ERROR
        result = bytes([number & 0xFF]) * size
        now, lease = self.sim.now, self.leases[number]

        def effect(model: Model) -> int:
            model.end(number, status, (kind, result), now + wait * SECOND, now)
            return OK

        self._act(
            index,
            kill,
            lambda: self.sim.end(lease, index, status, kind, result, wait * SECOND),
            effect,
        )

    @precondition(lambda self: bool(self.alive) and self._has(*OWED))
    @rule(pick=picks, status=st.sampled_from((ST_DONE, ST_FAILED, ST_KILLED)), wait=waits, kill=kills)
    def work(self, pick: int, status: int, wait: int, kill: int) -> None:
        self.take(pick, 1 + pick % 3, 0)
        if self._held(ST_QUEUED):
            self.start(pick, kill)
        if self._held(ST_RUNNING):
            self.end(pick, status, 10, wait, kill)

    @precondition(lambda self: bool(self.history))
    @rule(pick=picks)
    def use_an_old_lease(self, pick: int) -> None:
        """A lease that is not the last one of a task which its owner still has changes nothing (I5)."""
        number, lease = self.history[-1 - pick % len(self.history)]
        task = self.model.tasks.get(number)
        for index in range(ROWS):
            if task and task.owner == index and self.leases[number] == lease:
                continue
            assert self.sim.end(lease, index, ST_DONE, KIND_VALUE, b"stale") == LOST
            assert self.sim.deliver.start(*lease, index, self.sim.now) == LOST
            assert self.sim.deliver.give_back(*lease, index) == LOST
            assert self.sim.postpone(lease, index) == LOST
            assert self.sim.deliver.tell(*lease, index, progress_word(Progress(99))) == LOST

    # --- collecting -------------------------------------------------------------------------------

    @precondition(lambda self: self.alive and self.model.tasks)
    @rule(pick=picks, other=picks, kill=kills)
    def cancel(self, pick: int, other: int, kill: int) -> None:
        numbers = sorted(self.model.tasks)
        number = numbers[pick % len(numbers)]
        slot = self._slot(number)
        self._act(
            self._any(other),
            kill,
            lambda: self.sim.cancel(slot),
            lambda model: OK if model.cancel(number, self.sim.now) else REFUSED,
        )

    @precondition(lambda self: self.alive and self.model.tasks)
    @rule(pick=picks, other=picks, wait=waits, reset=st.booleans(), kill=kills)
    def resume(self, pick: int, other: int, wait: int, reset: bool, kill: int) -> None:
        numbers = sorted(self.model.tasks)
        number = numbers[pick % len(numbers)]
        slot, now = self._slot(number), self.sim.now
        self._act(
            self._any(other),
            kill,
            lambda: self.sim.resume(slot, wait * SECOND, reset=reset),
            lambda model: OK if model.resume(number, now + wait * SECOND, reset, now) else REFUSED,
        )

    @precondition(lambda self: self.alive and self.model.tasks)
    @rule(pick=picks, other=picks, wish=wishes, wait=waits, kept=st.booleans(), kill=kills)
    def update(self, pick: int, other: int, wish: New, wait: int, kept: bool, kill: int) -> None:
        numbers = sorted(self.model.tasks)
        number = numbers[pick % len(numbers)]
        slot, now = self._slot(number), self.sim.now
        old = self.model.tasks[number].new
        run_at = now + wait * SECOND
        new = wish._replace(
            number=number,
            run_at=run_at,
            keep=old.keep,
            given_id=old.given_id,
            size=old.size if kept else wish.size,
        )
        source = SOURCE_KEPT if kept else SOURCE_GIVEN
        self._act(
            self._any(other),
            kill,
            lambda: self.sim.update(slot, new, source=source),
            lambda model: OK if model.update(number, new, run_at, now) else REFUSED,
        )

    @precondition(lambda self: bool(self.alive) and self._has(*FINISHED))
    @rule(pick=picks, most=st.integers(1, 3), fetched=st.booleans(), kill=kills)
    def fetch(self, pick: int, most: int, fetched: bool, kill: int) -> None:
        index = self._any(pick)
        count = self.sim.collect.inbox(index, most)
        slots = [self.sim.out[2 * n] for n in range(count)]
        numbers = [self.sim.number(slot) for slot in slots]
        assert numbers == self.model.listed(index)[:most]

        def effect(model: Model) -> list[int]:
            for number in numbers:
                model.settle(number, fetched)
            return [OK] * count

        self._act(index, kill, lambda: self.sim.settle(*((slot, fetched) for slot in slots)), effect)

    @precondition(lambda self: bool(self.alive) and self._has(*FINISHED))
    @rule(pick=picks, other=picks, kill=kills)
    def fetch_what_another_pushed(self, pick: int, other: int, kill: int) -> None:
        numbers = sorted(n for n, t in self.model.tasks.items() if t.status in FINISHED)
        if not numbers:
            return
        number = numbers[other % len(numbers)]
        slot = self._slot(number)

        def effect(model: Model) -> list[int]:
            model.settle(number, True)
            return [OK]

        self._act(self._any(pick), kill, lambda: self.sim.settle((slot, True)), effect)

    @precondition(lambda self: bool(self.alive) and self._has(*FINISHED))
    @rule(pick=picks, ago=st.sampled_from((0, 4)), kill=kills)
    def vacuum(self, pick: int, ago: int, kill: int) -> None:
        before = self.sim.now - ago * SECOND
        self._act(
            self._any(pick),
            kill,
            lambda: self.sim.collect.vacuum(0, before, True, True),
            lambda model: model.vacuum(before),
        )

    @precondition(lambda self: bool(self.alive) and self._has(*FINISHED))
    @rule(pick=picks, later=st.sampled_from((TTL, TTL - 30 * SECOND)), kill=kills)
    def expire(self, pick: int, later: int, kill: int) -> None:
        self.sim.now += later
        self._act(
            self._any(pick),
            kill,
            lambda: self.sim.collect.expire(self.sim.now),
            lambda model: model.expire(self.sim.now),
        )

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def every_invariant_holds(self) -> None:
        assert audit(self.sim.unwatched) == []

    @invariant()
    def the_model_agrees(self) -> None:
        assert self.sim.truth() == self.model.truth(self.sim.now)
        assert self.sim.order() == self.model.order()

    @invariant()
    def the_inboxes_agree(self) -> None:
        for index in self.model.lives:
            count = self.sim.collect.inbox(index, CAPACITY)
            numbers = [self.sim.number(self.sim.out[2 * n]) for n in range(count)]
            assert numbers == self.model.listed(index)

    @invariant()
    def a_run_is_as_far_as_it_told(self) -> None:
        """What it told last; or nothing, which it told, or its worker was killed while its end was stored."""
        for slot in self.sim.with_status(ST_RUNNING):
            told = self.told.get((self.sim.number(slot), self.sim.lease(slot)), [])
            word = self.sim.meta(slot, M_PROGRESS)
            assert progress_of(word) is None or word in told[-1:]

    @invariant()
    def what_is_owed_is_not_lost(self) -> None:
        """A task that is owed a run is ready or delayed."""
        owed = {n for n, t in self.model.tasks.items() if t.status in OWED}
        delayed = {n for n, t in self.model.tasks.items() if t.delayed}
        assert owed == delayed | set(self.sim.order())


LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def _settings(examples: int, steps: int) -> settings:
    return settings() if LONG else settings(max_examples=examples, stateful_step_count=steps)


class LongQueueMachine(QueueMachine):
    """The same, longer."""


QueueMachine.TestCase.settings = _settings(25, 40)
LongQueueMachine.TestCase.settings = _settings(600, 120)
TestQueue = QueueMachine.TestCase
TestQueueForLong = pytest.mark.slow(LongQueueMachine.TestCase)
