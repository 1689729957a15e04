"""Results from behind the pipe, for one who waits: the server wakes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from secrets import token_bytes
from typing import Any

from ...errors import IpcqError, TaskNotFound
from ...result import TaskResult
from ...task import TaskId
from ..bells import Bells
from ..completions import AwaitedResults
from .channels import Channel, Channels, Response
from .desk import LONGEST_AWAIT
from .frames import Verb
from .wire import Decoding, pack_ids, unpack_id, unpack_result

__all__ = ["PipeInbox"]

_PART = 50_000  # ids in one message
_ANSWERED = 1.0  # seconds that an answer that is on its way may take
_LOOK = 0.05  # seconds that one thread waits for another that looks already


class PipeInbox:
    """Fetches for one `AwaitedResults`. Fulfils `Fetching`."""

    def __init__(self, channels: Callable[[], Channels], decoding: Decoding) -> None:
        self._channels = channels
        self._decoding = decoding
        self._token = token_bytes(12)
        self._who: AwaitedResults | None = None
        self._open: set[TaskId] = set()
        self._fetching = threading.Lock()
        self._bells = Bells()
        self._asking: Channel | None = None

    def __repr__(self) -> str:
        return f"<PipeInbox: {len(self._open)} awaited>"

    def ask(self, who: AwaitedResults, ids: Iterable[TaskId]) -> None:
        """Have the server wait for these; `TaskNotFound` asks for none of them."""
        self._who = who
        wanted = [TaskId(each) for each in ids]
        before = self._open - set(wanted)
        if not self._tell(wanted) and before:
            self._ask_anew()  # it knows nothing of them
        self._open.update(wanted)

    def _tell(self, ids: list[TaskId]) -> bool:
        """Have the server wait for these; whether it knew us before."""
        known = [
            self._channels().call(Verb.AWAIT, self._token, pack_ids(ids[start : start + _PART])).body
            for start in range(0, len(ids), _PART)
        ]
        return all(known[:1])

    def forget(self, who: AwaitedResults, ids: Iterable[int]) -> None:
        """Tell the server; where it cannot be told, it forgets by itself."""
        gone = [TaskId(each) for each in ids]
        self._open.difference_update(gone)
        with suppress(IpcqError):
            if gone:
                self._channels().call(Verb.FORGET, self._token, pack_ids(gone), patience=0.0)
                self._ask_no_more()

    def _ask_no_more(self) -> None:
        """Where nothing is awaited any more, the server answers what we asked: the channel is free again."""
        if self._open or not self._fetching.acquire(blocking=False):
            return
        try:
            if self._asking is not None and not self._asking.closed:
                self._asking.answer(_no, within=_ANSWERED)
        finally:
            if self._asking is not None:
                self._done_with(self._channels(), self._asking)
            self._fetching.release()

    def await_change(self, is_over: Callable[[], bool], timeout: float) -> None:
        """Fetch what is there; else wait until something is, `is_over`, or ``timeout`` s passed."""
        if not self._fetching.acquire(timeout=_LOOK):
            return  # another thread of the same wait
        try:
            self._fetch(is_over, timeout)
        finally:
            self._fetching.release()

    def _fetch(self, is_over: Callable[[], bool], timeout: float) -> None:
        channels = self._channels()
        channel = self._asking
        if channel is None or channel.closed:
            if timeout <= 0:
                self.look_at_all()
                return
            channel = channels.take()
            channel.begin(Verb.RESULTS, [self._token, LONGEST_AWAIT], wait=LONGEST_AWAIT)
        self._asking = channel
        try:
            response = channel.answer(is_over, within=timeout, bells=self._bells)
            if response is None:
                return
        except BaseException:
            self._done_with(channels, channel)
            raise
        self._done_with(channels, channel)
        self._hand_out(response)

    def _done_with(self, channels: Channels, channel: Channel) -> None:
        self._asking = None
        channels.give(channel)

    def _hand_out(self, response: Response) -> None:
        if response.body is None:
            self._ask_anew()
            return
        for row in response.body:
            if len(row) == 1:
                self._take_in(unpack_id(row[0]), None)
            else:
                result = unpack_result(row, response.blobs, self._decoding)
                self._take_in(result.task_id, result)

    def _ask_anew(self) -> None:
        """The server does not know us: it is another one, or was not asked for long."""
        while self._open:
            try:
                self._tell(list(self._open))
            except TaskNotFound:
                self._take_out_what_is_gone()
            else:
                return

    def _take_out_what_is_gone(self) -> None:
        known = self._channels().call(Verb.CHECK_STATUS, pack_ids(self._open)).body
        for task_id in self._open - {unpack_id(row[0]) for row in known}:
            self._take_in(task_id, None)

    def _take_in(self, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        self._open.discard(task_id)
        if self._who is not None:
            self._who.take_in(task_id, result)

    def look_at_all(self) -> None:
        """Fetch what is there."""
        self._hand_out(self._channels().call(Verb.RESULTS, self._token, 0.0))

    def wake(self) -> None:
        """Make who waits look whether the wait is over; from a signal handler too."""
        self._bells.ring()


def _no() -> bool:
    return False
