"""The audit sees what a rebuild would not mind."""

from __future__ import annotations

import pytest

from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    D_ARENA,
    D_BLOB,
    M_DONE_SEQ,
    M_PAYLOAD,
    META_WORDS,
    ST_DONE,
    ST_KILLED,
)
from tests.crash.operations import busy
from tests.crash.simulation import Simulation


def _damage(sim: Simulation, status: int, at: int, value: int) -> str:
    """All that the audit says, of one word of a task in that status."""
    slot = sim.with_status(status)[0]
    assert audit(sim.unwatched) == []
    sim.plain[sim.core.meta_at + slot * META_WORDS + at] = value
    return "\n".join(audit(sim.unwatched))


@pytest.mark.parametrize("status", [ST_DONE, ST_KILLED])
def test_a_finished_task_has_a_number(status: int) -> None:
    """Or nobody knows which came first."""
    assert "finished without a number" in _damage(busy(), status, M_DONE_SEQ, 0)


@pytest.mark.parametrize("payload", [D_ARENA | 1 << 8 | 200 << 32, D_BLOB | 5000 << 2])
def test_a_done_task_keeps_no_memory_for_its_payload(payload: int) -> None:
    """Nobody reads it any more."""
    assert "DONE, and its payload still takes memory" in _damage(busy(), ST_DONE, M_PAYLOAD, payload)
