"""An explicit-state model of the lock, of liveness and of recovery: every interleaving, kills anywhere.

Two kinds of lock, as the memory backend has them:

- ``BYTE``, uncompiled: a kernel byte lock is the mutex; the kernel frees it when its holder dies.
- ``WORD``, compiled: a word (generation, owner + 1) taken by compare-and-swap; a dead owner's word
  is seized by whoever finds its byte free.

Processes attach to a row (its byte is a kernel lock), take a task, run it, finish it, and reclaim
rows whose process is dead. `RULES` are what makes this safe: a model without one of them must fail.

Run ``python -m tests.crash.lock_model [word|byte] [PROCESSES [KILLS]] [--without RULE]`` to
see the shortest way to a violation.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["BYTE", "RULES", "WORD", "Model", "Outcome", "Process", "State", "explore"]

WORD, BYTE = "word", "byte"

RULES = {
    "generation": "seizing or taking the lock word changes its generation",
    "inherit": "a newcomer whose index owns the lock word takes it over",
    "recheck": "who judged a row dead looks again under the lock: byte free, same generation",
    "rebuild": "who gets the lock and finds op set rebuilds before anything else",
}
_NOT_IN = {WORD: frozenset[str](), BYTE: frozenset({"generation", "inherit"})}

FREE = (0, 0)
READY, RUNNING, DONE = range(3)

# Steps inside the critical section: one atomic store, or one load of consequence, each.
INSIDE = frozenset(
    {"held", "rebuild", "act", "enter", "commit", "derive", "end", "sweep", "vacate", "swept", "release"}
)

Goal = tuple[Any, ...]


class Task(NamedTuple):
    """The truth about one task: who has it is a row and that row's generation."""

    status: int = READY
    owner: int = -1
    generation: int = -1


class Row(NamedTuple):
    """One participant's row."""

    active: bool = False
    generation: int = 0


class Process(NamedTuple):
    """One process: its row (-1: none), its next step, and what for."""

    row: int = -1
    step: str = "attach"
    goal: Goal = ()


class State(NamedTuple):
    """All shared memory, the kernel's locks, and every process."""

    lock: tuple[int, int]
    op: bool
    stale: bool
    """Derived structures differ from the truth."""
    rows: tuple[Row, ...]
    bytes: tuple[int, ...]
    """Who holds each row's byte: process + 1, or 0."""
    tasks: tuple[Task, ...]
    processes: tuple[Process, ...]
    kills: int
    """How many more processes may be killed."""


