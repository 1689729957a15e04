"""Whether the process behind a participant lives: a kernel fact, never a guess from time.

Dead is: its byte lock is free AND NOT (same pid namespace, the pid exists, with the same start
time, and is not a zombie). Either half alone errs: the lock is lost when foreign code closes the
lock file in that process; the pid says nothing across namespaces and "alive" for a zombie.
Whatever cannot be found out counts as alive.
"""

from __future__ import annotations

from ..liveness import Identity, identity_is_gone
from ..lockfile import PARTICIPANT, LockFile
from .layout import P_BOOT, P_PID, P_PIDNS, P_START, PART_WORDS, PARTS_AT
from .words import Words

__all__ = ["identity_of", "is_dead", "is_gone", "names_gone"]


def is_dead(words: Words, lock: LockFile, index: int) -> bool:
    """Whether participant ``index`` is provably dead."""
    return not lock.is_held(PARTICIPANT + index) and is_gone(words, index)


def is_gone(words: Words, index: int) -> bool:
    """Whether the process that row ``index`` names is gone, whatever its byte lock says."""
    return names_gone(words, PARTS_AT + index * PART_WORDS)


def names_gone(words: Words, row: int) -> bool:
    """Whether the identity in the row (or seat) that starts at word ``row`` is of no process any more.

    Of another pid namespace its pid means nothing here; that its byte is free is the proof then.
    """
    return identity_is_gone(identity_of(words, row))


def identity_of(words: Words, row: int) -> Identity:
    """The identity in the row (or seat) that starts at word ``row``."""
    return Identity(words[row + P_PID], words[row + P_PIDNS], words[row + P_START], words[row + P_BOOT])
