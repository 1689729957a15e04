"""How far runs are: one word for each, and all of them without stopping anybody."""

from __future__ import annotations

from math import isfinite, isnan, nan
from struct import Struct

from ...task import Progress, TaskId
from .connection import Connection
from .layout import (
    M_EPOCH,
    M_ID_HI,
    M_ID_LO,
    M_NEXT,
    M_PROGRESS,
    META_WORDS,
    P_OWNED,
    P_ROLE,
    P_STATE,
    PART_ACTIVE,
    PART_HIGH,
    PROGRESS_TOLD,
    ROLE_WORKER,
    SAME,
    ST_RUNNING,
    STATUS_MASK,
    TOLD,
    WORD_MASK,
)
from .slots import owner

__all__ = ["progress_of", "progress_word", "runs"]

_PAIR, _WORD = Struct("=ff"), Struct("=Q")
_PLAIN = WORD_MASK ^ (1 << 63 | 1 << 31)  # without both signs: there is nothing below 0


def progress_word(progress: Progress) -> int:
    """The word of a slot that tells this."""
    done, total = progress
    (word,) = _WORD.unpack(_PAIR.pack(done, nan if total is None else total))
    return int(word) & _PLAIN | PROGRESS_TOLD


def progress_of(word: int) -> Progress | None:
    """What such a word tells; None where nothing was told."""
    if not word & PROGRESS_TOLD:
        return None
    done, total = _PAIR.unpack(_WORD.pack(word & _PLAIN))
    return Progress(done, None if isnan(total) else total) if isfinite(done) else None


def runs(connection: Connection, since: int) -> tuple[int, dict[TaskId, Progress]]:
    """What all runs have told, as `ShowProgress.running_progress`."""
    words, core = connection.words, connection.core
    seen = words[TOLD]
    found: dict[TaskId, Progress] = {}
    if seen != since:
        for index in range(min(words[PART_HIGH], core.participants)):
            row = core.row(index)
            if words[row + P_STATE] == PART_ACTIVE and words[row + P_ROLE] == ROLE_WORKER:
                _collect(connection, index, words[row + P_OWNED], found)
    return seen, found


def _collect(connection: Connection, index: int, at: int, found: dict[TaskId, Progress]) -> None:
    """Look along what a participant owns. Others may change it: what is missed comes with the next look."""
    words, core = connection.words, connection.core
    for _ in range(core.capacity):
        if not 0 < at <= core.capacity:
            return
        state, m = core.state_at + at - 1, core.meta_at + (at - 1) * META_WORDS
        word, epoch = words[state], words[m + M_EPOCH]
        if owner(word) != index + 1:
            return  # it has left, and its links lead elsewhere
        told = progress_of(words[m + M_PROGRESS]) if word & STATUS_MASK == ST_RUNNING else None
        if told is not None:
            task_id = TaskId(words[m + M_ID_HI] << 64 | words[m + M_ID_LO])
            if not (words[state] ^ word) & SAME and words[m + M_EPOCH] == epoch:
                found[task_id] = told
        at = words[m + M_NEXT]
