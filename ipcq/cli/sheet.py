"""Standard output where it is a file: how far it was written, and where to go on."""

from __future__ import annotations

import os
import stat

from .exits import UsageError
from .record import Place, Record

__all__ = ["cut_back", "keep_name", "place_of"]

_BEGINNING = b'{"item": '
_MOST = 1 << 30  # bytes that are looked at before they are cut off


def place_of(descriptor: int) -> Place | None:
    """Where the file is and how long, once that is on the disk; None for what is no file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return None
    os.fsync(descriptor)
    return Place(status.st_dev, status.st_ino, status.st_size)


def keep_name(descriptor: int) -> None:
    """Have a new file found by its name after power loss, too."""
    try:
        directory = os.open(os.path.dirname(os.readlink(f"/proc/self/fd/{descriptor}")), os.O_RDONLY)
    except OSError:  # no file, or no such way to its name
        return
    try:
        os.fsync(directory)
    except OSError:  # not every file system can
        pass
    finally:
        os.close(directory)


def cut_back(descriptor: int, record: Record) -> None:
    """Have standard output end with the last line that the record knows of.

    Behind it there may be lines, the last one torn, of which the interrupted run could not record any more
    that it wrote them: they will be written again. A file that is empty now gets all lines again. Any other
    file, and a pipe, is left alone.

    Raises:
        UsageError: some of the recorded lines are gone.
    """
    place, now = record.place, place_of(descriptor)
    if place is None or now is None or (now.device, now.inode) != (place.device, place.inode):
        return
    if now.size == 0 < place.size:
        record.forget_lines()
    elif now.size < place.size:
        raise UsageError(
            f"standard output has {place.size - now.size} bytes less than the interrupted run wrote; append"
            " to the file as it was (>>), or give an empty or another one"
        )
    elif now.size > place.size and _is_ours(descriptor, place.size, now.size):
        os.ftruncate(descriptor, place.size)
        os.lseek(descriptor, 0, os.SEEK_END)


def _is_ours(descriptor: int, start: int, end: int) -> bool:
    """Whether there is nothing but lines of ours there: whatever else is, is somebody's."""
    if end - start > _MOST:
        return False
    try:
        reading = os.open(f"/dev/fd/{descriptor}", os.O_RDONLY)
    except OSError:
        return False
    try:
        *lines, torn = os.pread(reading, end - start, start).split(b"\n")
    finally:
        os.close(reading)
    begins = _BEGINNING.startswith(torn) or torn.startswith(_BEGINNING)
    return begins and all(line.startswith(_BEGINNING) for line in lines)
