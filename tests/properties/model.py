"""What a queue should be: a dict of tasks, and the rules of the specification in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ipcq.backends.memory.layout import (
    FETCHED_FLAG,
    HOARD,
    KIND_CANCELLED,
    KIND_DIED,
    NOTICED,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
)
from tests.crash.simulation import TTL, New, Truth

__all__ = ["FINISHED", "FLAGS", "OWED", "Model", "Task"]

OWED = (ST_PENDING, ST_FAILED)
HELD = (ST_QUEUED, ST_RUNNING)
FINISHED = (ST_DONE, ST_KILLED)
FLAGS = FETCHED_FLAG | NOTICED

Result = tuple[int, bytes | int | None]


class Task(NamedTuple):
    """One task; the moments are microseconds, the order is what `Model.turn` gave."""

    new: New
    pusher: tuple[int, int]
    run_at: int
    turn: int
    status: int = ST_PENDING
    owner: int = -1
    attempts: int = 0
    deaths: int = 0
    delayed: bool = False
    taken_at: int = 0
    done_at: int = 0
    filed: int = 0
    result: Result | None = None
    fetched: bool = False
    noticed: bool = False

    def truth(self, now: int) -> Truth:
        """What can be observed of it."""
        over = self.status in FINISHED
        return Truth(
            status=self.status,
            owner=self.owner,
            attempts=self.attempts,
            deaths=self.deaths,
            due=self.run_at if self.delayed and self.run_at > now else 0,
            limits=self.new.limits,
            payload=None if over else self.new.payload if self.new.size < 5000 else self.new.size,
            result=self.result,
            fetched=self.fetched,
            noticed=self.noticed,
        )


class Model:
    """The tasks of a queue, and what each operation does to them."""

    def __init__(self, capacity: int, slot_of: Callable[[int], int]) -> None:
        """
        Args:
            slot_of: the place of a task: it decides between those that are due at one moment.
        """
        self.capacity = capacity
        self.slot_of = slot_of
        self.tasks: dict[int, Task] = {}
        self.writing: dict[int, int] = {}  # a reserved task's number: its producer
        self.lives: dict[int, int] = {}  # an active participant: which life of that row this is
        self.turn = 0

    # --- looking --------------------------------------------------------------------------------

    def truth(self, now: int) -> dict[int, Truth]:
        """What can be observed of each task."""
        return {number: task.truth(now) for number, task in self.tasks.items()}

    def order(self) -> list[int]:
        """The ready tasks in the order in which they are handed out."""
        ready = [t for t in self.tasks.values() if t.status in OWED and not t.delayed]
        return [t.new.number for t in sorted(ready, key=lambda t: (-t.new.level, t.turn))]

    def listed(self, index: int | None) -> list[int]:
        """Finished tasks that nobody fetched, oldest first: a participant's inbox, or nobody's (None)."""
        found = [t for t in self.tasks.values() if t.status in FINISHED and not t.fetched]
        mine = [t for t in found if self._reader(t) == index]
        return [t.new.number for t in sorted(mine, key=lambda t: t.filed)]

    def _reader(self, task: Task) -> int | None:
        index, life = task.pusher
        return index if self.lives.get(index) == life and not task.noticed else None

    def _next(self) -> int:
        self.turn += 1
        return self.turn

    def _change(self, number: int, **changes: object) -> None:
        self.tasks[number] = self.tasks[number]._replace(**changes)  # type: ignore[arg-type]

    # --- accepting ------------------------------------------------------------------------------

    def push(self, index: int, news: tuple[New, ...], now: int) -> int:
        """Push until one does not fit or is there already; how many were accepted."""
        for count, new in enumerate(news):
            if (new.given_id and new.number in self.tasks) or not self.has_place():
                return count
            self._accept(index, new, now)
        return len(news)

    def _accept(self, index: int, new: New, now: int) -> None:
        run_at = new.run_at or now
        pusher = (index, self.lives[index])
        self.tasks[new.number] = Task(new, pusher, run_at, self._next(), delayed=run_at > now)

    def has_place(self) -> bool:
        """Whether there is a place; the result that was fetched first gives way."""
        if len(self.tasks) + len(self.writing) < self.capacity:
            return True
        return self.give_way(1) > 0

    def give_way(self, most: int) -> int:
        """Remove what was fetched first."""
        fetched = sorted((t.filed, number) for number, t in self.tasks.items() if t.fetched)[:most]
        for _, number in fetched:
            del self.tasks[number]
        return len(fetched)

    def publish(self, index: int, new: New, now: int) -> None:
        """A reserved task is complete."""
        del self.writing[new.number]
        self._accept(index, new, now)

    # --- delivering -----------------------------------------------------------------------------

    def take(self, index: int, most: int, now: int) -> list[int]:
        """Hand out; the numbers in their order."""
        self._promote(now)
        if not self.order():
            self.unhoard(now)
        taken = self.order()[:most]
        for at, number in enumerate(taken):
            status = ST_QUEUED if at else ST_RUNNING
            self._change(number, status=status, owner=index, taken_at=now, delayed=False)
        return taken

    def _promote(self, now: int) -> None:
        due = [(t.run_at, self.slot_of(n), n) for n, t in self.tasks.items() if t.delayed and t.run_at <= now]
        for _, _, number in sorted(due):
            self._change(number, delayed=False, turn=self._next())

    def unhoard(self, now: int) -> int:
        """What is held ahead of time for too long goes back."""
        held = [n for n, t in self.tasks.items() if t.status == ST_QUEUED and t.taken_at + HOARD <= now]
        for number in held:
            self.requeue(number)
        return len(held)

    def requeue(self, number: int, deaths: int = 0) -> None:
        """Back to its old place."""
        task = self.tasks[number]
        self._change(number, status=ST_PENDING, owner=-1, deaths=task.deaths + deaths)

    def start(self, number: int) -> None:
        """QUEUED -> RUNNING."""
        self._change(number, status=ST_RUNNING)

    # --- ending ---------------------------------------------------------------------------------

    def end(self, number: int, status: int, result: Result, run_at: int, now: int) -> None:
        """A run ended."""
        task = self.tasks[number]
        attempts = task.attempts + 1
        if status == ST_FAILED and attempts >= task.new.max_attempts:
            status = ST_KILLED
        if status == ST_FAILED:
            delayed = run_at > now
            turn = task.turn if delayed else self._next()
            self._change(
                number, status=status, owner=-1, attempts=attempts, run_at=run_at, delayed=delayed, turn=turn
            )
        elif status == ST_DONE and not task.new.keep:
            del self.tasks[number]
        else:
            self._finish(number, status, result, now, attempts=attempts)

    def _finish(self, number: int, status: int, result: Result, now: int, **changes: object) -> None:
        self._change(
            number,
            status=status,
            owner=-1,
            delayed=False,
            result=result,
            done_at=now,
            filed=self._next(),
            **changes,
        )

    def cancel(self, number: int, now: int) -> bool:
        """Whether it could be cancelled."""
        if self.tasks[number].status in FINISHED:
            return False
        self._finish(number, ST_KILLED, (KIND_CANCELLED, None), now)
        return True

    def resume(self, number: int, run_at: int, reset: bool, now: int) -> bool:
        """Whether it could be made to run again, at that moment."""
        task = self.tasks[number]
        if task.status == ST_DONE:
            return False
        self._change(
            number,
            status=ST_PENDING,
            owner=-1,
            attempts=0 if reset else task.attempts,
            deaths=0 if reset else min(task.deaths, task.new.max_deaths),
            run_at=run_at,
            delayed=run_at > now,
            result=None,
            fetched=False,
            noticed=False,
        )
        return True

    def update(self, number: int, new: New, run_at: int, now: int) -> bool:
        """Whether it could be changed; ``new`` is what it is from now on."""
        task = self.tasks[number]
        if task.status in (ST_DONE, ST_RUNNING):
            return False
        if task.status == ST_KILLED:
            self._change(number, new=new, run_at=run_at, deaths=min(task.deaths, new.max_deaths + 1))
            return True
        owed = task.status == ST_FAILED and task.attempts < new.max_attempts
        self._change(
            number,
            new=new,
            status=ST_FAILED if owed else ST_PENDING,
            owner=-1,
            deaths=min(task.deaths, new.max_deaths),
            run_at=run_at,
            delayed=run_at > now,
        )
        return True

    # --- collecting -----------------------------------------------------------------------------

    def settle(self, number: int, fetched: bool) -> None:
        """A result was fetched or noticed."""
        task = self.tasks[number]
        if fetched and not task.fetched:
            self._change(number, fetched=True, filed=self._next())
        elif not fetched and not (task.noticed or task.fetched):
            self._change(number, noticed=True, filed=self._next())

    def vacuum(self, before: int) -> int:
        """Remove what finished at that moment or earlier."""
        old = [n for n, t in self.tasks.items() if t.status in FINISHED and t.done_at <= before]
        for number in old:
            del self.tasks[number]
        return len(old)

    def expire(self, now: int) -> int:
        """Remove what nobody fetched in time, from each list as far as that goes."""
        removed = 0
        for reader in (None, *self.lives):
            for number in self.listed(reader):
                if self.tasks[number].done_at + TTL > now:
                    break
                del self.tasks[number]
                removed += 1
        return removed

    # --- coming and going -----------------------------------------------------------------------

    def reclaim(self, index: int, died: bool, now: int) -> None:
        """Return everything that a participant had."""
        for number, task in list(self.tasks.items()):
            if task.owner != index or task.status not in HELD:
                continue
            charged = died and task.status == ST_RUNNING
            if charged and task.deaths >= task.new.max_deaths:
                self._finish(number, ST_KILLED, (KIND_DIED, None), now, deaths=task.deaths + 1)
            else:
                self.requeue(number, int(charged))
        self.writing = {n: owner for n, owner in self.writing.items() if owner != index}
        del self.lives[index]
