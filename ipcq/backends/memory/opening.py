"""Opening, destroying and clearing away queues: who may do so when, by byte 0 of the lock file.

Whoever is attached shares byte 0; who creates or removes the files has it alone. A lock file that
was replaced meanwhile is noticed by its inode.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass

from ...directory import base_directory, check_private
from ...errors import CorruptQueue, QueueNotFound, QueueStalled, StorageError, VersionMismatch
from ...task import Queue
from ..lockfile import DESTROY, LockFile, open_lock_file
from ..turnstile import LIMIT
from .layout import CLOSED, ST_DONE, ST_KILLED, ST_LAST, ST_PENDING, STATUS_MASK
from .namespace import queue_directory, queue_names
from .segment import BLOBS, CONTROL, LOCK, Segment, build, remove_files
from .settings import Wishes

__all__ = ["Removed", "gc", "open_queue", "remove_queue"]

_PATIENCE = 30.0  # seconds; creating a queue takes some milliseconds
_LONGEST_PAUSE = 0.01


def open_queue(
    queue: Queue, wishes: Wishes, *, create: bool, base: str | None = None
) -> tuple[Segment, LockFile]:
    """Attach to a queue, making it first where it is missing and ``create``.

    Returns:
        Its files, and its lock file with byte 0 shared.

    Raises:
        QueueNotFound, ConfigMismatch, CorruptQueue, VersionMismatch, UnsafeDirectory, QueueFull.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        opened = _try_open(queue, wishes, create, base or base_directory())
        if opened is not None:
            return opened
        if time.monotonic() > until:
            raise QueueStalled(
                f"queue {queue!r}: somebody has been creating or removing it for {_PATIENCE:g} s; if a"
                " process is stopped in the middle of that, continue or kill it"
            )
        time.sleep(random.uniform(0, _LONGEST_PAUSE))


def _try_open(queue: Queue, wishes: Wishes, create: bool, base: str) -> tuple[Segment, LockFile] | None:
    """One try; None when somebody creates or removes the queue right now."""
    try:
        directory = queue_directory(queue, create=create, base=base)
        lock = open_lock_file(os.path.join(directory, LOCK), create=create)
    except (FileNotFoundError, QueueNotFound):
        if create:
            return None  # the directory was removed meanwhile
        raise QueueNotFound(f"there is no queue {queue!r} in {base}") from None
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot open the lock file of queue {queue!r}: {error}") from error
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
    try:
        if not lock.is_current():
            return None
        if not _exists(directory):
            if not create:
                raise QueueNotFound(f"there is no queue {queue!r} in {os.path.dirname(directory)}")
            if not _create(directory, lock, wishes):
                return None  # two who would both create: each lets go and tries again
        segment = Segment(directory)
    except (FileNotFoundError, CorruptQueue):
        # In this order: what is there under our lock file now was there when it was not found. The other way
        # round, all of it may be replaced in between.
        if os.path.lexists(os.path.join(directory, CONTROL)) and lock.is_current():
            raise
        return None  # `remove_queue` was at work, which need not wait for those who are attached
    if not lock.is_current():
        segment.close()  # of a new queue, whose lock file is another
        return None
    return _checked(queue, segment, lock, wishes)


def _create(directory: str, lock: LockFile, wishes: Wishes) -> bool:
    if not lock.try_exclusive():
        return False
    try:
        if not lock.is_current():
            return False  # removed before we were alone
        if not _exists(directory):
            _make(directory, wishes)
    finally:
        lock.unexclusive()
    return True


def _checked(queue: Queue, segment: Segment, lock: LockFile, wishes: Wishes) -> Segment | None:
    if segment.words[CLOSED]:
        # Destroyed, and the process that removed it may have been killed: so finish that.
        segment.close()
        remove_queue(segment.directory, lock)
        return None
    try:
        wishes.check(queue, segment.settings)
    except BaseException:
        segment.close()
        raise
    return segment


def _exists(directory: str) -> bool:
    others = [name for name in os.listdir(directory) if name.startswith("ctl.v")]
    if CONTROL in others:
        return True
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


