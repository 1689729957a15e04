"""Waiting for results: one inbox for each handle, shared by all who wait in its process.

Finished tasks that this handle pushed come into its row's inbox, in shared memory. Whoever waits
first empties it for all (the others sleep on a condition), and hands each result to those who
asked for it. A task that somebody else pushed is looked up by its id whenever anything finishes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

from ...result import TaskResult
from ...task import TaskId
from ..completions import AwaitedResults
from .connection import Connection
from .layout import (
    L_KEEP,
    M_DONE_SEQ,
    M_LIMITS,
    M_SUBMITTER,
    META_WORDS,
    OK,
    P_GEN,
    REMOVED,
    ST_PENDING,
    STATUS_MASK,
)
from .pace import Pace
from .participant import TICK, Participant, housekeep
from .reading import Reader, not_found
from .slots import finished

__all__ = ["Inbox"]

_Askers = tuple[Any, ...]
"""A task's id as it was asked for, and a weak reference to everybody who did."""

_BATCH = 64  # results fetched in one hold of the lock
_SOON = 0.02  # seconds after which a few are looked up, should another handle have fetched them first
_LOOKUP = 400  # ids looked up in one
_MOST_FRESH = 1 << 17
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class Inbox:
    """Fetches results for everybody in this process who waits on one handle."""

    def __init__(self, reader: Reader, me: Callable[[], Participant]) -> None:
        """
        Args:
            me: the participant whose inbox this is.
        """
        self.reader = reader
        self.connection: Connection = reader.connection
        self._me = me
        self._mutex = threading.RLock()  # a finalizer that pushes, or `wake`, may interrupt its holder
        self._changed = threading.Condition(self._mutex)  # its own `with` is not safe from Ctrl-C
        self._torn = False  # something may have been fetched and, for Ctrl-C, not handed out
        self._pace = Pace()
        self._pulling = False
        # Weak: whoever drops a wait half-way asks no more, and its results stay for somebody else.
        self._waiting: dict[int, _Askers] = {}
        self._foreign: set[int] = set()
        self._fresh: set[int] = set()  # pushed by us, and their finish not seen yet
        self._unseen: set[int] = set()  # of these, the ones asked for and not looked up
        self._look_at = 0.0  # when to look these up: another handle may have fetched one first
        self._removed = self.connection.words[REMOVED]

    def __repr__(self) -> str:
        return f"<Inbox of {self.reader.queue!r} [{len(self._waiting)} awaited]>"

    def close(self) -> None:
        """Fetch nothing any more."""
        self._me = self.connection.nobody

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, who: AwaitedResults, ids: Iterable[TaskId]) -> None:
        """Have the results of ``ids`` handed to ``who``; `TaskNotFound` asks for none of them."""
        wanted = list(ids)
        me = self._me()
        fresh, waiting, removed = self._fresh, self._waiting, self.connection.words[REMOVED]
        # Asked for before it is looked up: so whatever finishes in between is fetched for us.
        with self._mutex:
            if removed != self._removed:
                fresh.clear()  # it may be one of these
                if not waiting:
                    self._removed = removed
            others = () if fresh.issuperset(wanted) else [i for i in wanted if i not in fresh]
            if len(others) < len(wanted):
                if not self._unseen:
                    self._look_at = time.monotonic() + (_SOON if len(wanted) <= _BATCH else TICK)
                self._unseen.update(fresh.intersection(wanted) if others else wanted)
            if waiting.keys().isdisjoint(wanted):
                waiting.update(zip(wanted, zip(wanted, repeat(who.reference))))  # noqa: B905 - one is endless
            else:
                for task_id in wanted:
                    waiting[task_id] = (*waiting.get(task_id, (task_id,)), who.reference)
        if not others:
            return
        found = self.look_up(others)
        for task_id, place in zip(others, found, strict=True):
            if place is None:
                raise not_found(self.reader.queue, task_id)
        self._sort_in([(i, f) for i, f in zip(others, found, strict=True) if f is not None], me)

    def expect(self, ids: Sequence[int]) -> None:
        """Note tasks that this handle is about to push: to wait for them, they need not be looked up."""
        if not ids:
            return
        with self._mutex:
            if len(self._fresh) + len(ids) > _MOST_FRESH:
                self._fresh.clear()
            self._fresh.update(ids[:_MOST_FRESH])

    def unexpect(self, ids: Sequence[int]) -> None:
        """Have these looked up after all."""
        with self._mutex:
            self._fresh.difference_update(ids)

    def _sort_in(self, found: list[tuple[TaskId, tuple[int, int]]], me: Participant) -> None:
        """Fetch what is finished already; note what does not come into the inbox, or is not kept."""
        done = [(slot, word) for _, (slot, word) in found if finished(word)]
        if done:
            self._fetch(self._by_end(done))
        mark = (self.connection.words[me.row + P_GEN] & 0xFFFF_FFFF) << 16 | me.index + 1
        core, words = self.connection.core, self.connection.words
        foreign = set()
        for task_id, (slot, word) in found:
            m = core.meta_at + slot * META_WORDS
            ours = words[m + M_SUBMITTER] == mark and words[m + M_LIMITS] & L_KEEP
            if not finished(word) and not ours:
                foreign.add(int(task_id))
        if foreign:
            with self._mutex:
                self._foreign |= foreign
            self._look_again()  # it may have finished before anybody watched

    def _by_end(self, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Finished tasks in the order in which they finished."""
        words, at = self.connection.words, self.connection.core.meta_at + M_DONE_SEQ
        return sorted(places, key=lambda place: words[at + place[0] * META_WORDS])

    def forget(self, who: AwaitedResults, ids: Iterable[int]) -> None:
        """``who`` does not wait for these any more."""
        with self._mutex:
            for task_id in ids:
                askers = self._waiting.pop(task_id, ())
                left = tuple(asker for asker in askers if asker is not who.reference)
                if len(left) > 1:
                    self._waiting[task_id] = left
                else:
                    self._foreign.discard(task_id)

    def look_up(self, ids: list[TaskId]) -> list[tuple[int, int] | None]:
        """Slot and state word of each id; None for one that is not there."""
        found: list[tuple[int, int] | None] = []
        connection = self.connection
        for start in range(0, len(ids), _LOOKUP):
            part = ids[start : start + _LOOKUP]
            with connection.turn:
                stage, out = connection.stage, connection.out
                for n, task_id in enumerate(part):
                    stage[2 * n] = task_id >> 64
                    stage[2 * n + 1] = task_id & _MASK
                connection.run(connection.collect.find_many, len(part))
                for n in range(len(part)):
                    place, word = out[2 * n], out[2 * n + 1]
                    there = place and word & STATUS_MASK >= ST_PENDING
                    found.append((place - 1, word) if there else None)
        return found

    # --- fetching -------------------------------------------------------------------------------

    def await_change(self, is_over: Callable[[], bool], timeout: float) -> None:
        """Fetch what is there; else wait until something is, `is_over`, or ``timeout`` s passed."""
        until = time.monotonic() + timeout
        while not is_over():
            pulling = False
            try:
                with self._mutex:
                    if self._pulling:
                        left = until - time.monotonic()
                        if left <= 0:
                            return
                        self._changed.wait(min(left, TICK))
                        continue
                    self._pulling = pulling = True
                if not self._pull(is_over, until):
                    return
            except BaseException:
                self._torn = True
                raise
            finally:
                if pulling:
                    self._pulling = False  # before any call: no Ctrl-C can come in between
                    with self._mutex:
                        self._changed.notify_all()

    def _pull(self, is_over: Callable[[], bool], until: float) -> bool:
        """Empty the inbox until somebody's wait `is_over`; False when the time is."""
        me = self._me()
        while True:
            self._pace.hold(len(self._waiting))
            seen = self._empty(me)
            if is_over():
                return True
            now = time.monotonic()
            if self._unseen and now >= self._look_at and self._look_again():
                continue
            left = until - now
            if left <= 0:
                return False
            if seen < 0 or self._look_at_others(me):
                continue
            me.sleep(seen, min(left, self._look_at - now) if self._unseen else left)
            housekeep(self.connection)

    def _empty(self, me: Participant) -> int:
        """Fetch all that is in the inbox; the wake word to sleep on, -1 when there may be more."""
        exchange = self.connection.exchange
        count, places = exchange.inbox(me.index, _BATCH)
        self._pace.came(count)
        if not count:
            return places[0]
        self._fetch([(places[n], places[n + 1]) for n in range(0, 2 * count, 2)])
        return -1

    def _look_at_others(self, me: Participant) -> bool:
        """Whether something changed about tasks that do not come into the inbox."""
        connection = self.connection
        if self._foreign:
            connection.call(connection.collect.watch, me.index)
            return self._look_again()
        if self._torn or connection.words[REMOVED] != self._removed:
            return self._look_again()
        return False

    def look_at_all(self) -> None:
        """Fetch what is there, and look up whatever was not: before anybody is told that it is late."""
        self._look_at = 0.0
        self.await_change(lambda: False, 0.0)

    def _look_again(self) -> bool:
        """Look up every id that may have changed unseen; whether anything had."""
        removed = self.connection.words[REMOVED]
        self._look_at = time.monotonic() + TICK
        with self._mutex:
            if self._torn or removed != self._removed:
                self._torn = False
                self._fresh.clear()
                ids = [TaskId(i) for i in self._waiting]
            else:
                ids = [TaskId(i) for i in self._waiting.keys() & (self._foreign | self._unseen)]
            self._unseen.clear()
        self._removed = removed
        found = self.look_up(ids)
        lost = [i for i, place in zip(ids, found, strict=True) if place is None]
        done = [place for place in found if place is not None and finished(place[1])]
        with self._mutex:
            for task_id in lost:
                self._hand_out(task_id, None)
            self._changed.notify_all()
        if done:
            self._fetch(self._by_end(done))
        return bool(lost or done)

    def _fetch(self, places: list[tuple[int, int]]) -> None:
        """Read results, then commit that they were fetched (or noticed, if nobody here asked)."""
        try:
            for start in range(0, len(places), _BATCH):
                self._fetch_batch(places[start : start + _BATCH])
        except BaseException:
            self._torn = True
            raise

    def _fetch_batch(self, places: list[tuple[int, int]]) -> None:
        exchange, result, look = self.connection.exchange, self.reader.result, self.connection.exchange.look
        found = [look(slot, word) for slot, word in places]
        ids = [each[0] for each in found]
        with self._mutex:
            self._fresh.difference_update(ids)
            asked = self._asked(ids)
        results = [
            result(askers[0], each) if askers else None for askers, each in zip(asked, found, strict=True)
        ]
        codes = exchange.settle(found, results)
        with self._mutex:
            for task_id, outcome, code in zip(ids, results, codes, strict=True):
                if outcome is not None and code == OK:
                    self._hand_out(task_id, outcome)
                elif outcome is not None:
                    self._foreign.add(task_id)  # it runs again, or is gone: look whenever something ends
            self._changed.notify_all()  # those who wait while another pulls

    def _hand_out(self, task_id: int, result: TaskResult[Any] | None) -> None:
        """Give a result to who asked for it; under `_changed`."""
        if self._foreign:
            self._foreign.discard(task_id)
        askers = self._waiting.get(task_id, ())
        for reference in askers[1:]:
            asker = reference()
            if asker is not None:
                asker.take_in(askers[0], result)
        self._waiting.pop(task_id, None)

    def _asked(self, ids: list[int]) -> list[_Askers | None]:
        """Of each id, who still waits for it, if anybody; under `_changed`."""
        asked = [self._waiting.get(task_id) for task_id in ids]
        for n, askers in enumerate(asked):
            if askers is not None and askers[1]() is None and not any(each() for each in askers[2:]):
                asked[n] = None
                del self._waiting[ids[n]]
        return asked

    def wake(self) -> None:
        """Make everybody who waits look whether their wait is over; from a signal handler too."""
        if self._changed.acquire(blocking=False):
            self._changed.notify_all()
            self._changed.release()
        self._me().rouse()
