"""Tasks for one worker, as the server hands them out."""

from __future__ import annotations

import weakref
from collections.abc import MutableSequence
from contextlib import suppress
from typing import Any

from ...errors import IpcqError
from ...task import Task
from ..awaiting import ManyTasks
from ..bells import Bells
from .channels import Channel, Channels, Response
from .failures import NotRegistered
from .frames import MOST_BLOBS, Verb
from .wire import Decoding, unpack_task
from .working import LAST_PATIENCE, PipeLease

__all__ = ["PipeStream"]

_WAIT = 0.4  # seconds that the server keeps the question for a task


class PipeStream(ManyTasks):
    """Tasks for one worker; each question is the credit for one. Fulfils `TaskStream`."""

    def __init__(self, lease: PipeLease, prefetch: int, decoding: Decoding, *, owned: bool) -> None:
        """
        Args:
            owned: whether the lease was made for this stream and ends with it.
        """
        super().__init__(lease, _WAIT)
        self._lease = lease
        self._decoding = decoding
        self._owned = owned
        self._woken = False
        self._bells = Bells()
        self._asking: tuple[Channel, int] | None = None
        self._holds_ahead = prefetch > 1
        lease.open_stream(prefetch)
        lease.stream = weakref.ref(self)

    def __repr__(self) -> str:
        return f"<PipeStream of {self._lease.worker_id!r} [{'closed' if self._closed else 'open'}]>"

    def _next(self, wait: float) -> Task[Any] | None:
        if not self._kept:
            self._kept.extend(self._take(1, wait))
        try:
            return self._kept.popleft()
        except IndexError:  # none; or another thread that shares this stream has it
            return None

    def _take_many(self, most: int) -> list[Task[Any]]:
        if self._kept or self._closed:
            task = next(self, None)
            return [] if task is None else [task]
        return self._take(min(most, MOST_BLOBS), _WAIT)

    def _take(self, most: int, wait: float) -> list[Task[Any]]:
        """Ask for tasks, and wait so many seconds at the most."""
        channels = self._lease.channels()
        asking, self._asking = self._asking, None  # another thread that shares this stream asks for itself
        channel, token = asking or (channels.take(), self._lease.token)
        try:
            if asking is None:
                channel.begin(Verb.TAKE, [token, wait, most], wait=wait)
            return self._answer(channels, channel, token)
        except NotRegistered:  # a new server, or one that took us for dead
            self._lease.enter_again(token)
            return []

    def _answer(self, channels: Channels, channel: Channel, token: int) -> list[Task[Any]]:
        try:
            response = channel.answer(self._is_over, bells=self._bells)
        except KeyboardInterrupt:  # what is on its way is for the next call
            self._asking = channel, token
            raise
        except BaseException:
            channels.give(channel)
            raise
        if response is None:  # woken: the answer is for the next call, or for `close`
            self._asking, self._woken = (channel, token), False
            return []
        channels.give(channel)
        return self._read(response, token)

    @property
    def wants_more(self) -> bool:
        """Whether the next task may come before it is asked for."""
        return self._holds_ahead and not (self._closed or self._woken or self._kept or self._asking)

    def keep(self, response: Response, token: int) -> None:
        """Have a task that came before it was asked for be the next."""
        if response.body:
            self._kept.extend(self._read(response, token))
            if self._closed:
                self._return_kept()

    def _is_over(self) -> bool:
        return self._woken

    def _read(self, response: Response, token: int) -> list[Task[Any]]:
        if not response.body:
            self._woken = False
            return []
        tasks = [unpack_task(row, response.blobs, self._decoding) for row in response.body]
        return tasks if self._lease.was_handed(tasks, token) else []

    def wake(self) -> None:
        """Make a `next` that waits return None; from another thread or a signal handler."""
        self._woken = True
        self._bells.ring()

    def close(self) -> None:
        """Give back what was handed out ahead and not started, and end the stream."""
        if self._closed:
            return
        self._closed = True
        if self._lease.is_ours:
            with suppress(IpcqError):  # the server is gone, and gave all back
                self._return_all()
        if self._owned:
            self._lease.close()

    def _return_all(self) -> None:
        self._give_back(self._kept)
        channels = self._lease.channels()
        self._lease.close_stream()
        asking, self._asking = self._asking, None
        if asking is not None:
            channel, token = asking
            try:
                response = channel.answer(lambda: False, LAST_PATIENCE)
            except NotRegistered:  # a new server, which was told by now what we have
                return
            finally:
                channels.give(channel)
            if response is not None:
                self._give_back(self._read(response, token))

    def _give_back(self, tasks: MutableSequence[Task[Any]]) -> None:
        """The last first; where no server answers, the next one hears that we do not have them."""
        try:
            while tasks:
                self._lease.give_back(tasks[-1], patience=LAST_PATIENCE)
                tasks.pop()
        finally:
            self._lease.is_rid_of(tasks)
            tasks.clear()