def remove_queue(directory: str, lock: LockFile) -> bool:
    """Remove everything of a queue; whether it was there to be removed.

    Nobody must be able to attach (the caller has byte 0 alone), or all must have been told
    (`CLOSED` is set). The control file goes first: from then on there is no queue, whatever else
    is left. The lock file goes last: as long as its path names our inode, nobody can make a new
    queue whose files we would take.
    """
    until = time.monotonic() + _PATIENCE
    while not lock.take(DESTROY):
        if time.monotonic() > until:
            raise QueueStalled(f"somebody has been removing {directory} for {_PATIENCE:g} s")
        time.sleep(_LONGEST_PAUSE)
    try:
        if not lock.is_current():
            return False
        remove_files(directory)
        _remove_other_versions(directory)
        _remove_directory(directory)
        return True
    finally:
        lock.drop(DESTROY)


def _remove_other_versions(directory: str) -> None:
    for name in sorted(os.listdir(directory), reverse=True):  # ctl before arena
        if _is_ours(name) and name not in (LOCK, BLOBS):
            try:
                os.unlink(os.path.join(directory, name))
            except FileNotFoundError:
                pass


def _is_ours(name: str) -> bool:
    return name in (LOCK, BLOBS) or name.startswith(("ctl.", "arena.", LIMIT))


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


def gc(*, force: bool = False, ephemeral: bool = False) -> list[Removed]:
    """Remove the queues that nobody is attached to and that hold no unfinished task.

    Args:
        force: also those with unfinished tasks, and damaged ones.
        ephemeral: only those that were made to go with the last who is attached: what killed programs left.

    Returns:
        What was done with each queue of the base directory, by name.
    """
    return [_collect(name, force, ephemeral) for name in queue_names()]


def _collect(name: Queue, force: bool, ephemeral: bool) -> Removed:
    directory = os.path.join(base_directory(), name)
    try:
        check_private(directory)
        # A directory of somebody's own that happens to lie here is not ours to clear.
        lock = open_lock_file(os.path.join(directory, LOCK), create=_is_residue(directory))
    except FileNotFoundError:
        return Removed(name, False, "not a queue, or removed meanwhile")
    except (OSError, StorageError) as error:
        return Removed(name, False, str(error))
    try:
        return _collect_locked(name, directory, lock, force, ephemeral)
    except (OSError, StorageError) as error:
        return Removed(name, False, str(error))
    finally:
        lock.release()


def _is_residue(directory: str) -> bool:
    """Whether this is what a process leaves that is killed after it removed the lock file."""
    return all(_is_ours(name) for name in os.listdir(directory))


def _collect_locked(name: Queue, directory: str, lock: LockFile, force: bool, ephemeral: bool) -> Removed:
    if not lock.try_exclusive(own=0):
        return Removed(name, False, "in use")
    try:
        reason = _why_keep(directory, force, ephemeral)
        if reason:
            return Removed(name, False, reason)
        if not remove_queue(directory, lock):
            return Removed(name, False, "removed meanwhile")
        return Removed(name, True, "nobody is attached")
    finally:
        lock.unexclusive()


def _why_keep(directory: str, force: bool, ephemeral: bool) -> str:
    """Why a queue that nobody is attached to is to be kept; empty when it is not."""
    if force:
        return ""
    try:
        if not _exists(directory):
            return ""  # killed while it was made or removed
        segment = Segment(directory)
    except FileNotFoundError:
        return ""  # removed meanwhile
    except StorageError as error:
        return str(error)
    try:
        if ephemeral and not segment.settings.ephemeral:
            return "somebody's who may come back"
        unfinished = 0 if segment.words[CLOSED] or segment.settings.ephemeral else _unfinished(segment)
        return f"{unfinished} unfinished tasks; remove it with: ipcq gc --force" if unfinished else ""
    finally:
        segment.close()


def _unfinished(segment: Segment) -> int:
    at = segment.geometry.state_at
    count = 0
    for word in segment.words[at : at + segment.geometry.capacity]:
        status = word & STATUS_MASK
        count += ST_PENDING <= status <= ST_LAST and status not in (ST_DONE, ST_KILLED)
    return count
