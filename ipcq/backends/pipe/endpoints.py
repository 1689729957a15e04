"""Where a server listens: which endpoints there are, and which are safe."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...codec import Codec
from ...codecs import PickleCodec
from ...directory import check_private
from ...errors import QueueInUse, StorageError, UnsafeDirectory
from ..lockfile import open_lock_file

__all__ = ["check_codec", "check_directory", "check_endpoint", "holding"]

_LONGEST_PATH = 107  # bytes: what the kernel takes as the path of a socket
_LARGEST_PORT = 65_535
_SERVER = 0  # the byte of the lock file that a live server has


def check_endpoint(endpoint: str, *, keys: bool = False) -> str:
    """The endpoint itself.

    Args:
        keys: whether both sides prove who they are.

    Raises:
        ValueError: it is none; or keys are of no use there.
        StorageError: it can be reached from other machines, which needs keys.
    """
    scheme, found, place = endpoint.partition("://")
    if not found or not place or scheme not in ("ipc", "tcp"):
        raise ValueError(f"{endpoint!r} is no endpoint: write ipc:///PATH or tcp://127.0.0.1:PORT")
    if scheme == "ipc":
        _check_path(endpoint, place)
        if keys:
            raise ValueError(f"{endpoint!r} needs no keys: its directory is one that only you can use")
    else:
        _check_host(endpoint, place, keys)
    return endpoint


def _check_path(endpoint: str, path: str) -> None:
    if not os.path.isabs(path):
        raise ValueError(f"{endpoint!r}: the path of a socket is absolute: ipc:///PATH")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(f"{endpoint!r}: the path of a socket has {_LONGEST_PATH} bytes at the most")


def _check_host(endpoint: str, place: str, keys: bool) -> None:
    host, _, port = place.rpartition(":")
    if not host or not (port == "*" or (port.isdecimal() and int(port) <= _LARGEST_PORT)):
        raise ValueError(f"{endpoint!r}: write tcp://127.0.0.1:PORT")
    if not keys and not _is_loopback(host.strip("[]")):
        raise StorageError(
            f"{endpoint!r} can be reached from other machines, and without keys anybody there could read,"
            " push and run tasks: make keys with ipcq keygen, or use ipc:///PATH or tcp://127.0.0.1:PORT"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name leads where somebody else says


def check_directory(endpoint: str) -> None:
    """Raise `UnsafeDirectory` where others could use an ``ipc://`` endpoint; `StorageError` for none."""
    if not endpoint.startswith("ipc:"):
        return
    directory = os.path.dirname(endpoint.partition("://")[2])
    try:
        check_private(directory)
    except UnsafeDirectory as error:
        raise UnsafeDirectory(
            f"{endpoint!r}: others could use {directory}; put the socket into a directory that only you can"
            " use (mkdir -m 700)"
        ) from error
    except FileNotFoundError as error:
        raise StorageError(f"there is no directory for {endpoint!r}: make it (mkdir -m 700)") from error


def check_codec(endpoint: str, codec: str | Codec) -> None:
    """Raise `StorageError` for what must not be decoded when it came from a network.

    Args:
        codec: by its name, as the other side says it; or what this program would decode with.
    """
    if not endpoint.startswith("tcp:"):
        return
    if isinstance(codec, PickleCodec) or PickleCodec.name in (codec, getattr(codec, "name", None)):
        raise StorageError(
            f"{endpoint!r}: the codec is pickle, and whoever can send such bytes can run code here; use"
            " ipc:///PATH, or a queue with another codec"
        )


@contextmanager
def holding(endpoint: str) -> Iterator[None]:
    """While entered, this server is the only one at ``endpoint``.

    ZeroMQ itself would let a second one take the socket's path without a word to the first.

    Raises:
        QueueInUse: a live server is there.
        UnsafeDirectory: others could use the directory of the socket.
        StorageError: the directory is not there.
    """
    if not endpoint.startswith("ipc:"):
        yield  # the kernel gives a port to one process only
        return
    path = endpoint.partition("://")[2]
    check_directory(endpoint)
    try:
        lock = open_lock_file(f"{path}.lock")
    except OSError as error:
        raise StorageError(f"cannot serve at {endpoint!r}: {error}") from error
    try:
        if not lock.take(_SERVER):
            raise QueueInUse(f"a live server is at {endpoint!r}; connect to that, or choose another path")
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(path)  # ZeroMQ leaves it
            lock.drop(_SERVER)
    finally:
        lock.release()
