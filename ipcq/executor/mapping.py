"""`Executor.map`: calls by the batch, results in the order of the items, both in bounded number."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent import futures
from itertools import islice
from typing import Any

from ..codecs.buffers import Pieces
from ..errors import QueueFull, ResultExpired, TaskSinkError
from ..result import TaskResult
from ..task import TaskId
from .encoding import Call, NotPicklable, Raised, encode_call
from .engine import Engine
from .options import Options
from .outcome import error_of, value_of
from .runner import run_chunk

__all__ = ["Mapped", "Results"]

_MOST = 512  # tasks whose results were not taken
_MOST_BYTES = 64 << 20  # of their arguments
_BATCH = 32  # tasks pushed together
_TICK = 0.5  # seconds between two looks at the engine


class _Item:
    """One task, from when it is read until its result is taken."""

    __slots__ = ("call", "outcome", "size")

    def __init__(self, call: Call | None, size: int, outcome: TaskResult[Any] | Raised | None = None) -> None:
        self.call = call
        self.size = size
        self.outcome = outcome


class Mapped:
    """One `map`, as the engine sees it. Threads may share it.

    Args:
        engine: makes the calls.
        options: how.
        fn, iterables, timeout, chunksize, buffersize: see `Submitter.map`.

    Attributes:
        total: how many items there are; None where only reading them would tell.
    """

    def __init__(
        self,
        engine: Engine,
        options: Options,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        timeout: float | None,
        chunksize: int,
        buffersize: int | None,
    ) -> None:
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        self._engine, self._options, self._fn, self._chunksize = engine, options, fn, chunksize
        self._storage = engine.start()
        self.total = _length(iterables)
        self._source: Iterator[tuple[Any, ...]] = zip(*iterables)  # noqa: B905 - the shortest ends it, as in `map`
        self._most, self._most_bytes = buffersize or _MOST, float(_MOST_BYTES)
        self._until = None if timeout is None else time.monotonic() + timeout
        self._mutex = threading.RLock()
        self._items: deque[_Item] = deque()  # in their order
        self._by_id: dict[TaskId, _Item] = {}  # those that were pushed and have not ended
        self._unsent: deque[tuple[_Item, bytes | Pieces]] = deque()
        self._values: deque[Any] = deque()  # of a chunk
        self._bytes = 0
        self._read_all = self._cut = False
        self._completions = self._storage.wait_for(())
        engine.add_run(self)
        self._fill()

    def __repr__(self) -> str:
        return (
            f"<Mapped {self._fn!r} [{len(self._items)} tasks, {len(self._by_id)} of them running or waiting]>"
        )

    # --- pushing --------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Read and push as much as there may be."""
        room = self._most - len(self._items)
        if not self._unsent and (self._read_all or room < min(_BATCH, self._most)):
            return
        while self._unsent or (room > 0 and not self._read_all and self._bytes < self._most_bytes):
            if not self._unsent:
                self._read(min(room, _BATCH))
                room = self._most - len(self._items)
            if not self._push():
                return

    def _read(self, count: int) -> None:
        """Encode the next calls; whatever goes wrong is raised when its turn comes."""
        for _ in range(count):
            item, data = self._next()
            if item is not None:
                self._items.append(item)
                self._bytes += item.size
            if data is not None and item is not None:
                self._unsent.append((item, data))
            if self._read_all or self._bytes >= self._most_bytes:
                return

    def _next(self) -> tuple[_Item | None, bytes | Pieces | None]:
        try:
            if self._chunksize == 1:
                args = next(self._source, None)
                call = None if args is None else Call(self._fn, args, {})
            else:
                chunk = list(islice(self._source, self._chunksize))
                call = Call(run_chunk, (self._fn, chunk), {}) if chunk else None
        except Exception as error:  # of the user's iterable
            self._read_all = True
            return _Item(None, 0, Raised(error)), None
        if call is None:
            self._read_all = True
            return None, None
        try:
            data = encode_call(call)
        except NotPicklable as error:
            return _Item(None, 0, Raised(error)), None
        return _Item(call, len(data)), data

    def _push(self) -> bool:
        """Push what was read; False if there is no room for all of it now."""
        batch = list(islice(self._unsent, _BATCH))
        if not batch:
            return True
        full = False
        refused: TaskSinkError | None = None
        try:
            ids = list(
                self._storage.push_bulk([data for _, data in batch], block=False, **self._options.parts())
            )
        except QueueFull as error:
            ids, full = list(error.accepted), True
        except TaskSinkError as error:  # one is too large, whatever the room
            ids, refused = list(error.accepted), error
        for task_id in ids:
            self._by_id[task_id] = self._unsent.popleft()[0]
        if refused is not None:
            self._unsent.popleft()[0].outcome = Raised(refused)
        self._completions.add(ids)
        self._engine.need(len(self._by_id))
        if full and not self._by_id:  # others have all the room
            self._await_room()
        return not full

    def _await_room(self) -> None:
        item, data = self._unsent[0]
        task_id = self._storage.push(data, timeout=_TICK, **self._options.parts())
        self._unsent.popleft()
        self._by_id[task_id] = item
        self._completions.add((task_id,))

    # --- taking ---------------------------------------------------------------------------------

    def take(self) -> Any:
        """The next result.

        Raises:
            StopIteration: there is none.
            TimeoutError: it took too long.
            BaseException: what the call raised.
        """
        if self._values:
            return self._values.popleft()
        while True:
            with self._mutex:
                self._fill()
                if not self._items:
                    self._engine.drop_run(self)
                    if self._cut:
                        raise RuntimeError(
                            "cannot schedule new futures after shutdown: what is left of a map over iterables"
                            " without a length was not read; take its results before the executor ends"
                        )
                    raise StopIteration
                if self._items[0].outcome is not None:
                    return self._outcome(self._items.popleft())
            self._take_in()

    def _outcome(self, item: _Item) -> Any:
        self._bytes -= item.size
        outcome = item.outcome
        if isinstance(outcome, TaskResult):
            if outcome.error is not None:
                raise error_of(outcome, item.call)
            outcome = value_of(outcome)
        if isinstance(outcome, Raised):
            raise outcome.error
        if self._chunksize == 1:
            return outcome
        self._values.extend(outcome)  # type: ignore[arg-type]  # a list
        return self._values.popleft()

    def _take_in(self) -> None:
        """Wait for results, for a moment at the most."""
        left = _TICK if self._until is None else self._until - time.monotonic()
        if left <= 0:
            raise futures.TimeoutError("the results of a map took longer than its timeout")
        with self._mutex:
            self._engine.check()
            try:
                for result in self._completions.ready(min(left, _TICK)):
                    item = self._by_id.pop(result.task_id, None)
                    if item is not None:
                        item.outcome = result
                    self._engine.fetched(result)
            except ResultExpired as error:
                item = self._by_id.pop(error.task_id, None)
                if item is not None:
                    item.outcome = Raised(error)

    # --- ending ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """Have all its calls made, and keep what they give; `Submitter.map` tells of which."""
        with self._mutex:
            self._cut = self.total is None and not self._read_all
            self._read_all = self._read_all or self._cut
            self._most, self._most_bytes, self._until = 1 << 62, float("inf"), None
        try:
            while True:
                with self._mutex:
                    self._fill()
                    if not self._by_id and not self._unsent:
                        return
                self._take_in()
        finally:
            self._engine.drop_run(self)

    def cancel(self) -> None:
        """Make no call that was not begun; there are no more results."""
        with self._mutex:
            self._read_all = True
            self._unsent.clear()
            self._values.clear()
            for task_id, item in self._by_id.items():
                if self._engine.cancel(task_id):
                    item.outcome = Raised(futures.CancelledError())
            self._completions.close()
            self._engine.drop_run(self)


class Results(Iterator[Any]):
    """What `Executor.map` returns; it can be closed, as a generator."""

    def __init__(self, mapped: Mapped, engine: Engine) -> None:
        self._mapped: Mapped | None = mapped
        self._engine = engine
        self._begun = False

    def __repr__(self) -> str:
        return f"<Results of {self._mapped!r}>"

    def __next__(self) -> Any:
        if self._mapped is None:
            raise StopIteration
        self._begun = True
        try:
            return self._mapped.take()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take no more results; calls that were not begun are not made."""
        mapped, self._mapped = self._mapped, None
        if mapped is not None:
            mapped.cancel()

    def __del__(self) -> None:
        mapped = self._mapped
        if mapped is not None and self._begun:
            self.close()
        elif mapped is not None:  # only what the calls do is wanted
            self._engine.finish_later(mapped)


def _length(iterables: tuple[Iterable[Any], ...]) -> int | None:
    if all(isinstance(each, Sized) for each in iterables):
        return min((len(each) for each in iterables if isinstance(each, Sized)), default=0)
    return None
