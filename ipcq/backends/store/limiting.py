"""Limits beside a store: `ShareLimits` for the processes of one host that have one of its queues."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from glob import escape, glob
from secrets import token_hex

from ...backend import Turn
from ...directory import base_directory, check_private, private_directory
from ...errors import CorruptQueue
from ..turnstile import HeldPermit, Turnstile
from .contract import Write
from .handle import Handle
from .keys import limits_key
from .view import Change, Patience, View

__all__ = ["DIRECTORY", "Limiting", "limits_ids", "remove_limits", "sweep_limits"]

DIRECTORY = ".limits"
"""Beside the queues in shared memory; the files of a queue begin with its id and a dot."""
_ID = re.compile(rb"[0-9a-f]{16}")


class Limiting(Handle):
    """Fulfils `ShareLimits`.

    A store may be anything, so the files are where queues in shared memory are; an id that is kept in the
    store tells them from those of every other store.
    """

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """Ask for a moment to begin at, of which there are only so many."""
        return self._turnstile().take_turn(name, per_second, burst)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> HeldPermit | None:
        """One of ``limit`` permits, or None."""
        return self._turnstile().take_permit(name, limit, waited=waited)

    def _turnstile(self) -> Turnstile:
        view = self._use().desk.view
        if self._limits_id is None:
            self._limits_id = _settle(view, self._queue)
        directory = private_directory(self._base, DIRECTORY)
        return Turnstile(os.path.join(directory, f"{self._limits_id}."))


def _settle(view: View, queue: str) -> str:
    """The id under which the limits of a queue are kept; made by who asks first."""
    patience, key = Patience(), limits_key(queue)
    while True:
        found = view.store.get(key)
        if found is not None and found.value is not None:
            return _read(key, found.value)
        view.commit([Change(Write(key, 0, token_hex(8).encode()))])
        patience.lost(key)


def _read(key: str, value: bytes) -> str:
    if not _ID.fullmatch(value):  # it is to be part of a path
        raise CorruptQueue(f"record {key!r} is no id of limits: {value[:80]!r}; remove it to have a new one")
    return value.decode()


def limits_ids(view: View) -> list[str]:
    """The ids of all queues of a store; records that are none are left out."""
    view.refresh()
    with view.mutex:
        queues = view.queues()
    found = [view.store.get(limits_key(queue)) for queue in queues]
    return [each.value.decode() for each in found if each and each.value and _ID.fullmatch(each.value)]


def remove_limits(base: str, ids: Iterable[str]) -> None:
    """Remove the files of queues that are gone."""
    for each in ids:
        for path in glob(os.path.join(escape(base), DIRECTORY, f"{each}.*")):
            with suppress(FileNotFoundError):
                os.unlink(path)


def sweep_limits() -> int:
    """Remove the files of limits that nobody uses just now; how many.

    A store does not say when its queue is gone. Where it is not, the next one who needs a file makes it.
    """
    directory = os.path.join(base_directory(), DIRECTORY)
    try:
        check_private(directory)
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    turnstile = Turnstile(os.path.join(directory, ""))
    return sum(turnstile.forget(name) for name in names)
