"""A row of the queue that belongs to one process: how it is taken, and how dead ones are reclaimed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

from ...backend import WorkerExit
from ...errors import QueueClosed, StorageError, WorkerExists
from ...task import TaskId
from ..liveness import Identity, own_identity, resident_bytes
from ..lockfile import PARTICIPANT
from ..parts import microseconds
from .connection import Connection
from .futex import can_spin, wait, wake
from .layout import (
    EXIT_BIAS,
    LAST_SWEEP,
    MAX_PARTICIPANTS,
    NAME_BYTES,
    P_ASLEEP,
    P_BEAT,
    P_BOOT,
    P_GEN,
    P_LAYERS,
    P_NAME,
    P_PID,
    P_PIDNS,
    P_REQUEST,
    P_ROLE,
    P_RSS,
    P_START,
    P_STARTED,
    P_STATE,
    P_WAKE,
    PART_ACTIVE,
    PART_HIGH,
    REQUEST_STOP,
    ROLE_WORKER,
)
from .liveness import identity_of, is_dead, is_gone

__all__ = [
    "LAYERS_END",
    "Participant",
    "Place",
    "ask_worker",
    "housekeep",
    "reclaim_abandoned",
    "reclaim_dead",
]

Place = tuple[int, int]
"""A row, and its generation as long as one has it."""

LAYERS_END = "\x1f"  # between the names of a worker's layers, which may hold commas
TICK = 0.5  # seconds: the bound of every sleep, and the pace of housekeeping
_SPIN = 50e-6  # seconds of looking before sleeping: the cost of a sleep and a wake-up
_GRACE = 0.25  # seconds that a Monitor has, who knows how its worker ended, to reclaim it first


class Participant:
    """One row, active for as long as this object is not closed.

    Attributes:
        index: which row.
        generation: the row's, while it is ours.
    """

    def __init__(
        self,
        connection: Connection,
        role: int,
        name: str = "",
        layers: Iterable[str] = (),
        identity: Identity | None = None,
        place: Place | None = None,
    ) -> None:
        """
        Args:
            identity: whose life this row's is; None for this process's.
            place: of the row that another process had for this identity, which is gone on with if it still is
                there.

        Raises:
            WorkerExists: a live worker has this name.
            StorageError: all rows are taken.
        """
        self.connection = connection
        self.words = connection.words
        self.closed = False
        self._mutex = threading.Lock()
        self._sleepers = 0
        self.generation = -1
        self._holds_byte = True
        self._spins = can_spin()
        if place is not None and _is_at(connection, place, name, identity):
            self._holds_byte = False
            self.index, self.generation = place
            self.row = connection.core.row(self.index)
            return
        if role == ROLE_WORKER:
            _check_name(connection, name)
        self.index = _claim(connection)
        self.row = connection.core.row(self.index)
        try:
            self._describe(identity or own_identity(), role, name, LAYERS_END.join(layers))
            connection.call(self._enter, role, name)
            self.generation = self.words[self.row + P_GEN]
            if identity is not None:  # the byte would say that it lives for as long as we do
                self._holds_byte = False
                connection.lock.drop(PARTICIPANT + self.index)
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> Place:
        """Where it is, for as long as it is not closed."""
        return self.index, self.generation

    def _describe(self, identity: Identity, role: int, name: str, layers: str) -> None:
        """Write who we are: the row is not in use, and its byte is ours."""
        w, row = self.words, self.row
        now = microseconds()
        w[row + P_PID], w[row + P_PIDNS] = identity.pid, identity.pidns
        w[row + P_START], w[row + P_BOOT] = identity.start, identity.boot
        w[row + P_ROLE] = role
        w[row + P_STARTED] = w[row + P_BEAT] = now
        w[row + P_RSS] = resident_bytes()
        _write_text(self.connection, row + P_NAME, name)
        _write_text(self.connection, row + P_LAYERS, layers)

    def _enter(self, role: int, name: str) -> None:
        if role == ROLE_WORKER and _workers_named(self.connection, name):
            raise _exists(self.connection, name)
        self.connection.core.clear_out()
        self.connection.recover.enter(self.index)

    # --- living ---------------------------------------------------------------------------------

    def heartbeat(self) -> list[TaskId]:
        """Show that we move, and do our share of the housekeeping; tell what that returned of the dead's."""
        w, row = self.words, self.row
        w[row + P_BEAT] = microseconds()
        w[row + P_RSS] = resident_bytes()
        self.connection.lock.reassert()
        return housekeep(self.connection)

    @property
    def lost(self) -> bool:
        """Whether the row is not ours any more; see `gone`."""
        w, row = self.words, self.row
        return self.closed or w[row + P_GEN] != self.generation or w[row + P_STATE] != PART_ACTIVE

    def gone(self) -> QueueClosed:
        """The error for a worker that goes on though the row is not its any more.

        Its byte is lost when foreign code opens and closes the lock file in this process; until
        `heartbeat` takes it again, a process of another pid namespace must think that we are dead.
        """
        return QueueClosed(
            f"queue {self.connection.queue!r}: this worker was closed, or taken for dead; register again"
        )

    @property
    def request(self) -> int:
        """What another process asks of us."""
        return self.words[self.row + P_REQUEST]

    def sleep(self, seen: int, timeout: float) -> None:
        """Wait until our wake word is no longer ``seen``, up to ``timeout`` s and a tick."""
        w, row = self.words, self.row
        if self._spins:
            until = time.perf_counter() + min(timeout, _SPIN)
            while time.perf_counter() < until:
                if w[row + P_WAKE] != seen:
                    return
        with self._mutex:
            self._sleepers += 1
            w[row + P_ASLEEP] = 1
        try:
            wait(self.connection.wake_address(self.index), seen, min(timeout, TICK))
        finally:
            with self._mutex:
                self._sleepers -= 1
                if not self._sleepers and not self.closed:
                    w[row + P_ASLEEP] = 0

    def rouse(self) -> None:
        """Wake whoever sleeps on our word, in this process; from a signal handler too.

        So it takes no lock. A bump by another process at the same moment may be lost: its system
        call is not, and the sleeper looks again in any case.
        """
        w, at = self.words, self.row + P_WAKE
        w[at] = w[at] + 1 & 0xFFFF_FFFF
        wake(self.connection.wake_address(self.index))

    def close(self) -> None:
        """Give back what we have and leave."""
        if self.closed:
            return
        connection = self.connection
        connection.ensure_outside()
        self.closed = True
        try:
            connection.call(self._leave)
        except QueueClosed:
            pass  # it went with the queue, or is another process's: this one was forked from it
        finally:
            if self._holds_byte:
                connection.lock.drop(PARTICIPANT + self.index)

    def _leave(self) -> None:
        self.connection.core.clear_out()
        if self.generation in (-1, self.words[self.row + P_GEN]):  # or it is another's by now
            self.connection.recover.reclaim(self.index, False, 0, 0, 0, microseconds())


