"""The critical sections of one queue over one set of private words. Called with the lock held."""

from __future__ import annotations

from .accept import Accept
from .collect import Collect
from .core import Core
from .deliver import Deliver
from .finish import Finish
from .layout import HALF_MASK, NOBODY, OK, P_GEN, P_STATE, PART_ACTIVE, ST_DONE, STARTED

__all__ = ["Sections"]


class Sections:
    """All of them, and two that are made of several."""

    def __init__(
        self, core: Core, accept: Accept, deliver: Deliver, finish: Finish, collect: Collect
    ) -> None:
        self.core = core
        self.accept = accept
        self.deliver = deliver
        self.finish = finish
        self.collect = collect

    def take(self, index: int, gen: int, most: int, running: int, now: int) -> int:
        """`Deliver.take` by the participant in row ``index`` while that has generation ``gen``; or NOBODY."""
        w = self.core.w
        row = self.core.row(index)
        if w[row + P_STATE] != PART_ACTIVE or w[row + P_GEN] & HALF_MASK != gen & HALF_MASK:
            return NOBODY
        return self.deliver.take(index, most, running, now)

    def end_and_begin(
        self,
        index: int,
        slot: int,
        gen: int,
        epoch: int,
        kind: int,
        data: bytes | memoryview,
        length: int,
        next_slot: int,
        next_gen: int,
        next_epoch: int,
        now: int,
    ) -> int:
        """RUNNING -> DONE for one task, then QUEUED -> RUNNING for the next (epoch 0: none).

        Returns:
            What `Finish.end` does, or STARTED; with OK the next one was taken away meanwhile.
        """
        code = self.finish.end(slot, gen, epoch, index, ST_DONE, kind, data, length, 0, now)
        if code != OK or not next_epoch:
            return code
        return STARTED if self.deliver.begin(next_slot, next_gen, next_epoch, index, now) == OK else OK
