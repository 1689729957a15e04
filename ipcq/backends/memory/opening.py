"""Opening, destroying and clearing away queues: who may do so when, by byte 0 of the lock file.

Whoever is attached shares byte 0; who creates or removes the files has it alone. A lock file that
was replaced meanwhile is noticed by its inode.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass

from ...errors import CorruptQueue, QueueNotFound, QueueStalled, StorageError, VersionMismatch
from ...task import Queue
from .layout import ST_DONE, ST_KILLED, ST_LAST, ST_PENDING, STATUS_MASK
from .lockfile import DESTROY, LockFile, open_lock_file
from .namespace import check_private, base_directory, queue_directory, queue_names
from .segment import CONTROL, LOCK, Segment, build, remove_files
from .settings import Wishes

__all__ = ["Removed", "gc", "open_queue", "remove_queue"]

_PATIENCE = 30.0  # seconds; creating a queue takes some milliseconds
_LONGEST_PAUSE = 0.01


def open_queue(queue: Queue, wishes: Wishes, *, create: bool) -> tuple[Segment, LockFile]:
    """Attach to a queue, making it first where it is missing and ``create``.

    Returns:
        Its files, and its lock file with byte 0 shared.

    Raises:
        QueueNotFound, ConfigMismatch, CorruptQueue, VersionMismatch, UnsafeDirectory, QueueFull.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        opened = _try_open(queue, wishes, create)
        if opened is not None:
            return opened
        if time.monotonic() > until:
            raise QueueStalled(f"queue {queue!r}: somebody has been creating or removing it for {_PATIENCE:g} s")
        time.sleep(random.uniform(0, _LONGEST_PAUSE))


def _try_open(queue: Queue, wishes: Wishes, create: bool) -> tuple[Segment, LockFile] | None:
    """One try; None when somebody creates or removes the queue right now."""
    directory = queue_directory(queue, create=create)
    try:
        lock = open_lock_file(os.path.join(directory, LOCK), create=create)
    except FileNotFoundError:
        if create:
            return None  # the directory was removed meanwhile
        raise QueueNotFound(f"there is no queue {queue!r} in {base_directory()}") from None
    except OSError as error:
        raise StorageError(f"cannot open the queue in {directory}: {error.strerror}") from error
    try:
        segment = _attach(queue, directory, lock, wishes, create)
    except BaseException:
        lock.release()
        raise
    if segment is None:
        lock.release()
        return None
    return segment, lock


def _attach(queue: Queue, directory: str, lock: LockFile, wishes: Wishes, create: bool) -> Segment | None:
    if not lock.share():
        return None
    try:
        segment = _shared(queue, directory, lock, wishes, create)
    except BaseException:
        lock.unshare()
        raise
    if segment is None:
        lock.unshare()
    return segment


def _shared(queue: Queue, directory: str, lock: LockFile, wishes: Wishes, create: bool) -> Segment | None:
    """With byte 0 shared: find the queue, or make it with byte 0 alone."""
    if not lock.is_current():
        return None
    if not _exists(directory):
        if not create:
            raise QueueNotFound(f"there is no queue {queue!r} in {base_directory()}")
        if not lock.try_exclusive():
            return None  # two who would both create: each lets go and tries again
        try:
            if not _exists(directory):
                _make(directory, wishes)
        finally:
            lock.unexclusive()
    segment = Segment(directory)
    try:
        wishes.check(queue, segment.settings)
    except BaseException:
        segment.close()
        raise
    return segment


def _exists(directory: str) -> bool:
    if os.path.lexists(os.path.join(directory, CONTROL)):
        return True
    others = [name for name in os.listdir(directory) if name.startswith("ctl.v")]
    if others:
        raise VersionMismatch(
            f"the queue in {directory} was made by another version of ipcq ({others[0]}); use that version,"
            " or remove the queue with: ipcq gc --force"
        )
    return False


def _make(directory: str, wishes: Wishes) -> None:
    try:
        build(directory, wishes.settle(directory))
    except BaseException:
        _remove_directory(directory)
        raise


def remove_queue(directory: str, lock: LockFile) -> None:
    """Remove everything of a queue; nobody must be able to attach, or all are told (``force``).

    The lock file goes last: as long as its path names our inode, and we are attached, nobody can
    make a new queue whose files we would take.
    """
    until = time.monotonic() + _PATIENCE
    while not lock.take(DESTROY):
        if time.monotonic() > until:
            raise QueueStalled(f"somebody has been removing {directory} for {_PATIENCE:g} s")
        time.sleep(_LONGEST_PAUSE)
    try:
        if lock.is_current():
            _remove_all_versions(directory)
            remove_files(directory)
            _remove_directory(directory)
    finally:
        lock.drop(DESTROY)


def _remove_all_versions(directory: str) -> None:
    for name in os.listdir(directory):
        if name.startswith(("ctl.", "arena.")):
            try:
                os.unlink(os.path.join(directory, name))
            except FileNotFoundError:
                pass


def _remove_directory(directory: str) -> None:
    """Remove the lock file and the directory; a newcomer's new files keep the directory."""
    for call, path in ((os.unlink, os.path.join(directory, LOCK)), (os.rmdir, directory)):
        try:
            call(path)
        except OSError:
            pass


# --- clearing away --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Removed:
    """What `gc` did with one queue, and why."""

    name: str
    removed: bool
    reason: str


def gc(*, force: bool = False) -> list[Removed]:
    """Remove the queues that nobody is attached to and that hold no unfinished task.

    Args:
        force: also those with unfinished tasks, and damaged ones.

    Returns:
        What was done with each queue of the base directory, by name.
    """
    return [_collect(name, force) for name in queue_names()]


def _collect(name: Queue, force: bool) -> Removed:
    directory = os.path.join(base_directory(), name)
    try:
        check_private(directory)
        lock = open_lock_file(os.path.join(directory, LOCK), create=True)
    except (OSError, StorageError) as error:
        return Removed(name, False, str(error))
    try:
        if lock.shares or not lock.try_exclusive():
            return Removed(name, False, "in use")
        try:
            reason = _why_keep(directory, force)
            if not reason:
                remove_queue(directory, lock)
            return Removed(name, not reason, reason or "nobody is attached")
        finally:
            lock.unexclusive()
    finally:
        lock.release()


def _why_keep(directory: str, force: bool) -> str:
    """Why a queue that nobody is attached to is to be kept; empty when it is not."""
    if force:
        return ""
    try:
        segment = Segment(directory)
    except FileNotFoundError:
        return ""  # killed while it was made or removed
    except StorageError as error:
        return str(error)
    try:
        unfinished = _unfinished(segment)
        if unfinished and not segment.settings.ephemeral:
            return f"{unfinished} unfinished tasks; remove it with: ipcq gc --force"
        return ""
    finally:
        segment.close()


def _unfinished(segment: Segment) -> int:
    at = segment.geometry.state_at
    count = 0
    for word in segment.words[at : at + segment.geometry.capacity]:
        status = word & STATUS_MASK
        count += ST_PENDING <= status <= ST_LAST and status not in (ST_DONE, ST_KILLED)
    return count