class Model:
    """The protocol, with all its rules or without some."""

    def __init__(
        self, kind: str, *, processes: int, rows: int = 2, tasks: int = 1, kills: int, without: str = ""
    ) -> None:
        self.kind = kind
        self.rules = frozenset(RULES) - _NOT_IN[kind] - {without}
        self.start = State(
            FREE,
            False,
            False,
            (Row(),) * rows,
            (0,) * rows,
            (Task(),) * tasks,
            (Process(),) * processes,
            kills,
        )

    def successors(self, s: State) -> Iterator[State]:
        """Every state that one step of one process, or one kill, leads to."""
        for me, process in enumerate(s.processes):
            if s.kills and process.row >= 0:
                yield self._kill(s, me)
            yield from getattr(self, f"_{process.step}")(s, me, process)

    def _kill(self, s: State, me: int) -> State:
        """SIGKILL: the kernel frees its locks; another process may start in its place."""
        lock = FREE if self.kind == BYTE and s.lock == (0, me + 1) else s.lock
        held = tuple(0 if holder == me + 1 else holder for holder in s.bytes)
        return _move(s, me, Process(), lock=lock, bytes=held, kills=s.kills - 1)

    # --- outside of the lock ------------------------------------------------------------------

    def _attach(self, s: State, me: int, p: Process) -> Iterator[State]:
        for row, holder in enumerate(s.bytes):
            if not holder:
                yield _move(s, me, Process(row, "wait", ("attach",)), bytes=_put(s.bytes, row, me + 1))

    def _idle(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield _move(s, me, p._replace(step="wait", goal=("take",)))
        for row, (active, generation) in enumerate(s.rows):
            if row != p.row and active and not s.bytes[row]:
                yield _move(s, me, p._replace(step="wait", goal=("reclaim", row, generation)))

    def _run(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield _move(s, me, p._replace(step="wait", goal=("finish", *p.goal)))

    # --- taking the lock ----------------------------------------------------------------------

    def _wait(self, s: State, me: int, p: Process) -> Iterator[State]:
        owner = s.lock[1] - 1
        if owner < 0:
            yield self._taken(s, me, p)
        elif self.kind == WORD and self._may_seize(s, p, owner):
            yield _move(s, me, p._replace(step="seize", goal=(*p.goal, s.lock)))

    def _may_seize(self, s: State, p: Process, owner: int) -> bool:
        return "inherit" in self.rules if owner == p.row else not s.bytes[owner]

    def _seize(self, s: State, me: int, p: Process) -> Iterator[State]:
        """Compare-and-swap with the word that was seen."""
        seen, p = p.goal[-1], p._replace(goal=p.goal[:-1])
        yield self._taken(s, me, p) if s.lock == seen else _move(s, me, p._replace(step="wait"))

    def _taken(self, s: State, me: int, p: Process) -> State:
        lock = (0, me + 1)
        if self.kind == WORD:
            lock = (s.lock[0] + ("generation" in self.rules), p.row + 1)
        return _move(s, me, p._replace(step="held"), lock=lock)

    # --- inside -------------------------------------------------------------------------------

    def _held(self, s: State, me: int, p: Process) -> Iterator[State]:
        must = s.op and "rebuild" in self.rules
        yield _move(s, me, p._replace(step="rebuild" if must else "act"))

    def _rebuild(self, s: State, me: int, p: Process) -> Iterator[State]:
        if s.stale:
            yield _move(s, me, p, stale=False)
        else:
            yield _move(s, me, p._replace(step="act"), op=False)

    def _act(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield from getattr(self, f"_act_{p.goal[0]}")(s, me, p)

    def _act_attach(self, s: State, me: int, p: Process) -> Iterator[State]:
        """Take the row; what a dead predecessor left in it is returned first."""
        if s.rows[p.row].active:
            yield _move(s, me, p._replace(step="sweep", goal=("enter", p.row)), op=True)
        else:
            yield _move(s, me, p._replace(step="enter"))

    def _act_take(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield _move(s, me, p._replace(step="release", goal=("idle",)))
        for n, task in enumerate(s.tasks):
            if task.status == READY:
                generation = s.rows[p.row].generation
                change = Task(RUNNING, p.row, generation)
                yield _move(s, me, p._replace(step="commit", goal=(n, change, "run", n, generation)), op=True)

    def _act_finish(self, s: State, me: int, p: Process) -> Iterator[State]:
        _, n, generation = p.goal
        if s.tasks[n] == Task(RUNNING, p.row, generation):
            yield _move(s, me, p._replace(step="commit", goal=(n, Task(DONE), "idle")), op=True)
        else:  # the lease is lost
            yield _move(s, me, p._replace(step="release", goal=("idle",)))

    def _act_reclaim(self, s: State, me: int, p: Process) -> Iterator[State]:
        _, row, generation = p.goal
        if "recheck" in self.rules and (s.bytes[row] or s.rows[row] != Row(True, generation)):
            yield _move(s, me, p._replace(step="release", goal=("idle",)))
        else:
            yield _move(s, me, p._replace(step="sweep", goal=("release", row)), op=True)

    def _enter(self, s: State, me: int, p: Process) -> Iterator[State]:
        row = Row(True, s.rows[p.row].generation + 1)
        yield _move(s, me, p._replace(step="release", goal=("idle",)), rows=_put(s.rows, p.row, row))

    def _commit(self, s: State, me: int, p: Process) -> Iterator[State]:
        """The one store that is the transition; what is derived is stale from here."""
        n, change, *then = p.goal
        yield _move(
            s, me, p._replace(step="derive", goal=tuple(then)), tasks=_put(s.tasks, n, change), stale=True
        )

    def _derive(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield _move(s, me, p._replace(step="end"), stale=False)

    def _end(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield _move(s, me, p._replace(step="release"), op=False)

    def _sweep(self, s: State, me: int, p: Process) -> Iterator[State]:
        """Return the tasks of a row, one store each."""
        for n, task in enumerate(s.tasks):
            if task.status == RUNNING and task.owner == p.goal[1]:
                yield _move(s, me, p, tasks=_put(s.tasks, n, Task()), stale=True)
                return
        yield _move(s, me, p._replace(step="vacate"), stale=False)

    def _vacate(self, s: State, me: int, p: Process) -> Iterator[State]:
        row = p.goal[1]
        yield _move(
            s, me, p._replace(step="swept"), rows=_put(s.rows, row, s.rows[row]._replace(active=False))
        )

    def _swept(self, s: State, me: int, p: Process) -> Iterator[State]:
        yield _move(s, me, p._replace(step=p.goal[0], goal=("idle",)), op=False)

    def _release(self, s: State, me: int, p: Process) -> Iterator[State]:
        step, *goal = p.goal
        yield _move(s, me, p._replace(step=step, goal=tuple(goal)), lock=(s.lock[0], 0))

    # --- what must hold -----------------------------------------------------------------------

    def violation(self, s: State) -> str:
        """Which invariant a state breaks; empty for none."""
        inside = [p for p in s.processes if p.step in INSIDE]
        if len(inside) > 1:
            return "two processes inside"
        if self.kind == WORD and not s.lock[1] and (s.op or s.stale):
            return "the lock is free and the queue is not whole"
        if any(p.step == "act" and (s.op or s.stale) for p in inside):
            return "a process works on structures that are not whole"
        if any(p.step == "run" and s.tasks[p.goal[0]] != (RUNNING, p.row, p.goal[1]) for p in s.processes):
            return "a live worker lost its task"
        if (
            not inside
            and not s.op
            and any(t.status == RUNNING and not s.rows[t.owner].active for t in s.tasks)
        ):
            return "a task belongs to a row that nobody has"
        return ""


def _put(items: tuple[Any, ...], at: int, item: Any) -> Any:
    return (*items[:at], item, *items[at + 1 :])


def _move(s: State, me: int, process: Process, **changes: Any) -> State:
    return s._replace(processes=_put(s.processes, me, process), **changes)


@dataclass(frozen=True)
class Outcome:
    """What `explore` found.

    Attributes:
        states: how many were seen.
        violation: the first one; empty for none.
        trace: the states that lead to it, from the start.
    """

    states: int
    violation: str
    trace: tuple[State, ...] = ()


def explore(model: Model, *, generations: int = 9) -> Outcome:
    """Visit every state breadth first, so that the first violation has the shortest trace.

    Args:
        generations: states with a higher generation of the lock are left out: they only repeat.
    """
    came_from: dict[State, State | None] = {model.start: None}
    todo = deque([model.start])
    while todo:
        state = todo.popleft()
        found = model.violation(state)
        stuck = True
        for follower in model.successors(state):
            stuck = False
            if follower not in came_from and _within(follower, generations):
                came_from[follower] = state
                todo.append(follower)
        if found or stuck:
            return Outcome(len(came_from), found or "nobody can ever move again", _trace(came_from, state))
    return Outcome(len(came_from), "")


def _within(state: State, generations: int) -> bool:
    return state.lock[0] <= generations and all(row.generation <= 4 for row in state.rows)


def _trace(came_from: dict[State, State | None], last: State) -> tuple[State, ...]:
    trace: list[State] = []
    state: State | None = last
    while state is not None:
        trace.append(state)
        state = came_from[state]
    return tuple(reversed(trace))


def main(arguments: list[str]) -> int:
    """Explore one model, and print the way to its first violation."""
    without = ""
    if "--without" in arguments:
        at = arguments.index("--without")
        without = arguments[at + 1]
        del arguments[at : at + 2]
    kind, processes, kills = [*arguments, *[WORD, "3", "2"][len(arguments) :]]
    outcome = explore(Model(kind, processes=int(processes), kills=int(kills), without=without))
    for state in outcome.trace:
        print(state)
    print(f"{outcome.states:,} states: {outcome.violation or 'no violation'}")
    return 1 if outcome.violation else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
