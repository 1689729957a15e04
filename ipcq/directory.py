"""The directory of all that lives on this machine: private to its user, whatever is in it."""

from __future__ import annotations

import os
import stat
import tempfile

from .errors import StorageError, UnsafeDirectory

__all__ = ["base_directory", "check_private", "make_private", "private_directory"]

_ADVICE = "set IPCQ_DIR to a directory that only you can use (mkdir -m 700)"


def base_directory() -> str:
    """``$IPCQ_DIR``, else ``/dev/shm/ipcq-<uid>``, else a directory for temporary files."""
    chosen = os.environ.get("IPCQ_DIR")
    if chosen:
        return os.path.abspath(chosen)
    shared = "/dev/shm"
    if not (os.path.isdir(shared) and os.access(shared, os.W_OK | os.X_OK)):
        shared = tempfile.gettempdir()
    return os.path.join(shared, f"ipcq-{os.geteuid()}")


def make_private(path: str) -> None:
    """Make a directory, unless it is there; `StorageError` where that cannot be. It is not checked."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError as error:
        raise StorageError(f"cannot make {path}: its parent directory does not exist; {_ADVICE}") from error
    except OSError as error:
        raise StorageError(f"cannot make {path}: {error.strerror}; {_ADVICE}") from error


def private_directory(base: str, name: str) -> str:
    """A directory beside those of the queues, made where it is missing.

    Args:
        name: begins with a dot, as no queue's does.

    Raises:
        StorageError: it cannot be made.
        UnsafeDirectory: somebody else could write there.
    """
    path = os.path.join(base, name)
    for directory in (base, path):
        make_private(directory)
        check_private(directory)
    return path


def check_private(path: str) -> None:
    """Raise unless ``path`` is a directory, ours, and closed to everybody else.

    Raises:
        FileNotFoundError: it does not exist.
        UnsafeDirectory: any other reason.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsafeDirectory(f"cannot look at {path}: {error.strerror}; {_ADVICE}") from error
    problem = _problem(status)
    if problem:
        raise UnsafeDirectory(f"{path} {problem}; {_ADVICE}")


def _problem(status: os.stat_result) -> str:
    if not stat.S_ISDIR(status.st_mode):
        return "is a symbolic link" if stat.S_ISLNK(status.st_mode) else "is not a directory"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to user {os.geteuid()}"
    if status.st_mode & 0o077:
        return f"is open to other users (mode {stat.S_IMODE(status.st_mode):o})"
    return ""
