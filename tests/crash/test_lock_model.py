"""The lock's protocol holds in every interleaving, and each of its rules is necessary."""

from __future__ import annotations

import pytest

from .lock_model import BYTE, WORD, Model, explore

MUTANTS = [
    (WORD, "generation", "two processes inside"),
    (WORD, "inherit", "nobody can ever move again"),
    pytest.param(WORD, "recheck", "a live worker lost its task", marks=pytest.mark.slow),
    (WORD, "rebuild", "a process works on structures that are not whole"),
    (BYTE, "recheck", "a live worker lost its task"),
    (BYTE, "rebuild", "a process works on structures that are not whole"),
]


@pytest.mark.parametrize(
    ("kind", "processes", "kills"),
    [
        (WORD, 2, 1),
        (BYTE, 2, 2),
        pytest.param(BYTE, 3, 2, marks=pytest.mark.slow),
        pytest.param(WORD, 3, 2, marks=pytest.mark.slow),
        pytest.param(BYTE, 4, 3, marks=pytest.mark.slow),
    ],
)
def test_the_protocol_breaks_no_invariant(kind: str, processes: int, kills: int) -> None:
    """With every rule, no interleaving of steps and kills reaches a bad state or a standstill."""
    outcome = explore(Model(kind, processes=processes, kills=kills))

    print(f"lock model, {kind}: {outcome.states:,} states of {processes} processes, {kills} kills")
    assert not outcome.violation, outcome.trace
    assert outcome.states > 3000  # the model moves at all


@pytest.mark.slow
def test_the_protocol_holds_with_two_tasks_in_a_row() -> None:
    """Returning several tasks of one dead row can itself be killed between any two stores."""
    outcome = explore(Model(BYTE, processes=3, tasks=2, kills=2))

    print(f"lock model, byte: {outcome.states:,} states of 3 processes, 2 tasks, 2 kills")
    assert not outcome.violation, outcome.trace


@pytest.mark.parametrize(("kind", "rule", "violation"), MUTANTS)
def test_no_rule_can_be_left_out(kind: str, rule: str, violation: str) -> None:
    """Two processes and two kills are enough to break the protocol without any one of its rules."""
    outcome = explore(Model(kind, processes=2, kills=2, without=rule))

    print(f"lock model, {kind} without {rule}: {outcome.violation} after {len(outcome.trace)} steps")
    assert outcome.violation == violation
    assert outcome.trace[0] == Model(kind, processes=2, kills=2).start