def _claim(connection: Connection) -> int:
    """Take the byte of a row that nobody uses, and clear what a dead user left in it."""
    w, lock = connection.words, connection.lock
    rows = range(connection.core.participants)
    free = [i for i in rows if w[connection.core.row(i) + P_STATE] != PART_ACTIVE]
    for index in (*free, *(i for i in rows if i not in set(free))):
        if not lock.take(PARTICIPANT + index):
            continue
        row = connection.core.row(index)
        if w[row + P_STATE] == PART_ACTIVE and not is_gone(w, index):
            lock.drop(PARTICIPANT + index)  # alive: foreign code closed the lock file there
            continue
        try:
            connection.call(connection.recover.reclaim, index, True, 0, 0, 0, microseconds())
        except BaseException:
            lock.drop(PARTICIPANT + index)
            raise
        return index
    raise StorageError(
        f"queue {connection.queue!r} has {MAX_PARTICIPANTS} live participants, the most it can have;"
        " stop some, or use one process for several producers"
    )


# --- names ----------------------------------------------------------------------------------------


def _is_at(connection: Connection, place: Place, name: str, identity: Identity | None) -> bool:
    """Whether a worker of that name and identity still has that row."""
    index, generation = place
    if index not in _rows(connection) or index not in _workers_named(connection, name):
        return False
    w = connection.words
    return w[connection.core.row(index) + P_GEN] == generation and identity_of(
        w, connection.core.row(index)
    ) == (identity or own_identity())


def _check_name(connection: Connection, name: str) -> None:
    if not 0 < len(name.encode()) <= NAME_BYTES or "\0" in name:
        raise ValueError(f"a worker's id is 1 to {NAME_BYTES} bytes of text, not {name!r}")
    holders = _workers_named(connection, name)
    if holders:
        dead = [(index, generation) for index, generation in _abandoned(connection) if index in holders]
        _reclaim_rows(connection, dead, {})  # it gives way at once; others' Monitors keep their moment
        if _workers_named(connection, name):
            raise _exists(connection, name)


def _workers_named(connection: Connection, name: str) -> list[int]:
    """The rows of workers with that id, dead or alive."""
    w, found = connection.words, []
    for index in _rows(connection):
        row = connection.core.row(index)
        works = w[row + P_STATE] == PART_ACTIVE and w[row + P_ROLE] == ROLE_WORKER
        if works and read_text(connection, row + P_NAME) == name:
            found.append(index)
    return found


def _exists(connection: Connection, name: str) -> WorkerExists:
    return WorkerExists(
        f"queue {connection.queue!r} has a live worker {name!r}; choose another name, or None for a"
        " unique one"
    )


def read_text(connection: Connection, at: int) -> str:
    """The text in `NAME_BYTES` bytes from word ``at`` on."""
    data = bytes(connection.segment.control[at * 8 : at * 8 + NAME_BYTES])
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _write_text(connection: Connection, at: int, text: str) -> None:
    data = text.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0")
    connection.segment.control[at * 8 : at * 8 + NAME_BYTES] = data


