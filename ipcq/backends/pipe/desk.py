"""What the server does for each verb: the backend's calls, none of which waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ...backend import WorkerExit, WorkerRequest
from ...codecs import MsgpackCodec
from ...errors import QueueFull, TaskSinkError
from ...status import Status
from ...task import Lease, Progress, Task, TaskId
from .asked import check_request
from .awaited import Awaited
from .frames import FrameError, Request, Verb
from .handing import hand, pack_page
from .holders import Holders, Wanted
from .members import Held, Members
from .wire import (
    Encoded,
    pack_histograms,
    pack_id,
    pack_ids,
    pack_info,
    pack_result,
    pack_stats,
    pack_task,
    pack_worker,
    unpack_error,
    unpack_filter,
    unpack_id,
    unpack_ids,
)

__all__ = ["A_TASK", "LONGEST_AWAIT", "LONGEST_WAIT", "ROOM", "ROOM_FOR_A_VALUE", "Answer", "Desk", "Waiting"]

LONGEST_WAIT = 1.0
"""Seconds that a request for room is kept before it is answered: who wants to wait on asks again."""
LONGEST_AWAIT = 20.0
"""The same, for results."""
A_TASK, ROOM, ROOM_FOR_A_VALUE = b"a task", b"room", b"room for a value"
"""What requests wait for."""
_MOST_RESULTS = 256
_PLAIN = MsgpackCodec()


class Answer(NamedTuple):
    """What a request is answered with."""

    body: Any = None
    blobs: Sequence[bytes] = ()


class Waiting(NamedTuple):
    """A request that is not answered yet.

    Attributes:
        until: when it is answered whatever there is, by `time.monotonic`.
        attempt: the answer, or None as long as there is nothing; called with whether it is over.
        topic: what it waits for: `A_TASK`, `ROOM`, `ROOM_FOR_A_VALUE`, or the token under which results are
            awaited.
        size: bytes of payloads that it keeps.
    """

    until: float
    attempt: Callable[[bool], Answer | None]
    topic: bytes
    size: int = 0


class Desk:
    """Answers requests from one backend.

    Args:
        backend: with every capability; it passes payloads on as bytes.
        codec: the name of the queue's codec.
        dead_after: seconds of silence after which a worker that cannot be seen from here is dead.
    """

    def __init__(self, backend: Any, codec: str, dead_after: float) -> None:
        self._backend = backend
        self._codec = codec
        self.members = Members(backend, dead_after)
        self.awaited = Awaited(backend)
        self.holders = Holders(backend, dead_after)
        self._handlers: dict[Verb, Callable[..., Answer | Waiting]] = {
            Verb.HELLO: self._hello,
            Verb.BEAT: self._beat,
            Verb.LEAVE: self._leave,
            Verb.OPEN_STREAM: self._open_stream,
            Verb.CLOSE_STREAM: self._close_stream,
            Verb.TAKE: self._take,
            Verb.FAIL: self._fail,
            Verb.GIVE_BACK: self._give_back,
            Verb.POSTPONE: self._postpone,
            Verb.TELL: self._tell,
            Verb.FETCH_BY_ID: self._fetch_by_id,
            Verb.RESCHEDULE: self._reschedule,
            Verb.RESUME_BY_ID: self._resume_by_id,
            Verb.RESUME_ABANDONED: self._resume_abandoned,
            Verb.CANCEL: self._cancel,
            Verb.END_RUN: self._end_run,
            Verb.ASK_WORKER: self._ask_worker,
            Verb.TAKE_TURN: self._take_turn,
            Verb.TAKE_PERMIT: self._take_permit,
            Verb.KEEP_PERMITS: self._keep_permits,
            Verb.CHECK_STATUS: self._check_status,
            Verb.RESULTS: self._results,
            Verb.FORGET: self._forget,
            Verb.RUNNING_PROGRESS: self._running_progress,
            Verb.VACUUM: self._vacuum,
            Verb.LIST_QUEUES: self._list_queues,
            Verb.LIST_WORKERS: self._list_workers,
            Verb.LIST_ALL_WORKERS: self._list_all_workers,
            Verb.LIST_TASKS: self._list_tasks,
            Verb.LIST_ALL_TASKS: self._list_all_tasks,
            Verb.GLOBAL_STATS: self._global_stats,
            Verb.QUEUE_STATS: self._queue_stats,
            Verb.QUEUE_HISTOGRAMS: self._queue_histograms,
        }
        self._with_payload: dict[Verb, Callable[..., Answer | Waiting]] = {
            Verb.PUSH: self._push,
            Verb.UPDATE: self._update,
            Verb.FINISH: self._finish,
        }
        self._of_client: dict[Verb, Callable[..., Answer | Waiting]] = {
            Verb.REGISTER: self._register,
            Verb.AWAIT: self._await,
        }

    def __repr__(self) -> str:
        return f"<Desk at {self._backend!r}>"

    def handle(self, request: Request, client: bytes) -> Answer | Waiting:
        """Do what is asked; what the backend raises is the answer, too, and the caller's to send.

        Args:
            client: who asks; `FrameError` where that is nothing that a client of ours asks.
        """
        arguments = check_request(request)
        with_payload = self._with_payload.get(request.verb)
        if with_payload is not None:
            return with_payload(request.blobs, *arguments)
        of_client = self._of_client.get(request.verb)
        if of_client is not None:
            return of_client(client, *arguments)
        return self._handlers[request.verb](*arguments)

    def tend(self, now: float) -> None:
        """Housekeeping, twice a second."""
        self.members.tend(now)
        self.awaited.tend(now)
        self.holders.tend(now)

    def close(self) -> None:
        """Let the workers and the permits go."""
        for member in self.members:
            member.part()
        self.holders.close()

    def _hello(self) -> Answer:
        backend = self._backend
        return Answer([str(backend.queue), dict(backend.config), self._codec, sorted(backend.capabilities())])

    # --- tasks in -----------------------------------------------------------------------------------

    def _push(self, blobs: Sequence[bytes], ids: bytes, rows: list[Any], wait: float) -> Waiting:
        """Store tasks; ``rows`` say how each is to be run, or one of all of them."""
        wanted, parts = unpack_ids(ids), [_parts_to_push(*row) for row in rows]
        values = [Encoded(blob) for blob in blobs]
        if len(wanted) != len(values) or len(rows) not in (1, len(values)) or not all(wanted):
            raise FrameError(f"PUSH: {len(wanted)} ids and {len(rows)} rows for {len(values)} payloads")
        done: list[int] = []

        def push(start: int) -> None:
            if len(parts) == 1:
                self._backend.push_bulk(values[start:], ids=wanted[start:], timeout=0.0, **parts[0])
                return
            every = zip(values[start:], wanted[start:], parts[start:], strict=True)
            self._backend.push_all((_task_of(*each) for each in every), timeout=0.0)

        def attempt(over: bool) -> Answer | None:
            try:
                push(len(done))
            except TaskSinkError as error:
                done.extend(error.accepted)
                if isinstance(error, QueueFull) and error.waiting_helps and not over:
                    return None
                error.accepted = wanted[: len(done)]
                raise
            return Answer(len(wanted))

        return Waiting(_until(wait), attempt, ROOM, sum(map(len, values)))

    def _update(
        self,
        blobs: Sequence[bytes],
        task_id: bytes,
        lease: list[int] | None,
        row: list[Any],
        expect: int | None,
    ) -> Answer:
        task = _task_of(Encoded(blobs[0]), unpack_id(task_id), _parts_to_push(*row))
        task.lease = Lease(*lease) if lease is not None else None
        stored = self._backend.update(task, expect=Status(expect) if expect is not None else None)
        return self._one(stored)

    # --- workers ------------------------------------------------------------------------------------

    def _register(
        self,
        client: bytes,
        worker_id: str,
        layers: list[str],
        identity: list[int],
        place: list[int] | None,
        has: bytes,
    ) -> Answer:
        return Answer(self.members.enter(client, worker_id, layers, identity, place, set(unpack_ids(has))))

    def _beat(self, token: int) -> Answer:
        lease = self.members.get(token).lease
        back = [*lease.heartbeat(), *self.members.returned.fetch()]
        return Answer([int(lease.request), pack_ids(back)])

    def _leave(self, token: int) -> Answer:
        self.members.leave(token)
        return Answer()

    def _open_stream(self, token: int, prefetch: int) -> Answer:
        member = self.members.get(token)
        if member.stream is not None:
            member.stream.close()
        member.stream = self._backend.poll(member.lease, prefetch=prefetch)
        return Answer()

    def _close_stream(self, token: int) -> Answer:
        member = self.members.get(token)
        if member.stream is not None:
            member.stream.close()
            member.stream = None
        return Answer()

    def _take(self, token: int, wait: float, most: int) -> Waiting:
        until, first = _until(wait), True

        def attempt(over: bool) -> Answer | None:
            nonlocal first
            member = self.members.get(token)
            tasks = member.take(most) if first or member.lives else []
            first = False
            if tasks:
                return Answer(*hand(member, tasks))
            return Answer() if over or member.stream is None else None

        return Waiting(until, attempt, A_TASK)

    def _finish(
        self,
        blobs: Sequence[bytes],
        token: int,
        held: list[tuple[bytes, list[int]]],
        more: bool,
        again: bool,
    ) -> Waiting:
        """End runs, as there is room; with ``more``, answered with the next task, where one is there."""
        if len(held) != len(blobs):
            raise FrameError(f"FINISH: {len(held)} tasks for {len(blobs)} payloads")
        left = [(_held(*each), Encoded(blob)) for each, blob in zip(held, blobs, strict=True)]

        def attempt(over: bool) -> Answer | None:
            nonlocal left
            member = self.members.get(token)
            try:
                member.finish([task for task, _ in left], [value for _, value in left], again=again)
            except QueueFull as full:
                done.update(full.accepted)
                left = [each for each in left if each[0].id not in done]
                if full.waiting_helps and not over:
                    return None
                full.accepted = list(done)
                raise
            return Answer(*hand(member, member.take(1) if more else ()))

        done: set[TaskId] = set()
        return Waiting(_until(LONGEST_WAIT), attempt, ROOM_FOR_A_VALUE, sum(map(len, blobs)))

    def _fail(
        self, token: int, task_id: bytes, lease: list[int], error: list[Any], retry_in: float, final: bool
    ) -> Waiting:
        task, told = _held(task_id, lease), unpack_error(error)

        def attempt() -> Answer:
            return Answer(int(self.members.get(token).fail(task, told, retry_in, final)))

        return _when_there_is_room(attempt)

    def _give_back(self, token: int, task_id: bytes, lease: list[int]) -> Answer:
        return Answer(self.members.get(token).give_back(_held(task_id, lease)))

    def _postpone(self, token: int, task_id: bytes, lease: list[int], seconds: float) -> Waiting:
        task = _held(task_id, lease)

        def attempt() -> Answer:
            return Answer(self.members.get(token).postpone(task, seconds))

        return _when_there_is_room(attempt)

    def _tell(self, token: int, told: list[tuple[bytes, list[int], float, float | None]]) -> Answer:
        """Note how far runs are."""
        member = self.members.get(token)
        for task_id, lease, done, total in told:
            member.tell(_held(task_id, lease), Progress.of(done, total))
        return Answer()

    # --- one task -----------------------------------------------------------------------------------

    def _one(self, task: Task[Any] | None) -> Answer:
        blobs: list[bytes] = []
        return Answer(pack_task(task, blobs) if task is not None else None, blobs)

    def _fetch_by_id(self, task_id: bytes) -> Answer:
        return self._one(self._backend.fetch_by_id(unpack_id(task_id)))

    def _reschedule(self, task_id: bytes, run_at: float, force: bool) -> Answer:
        at = datetime.fromtimestamp(run_at, timezone.utc)
        self._backend.reschedule(unpack_id(task_id), at, force=force)
        return Answer()

    def _resume_by_id(self, task_id: bytes, reset: bool) -> Answer:
        return Answer(self._backend.resume_by_id(unpack_id(task_id), reset=reset))

    def _resume_abandoned(self, exits: list[list[Any]]) -> Answer:
        return Answer(pack_ids(self._backend.resume_abandoned(exits=[WorkerExit(*end) for end in exits])))

    def _end_run(self, task_id: bytes, error: list[Any], pid: int, retry_in: float) -> Answer:
        told = unpack_error(error)
        return Answer(self._backend.end_run(unpack_id(task_id), told, pid=pid, retry_in=retry_in))

    def _ask_worker(self, worker_id: str, request: int) -> Answer:
        return Answer(self._backend.ask_worker(worker_id, WorkerRequest(request)))

    def _cancel(self, task_id: bytes, running: bool) -> Answer:
        return Answer(self._backend.cancel(unpack_id(task_id), running=running))

    # --- limits -------------------------------------------------------------------------------------

    def _take_turn(self, name: str, per_second: float, burst: int) -> Answer:
        return Answer(list(self._backend.take_turn(name, per_second, burst)))

    def _take_permit(self, who: bytes, told: list[int], wanted: list[Any], waited: float) -> Answer:
        return Answer(self.holders.take(who, told, Wanted(*wanted), waited))

    def _keep_permits(
        self, who: bytes, told: list[int], number: int, following: int, has: list[list[Any]], asked: list[int]
    ) -> Answer:
        self.holders.keep(who, told, number, following, [Wanted(*each) for each in has], asked)
        return Answer()

    # --- results ------------------------------------------------------------------------------------

    def _check_status(self, ids: bytes) -> Answer:
        found = self._backend.check_status(unpack_ids(ids))
        return Answer([[pack_id(task_id), int(status)] for task_id, status in found.items()])

    def _await(self, client: bytes, token: bytes, ids: bytes) -> Answer:
        return Answer(self.awaited.ask(client, token, unpack_ids(ids)))

    def _results(self, token: bytes, wait: float) -> Waiting:
        def attempt(over: bool) -> Answer | None:
            came = self.awaited.fetch(token, _MOST_RESULTS)
            if over and came == []:  # what came in this very moment
                self.awaited.sort()
                came = self.awaited.fetch(token, _MOST_RESULTS)
            if came is None:
                return Answer()  # it is to ask anew
            blobs: list[bytes] = []
            rows = [
                pack_result(result, self._codec, blobs) if result is not None else [pack_id(task_id)]
                for task_id, result in came
            ]
            return Answer(rows, blobs) if rows or over else None

        return Waiting(_until(wait, LONGEST_AWAIT), attempt, token)

    def _forget(self, token: bytes, ids: bytes) -> Answer:
        self.awaited.forget(token, unpack_ids(ids))
        return Answer()

    def _running_progress(self, since: int) -> Answer:
        seen, found = self._backend.running_progress(since)
        return Answer([seen, [[pack_id(task_id), *told] for task_id, told in found.items()]])

    def _vacuum(self, older_than: float, statuses: list[int]) -> Answer:
        return Answer(self._backend.vacuum(older_than=older_than, statuses=[Status(s) for s in statuses]))

    # --- what is seen -------------------------------------------------------------------------------

    def _list_queues(self) -> Answer:
        return Answer([pack_info(info) for info in self._backend.list_queues()])

    def _list_workers(self, queue: str | None) -> Answer:
        return Answer([pack_worker(worker) for worker in self._backend.list_workers(queue)])

    def _list_all_workers(self) -> Answer:
        return Answer([pack_worker(worker) for worker in self._backend.list_all_workers()])

    def _list_tasks(self, queue: str | None, wanted: list[Any] | None) -> Answer:
        return Answer(*pack_page(self._backend.list_tasks(queue, unpack_filter(wanted))))

    def _list_all_tasks(self, wanted: list[Any] | None) -> Answer:
        return Answer(*pack_page(self._backend.list_all_tasks(unpack_filter(wanted))))

    def _global_stats(self) -> Answer:
        return Answer(pack_stats(self._backend.global_stats()))

    def _queue_stats(self, queue: str | None) -> Answer:
        return Answer(pack_stats(self._backend.queue_stats(queue)))

    def _queue_histograms(self, queue: str | None) -> Answer:
        return Answer(pack_histograms(self._backend.queue_histograms(queue)))


def _until(wait: float, most: float = LONGEST_WAIT) -> float:
    return time.monotonic() + min(max(0.0, wait), most)


def _when_there_is_room(attempt: Callable[[], Answer]) -> Waiting:
    """Do it as soon as it meets no `QueueFull`."""

    def once(over: bool) -> Answer | None:
        try:
            return attempt()
        except QueueFull:
            if over:
                raise
            return None

    return Waiting(_until(LONGEST_WAIT), once, ROOM_FOR_A_VALUE)


def _held(task_id: bytes, lease: list[int]) -> Held:
    return Held(unpack_id(task_id), Lease(*lease))


def _parts_to_push(
    run_at: float,
    priority: int,
    max_attempts: int,
    max_deaths: int,
    timeout: float | None,
    keep_result: bool,
    metadata: bytes,
) -> dict[str, Any]:
    """How tasks are to be run, as a push takes it."""
    return {
        "run_at": run_at,
        "priority": priority,
        "max_attempts": max_attempts,
        "max_deaths": max_deaths,
        "run_timeout": timeout,
        "keep_result": keep_result,
        "metadata": _metadata(metadata),
    }


def _metadata(data: bytes) -> dict[str, Any]:
    found = _PLAIN.decode(data) if data else {}
    if not isinstance(found, dict):
        raise FrameError(f"metadata is a map, not this {type(found).__name__}")
    return found


def _task_of(value: Encoded, task_id: TaskId, parts: Mapping[str, Any]) -> Task[Any]:
    others = dict(parts)
    return Task.of(value, id=task_id, timeout=others.pop("run_timeout"), **others)
