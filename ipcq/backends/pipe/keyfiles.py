"""Files with keys for `tcp://`: written whole or not at all, read where nobody else can write."""

from __future__ import annotations

import os
import re
import secrets
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.utils import z85

from ...errors import StorageError, UnsafeDirectory

__all__ = ["SECRET", "KeyFiles", "Pair", "check_curve", "make_keys", "read_key"]

SECRET = ".key_secret"
"""How the name of a file with a secret key ends."""

_PUBLIC = ".key"
_LARGEST_FILE = 4096  # bytes; two keys and a comment are 250
_MOST_FILES = 10_000  # clients of one server
_FRESH = 2.0  # seconds in which a file may change and look as before: clocks of file systems are coarse
_KEY = re.compile(rb'^\s*(public|secret)-key\s*=\s*"([^"\n]{40})"\s*$', re.MULTILINE)


class Pair(NamedTuple):
    """The keys in a file, as ZeroMQ writes them: 40 characters each."""

    public: bytes
    secret: bytes | None


def make_keys(name: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Make a pair of keys: ``NAME.key``, for others, and ``NAME.key_secret``, that only its owner can read.

    Returns:
        Both paths.

    Raises:
        FileExistsError: one of them is there; neither is changed.
    """
    check_curve()
    public, secret = (Path(f"{os.fspath(name)}{end}") for end in (_PUBLIC, SECRET))
    key, own = (each.decode("ascii") for each in zmq.curve_keypair())
    told = f'curve\n    public-key = "{key}"\n'
    if os.path.lexists(public):
        raise _exists(public)
    _write(secret, f'#   Secret: for its owner only.\n{told}    secret-key = "{own}"\n', 0o600)
    try:
        _write(public, f"#   Public: for the other side.\n{told}", 0o644)
    except BaseException:
        os.unlink(secret)
        raise
    return public, secret


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} is there already; choose another name")


def _write(path: Path, text: str, mode: int) -> None:
    """Have the whole file there at once, or nothing; what is there stays, also a link."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(text)
        try:
            os.link(draft, path)
        except FileExistsError as error:
            raise _exists(path) from error
    finally:
        os.unlink(draft)


def check_curve() -> None:
    """Raise `StorageError` where ZeroMQ has no keys."""
    if not zmq.has("curve"):
        raise StorageError("the installed libzmq was built without CURVE; install the wheel of pyzmq")


def check_clients(path: str) -> None:
    """Raise unless it is a directory to which only we can write."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if not stat.S_ISDIR(status.st_mode):
        raise StorageError(f"{path!r} is no directory with the keys of clients")
    if status.st_mode & 0o022:
        raise UnsafeDirectory(f"others can write to the clients' keys in {path!r}: chmod 700 it")
    _check_owner(path, status)


def _check_owner(path: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise UnsafeDirectory(
            f"{path!r} belongs to user {status.st_uid}, who could put other keys there: make your own"
        )


def read_key(path: str, *, secret: bool) -> Pair:
    """The keys in a file; what is looked at is what is read, should somebody move it meanwhile.

    Args:
        secret: whether it is ours alone; else others may read it, and none may write it.

    Raises:
        UnsafeDirectory: others can read, or write it.
        StorageError: it cannot be read, or has no key, or two that do not belong together.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # else a FIFO would hold us
        try:
            _check_file(path, os.fstat(handle), secret=secret)
            data = os.read(handle, _LARGEST_FILE + 1)
        finally:
            os.close(handle)
    except StorageError:  # which UnsafeDirectory is, as it is an OSError
        raise
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    return _parse(path, data)


def _check_file(path: str, status: os.stat_result, *, secret: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(path, "it is no file")
    if secret and status.st_mode & 0o077:
        raise UnsafeDirectory(f"others can read the secret key {path!r}: chmod 600 it, or make a new one")
    if status.st_mode & 0o022:
        raise UnsafeDirectory(f"others can write the key {path!r}: chmod 644 it, or get it once more")
    _check_owner(path, status)


def _parse(path: str, data: bytes) -> Pair:
    found = dict(_KEY.findall(data))
    if len(data) > _LARGEST_FILE or b"public" not in found:
        raise _unreadable(path, "it has no public key")
    pair = Pair(found[b"public"], found.get(b"secret"))
    try:
        belongs = pair.secret is None or zmq.curve_public(pair.secret) == pair.public
        z85.decode(pair.public)
    except (ValueError, LookupError, struct.error, zmq.ZMQError) as error:
        raise _unreadable(path, "what is in it is no key") from error
    if not belongs:
        raise _unreadable(path, "its secret key is not that of its public key")
    return pair


def _unreadable(path: str, why: str) -> StorageError:
    return StorageError(f"cannot read the key {path!r}: {why}; see ipcq keygen")


class KeyFiles:
    """The public keys in a directory, read again where a file changed.

    Attributes:
        keys: of all files that can be read.
    """

    def __init__(self, directory: str) -> None:
        check_clients(directory)
        self._directory = directory
        self._read: dict[str, tuple[_Look, bytes | None]] = {}
        self.keys: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        return f"<KeyFiles in {self._directory!r}: {len(self.keys)} keys>"

    def look(self, now: float) -> list[str]:
        """Read what changed; what is wrong, of each file that is new or changed.

        A directory that is not there, or to which others can write, has no keys.

        Args:
            now: Unix seconds.
        """
        wrong: list[str] = []
        try:
            check_clients(self._directory)
            found = self._found()
        except (OSError, StorageError) as error:
            found = {}
            if self.keys:
                wrong.append(f"nobody is let in any more: {error}")
        read: dict[str, tuple[_Look, bytes | None]] = {}
        for name, look in found.items():
            before = self._read.get(name)
            if before is not None and before[0] == look and now - look.changed > _FRESH:
                read[name] = before
                continue
            try:
                read[name] = look, read_key(os.path.join(self._directory, name), secret=False).public
            except StorageError as error:
                read[name] = look, None
                if before is None or before[0] != look:
                    wrong.append(str(error))
        self._read = read
        self.keys = frozenset(key for _, key in read.values() if key is not None)
        return wrong

    def _found(self) -> dict[str, _Look]:
        """How each file with a key looks; one that goes meanwhile is not there."""
        found: dict[str, _Look] = {}
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if not entry.name.endswith(_PUBLIC) or entry.name.startswith("."):
                    continue
                if len(found) >= _MOST_FILES:
                    raise StorageError(f"{self._directory!r} has more than {_MOST_FILES} keys")
                with suppress(OSError):
                    status = os.stat(entry.path)
                    found[entry.name] = _Look(
                        status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime
                    )
        return found


class _Look(NamedTuple):
    """How a file looks from outside."""

    place: int
    size: int
    written: int
    changed: float
