"""Where queues live on this machine: in the private directory, a sub-directory for each."""

from __future__ import annotations

import os

from ...directory import base_directory, check_private, make_private
from ...errors import QueueNotFound
from ...task import Queue

__all__ = ["queue_directory", "queue_names"]


def queue_directory(queue: Queue, *, create: bool, base: str | None = None) -> str:
    """The directory of a queue; made where it is missing, if ``create``.

    Raises:
        QueueNotFound: it is missing and is not to be made.
        UnsafeDirectory: somebody else could write there.
    """
    base = base or base_directory()
    path = os.path.join(base, queue)
    for directory in (base, path):
        if create:
            make_private(directory)
        try:
            check_private(directory)
        except FileNotFoundError as error:
            raise QueueNotFound(f"there is no queue {queue!r} in {base}") from error
    return path


def queue_names(base: str | None = None) -> list[Queue]:
    """The names of all queues in the base directory, sorted; those that are no queue left out."""
    base = base or base_directory()
    try:
        check_private(base)
        entries = sorted(os.listdir(base))
    except FileNotFoundError:
        return []
    names = []
    for entry in entries:
        try:
            names.append(Queue(entry))
        except ValueError:
            continue
    return names
