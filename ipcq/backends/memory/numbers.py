"""Numbers beside a queue that its processes share: one small file each.

Whoever changes one holds a ``flock`` on its file, which the kernel frees with its holder. Nobody waits for
it: a holder may be stopped. A number is written by one call, so a reader finds the old one or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable

from ...errors import StorageError

__all__ = ["NUMBER", "change_number"]

NUMBER = "number."
"""How the names of their files begin."""
_BYTES = 16
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


def change_number(directory: str, name: str, change: Callable[[int], int]) -> bool:
    """Set a number to what ``change`` makes of it; 0 is what it is at first.

    Returns:
        False where another one is changing it, or there is no room for it: try again.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a number's name is made of letters, digits, - and _; not {name!r}")
    path = os.path.join(directory, NUMBER + name)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        return _again(path, error)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            before = int.from_bytes(os.pread(fd, _BYTES, 0), "little", signed=True)
            os.pwrite(fd, change(before).to_bytes(_BYTES, "little", signed=True), 0)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child may have the descriptor too
    except OSError as error:
        return _again(path, error)
    finally:
        os.close(fd)
    return True


def _again(path: str, error: OSError) -> bool:
    if error.errno in (errno.EWOULDBLOCK, errno.ENOSPC, errno.EINTR):
        return False
    raise StorageError(f"cannot use {path}: {error.strerror}") from error