# --- what is asked of the living -------------------------------------------------------------------


def ask_worker(connection: Connection, worker_id: str, request: int) -> bool:
    """Have a live worker see a request; False where there is none, or it is to stop already."""
    return bool(connection.call(_ask, connection, worker_id, request))


def _ask(connection: Connection, worker_id: str, request: int) -> bool:
    """With the lock: a row found by its name stays that worker's, and what is stored is one word."""
    connection.core.clear_out()
    w = connection.words
    for index in _rows(connection):
        row = connection.core.row(index)
        if w[row + P_STATE] != PART_ACTIVE or w[row + P_ROLE] != ROLE_WORKER:
            continue
        if read_text(connection, row + P_NAME) != worker_id or is_dead(w, connection.lock, index):
            continue
        if w[row + P_REQUEST] == REQUEST_STOP:
            return request == REQUEST_STOP
        w[row + P_REQUEST] = request
        return True
    return False


# --- the dead -------------------------------------------------------------------------------------


def reclaim_dead(connection: Connection, exits: Iterable[WorkerExit]) -> list[TaskId]:
    """Return the tasks of the dead, of all or of those whose exits are given; tell which.

    A Monitor that saw one worker end may be about to see another one: not only the first knows how.
    """
    w, seen = connection.words, {end.pid: end for end in exits}
    dead = _abandoned(connection)
    if seen:
        dead = [
            (index, generation) for index, generation in dead if w[connection.core.row(index) + P_PID] in seen
        ]
    return _reclaim_rows(connection, dead, seen)


def reclaim_abandoned(connection: Connection) -> list[TaskId]:
    """`reclaim_dead` by who does not know how they ended: a Monitor that does may come first.

    Who dies in the meantime has a Monitor, too, and its turn comes with the next look.
    """
    dead = _abandoned(connection)
    if not dead:
        return []
    time.sleep(_GRACE)
    return _reclaim_rows(connection, dead, {})


def _reclaim_rows(
    connection: Connection, rows: Iterable[tuple[int, int]], seen: Mapping[int, WorkerExit]
) -> list[TaskId]:
    """Return what the dead in these rows had, if they are still theirs; ``seen`` by process id."""
    w = connection.words
    back: list[TaskId] = []
    for index, generation in rows:
        end = seen.get(w[connection.core.row(index) + P_PID], WorkerExit(0, 0))
        with connection.turn:
            count = connection.run(_reclaim, connection, index, generation, end)
            back += [connection.task_id(connection.out[n]) for n in range(count)]
    return back


def _abandoned(connection: Connection) -> list[tuple[int, int]]:
    """The rows in use whose process is dead, each with its generation."""
    w = connection.words
    rows = [(index, w[connection.core.row(index) + P_GEN]) for index in _rows(connection)]
    return [(index, generation) for index, generation in rows if _is_abandoned(connection, index)]


def _rows(connection: Connection) -> range:
    return range(min(connection.words[PART_HIGH], connection.core.participants))


def _is_abandoned(connection: Connection, index: int) -> bool:
    """Whether a row is in use, and its process dead."""
    w = connection.words
    return w[connection.core.row(index) + P_STATE] == PART_ACTIVE and is_dead(w, connection.lock, index)


def _reclaim(connection: Connection, index: int, generation: int, end: WorkerExit) -> int:
    """With the lock: look again whether it is dead, and the same; only then take what it had."""
    w = connection.words
    connection.core.clear_out()
    if w[connection.core.row(index) + P_GEN] != generation or not is_dead(w, connection.lock, index):
        return 0
    code = end.exitcode + EXIT_BIAS if end.pid else 0
    count: int = connection.recover.reclaim(
        index, True, code, end.rss, int(end.out_of_memory), microseconds()
    )
    return count


def housekeep(connection: Connection) -> list[TaskId]:
    """Once a tick, by one process: the dead, the hoarded, the expired, and files of nobody.

    Returns:
        What went back to the queue because its owner had died.
    """
    now = microseconds()
    w = connection.words
    if 0 <= now - w[LAST_SWEEP] < TICK * 1e6 or not connection.call(_claim_sweep, connection, now):
        return []
    back = reclaim_abandoned(connection)
    connection.call(connection.deliver.unhoard, now)
    connection.call(connection.collect.expire, now)
    if back:
        sweep_blobs(connection)
    return back


def _claim_sweep(connection: Connection, now: int) -> bool:
    connection.core.clear_out()
    if 0 <= now - connection.words[LAST_SWEEP] < TICK * 1e6:
        return False
    connection.words[LAST_SWEEP] = now
    return True


def sweep_blobs(connection: Connection) -> int:
    """Remove the files of large payloads that belong to no task any more; how many."""

    def is_live(slot: int, generation: int, epoch: int) -> bool:
        return bool(connection.call(connection.recover.is_live_blob, slot, generation, epoch))

    return connection.blobs.sweep(is_live)
