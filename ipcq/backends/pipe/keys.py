"""Keys for `tcp://`: CURVE, as ZeroMQ has it. They lie in files, and only paths travel."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from ...errors import StorageError, UnsafeDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zmq.auth.thread import ThreadAuthenticator

__all__ = ["KEYS", "SERVER_KEY", "ClientKeys", "ServerKeys", "make_keys"]

KEYS, SERVER_KEY = "IPCQ_KEYS", "IPCQ_SERVER_KEY"
"""Environment variables: paths for clients that are given none."""

_SECRET, _PUBLIC = ".key_secret", ".key"
_DOMAIN = "ipcq"


def make_keys(name: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Make a pair of keys: ``NAME.key``, for others, and ``NAME.key_secret``, that only its owner can read.

    Returns:
        Both paths.

    Raises:
        FileExistsError: one of them is there; neither is changed.
    """
    _check_curve()
    public, secret = (Path(f"{os.fspath(name)}{end}") for end in (_PUBLIC, _SECRET))
    key, own = (each.decode("ascii") for each in zmq.curve_keypair())
    told = f'curve\n    public-key = "{key}"\n'
    if public.exists():
        raise FileExistsError(f"{public} is there already; choose another name")
    _write(secret, f'#   Secret: for its owner only.\n{told}    secret-key = "{own}"\n', 0o600)
    _write(public, f"#   Public: for the other side.\n{told}", 0o644)
    return public, secret


def _write(path: Path, text: str, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise FileExistsError(f"{path} is there already; choose another name") from error
    with open(handle, "w", encoding="ascii") as file:
        file.write(text)


def _check_curve() -> None:
    if not zmq.has("curve"):
        raise StorageError("the installed libzmq was built without CURVE; install the wheel of pyzmq")


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise StorageError(f"cannot read the keys {path!r}: {error.strerror}; see ipcq keygen") from error


def _own(path: str) -> tuple[bytes, bytes]:
    """The public and the secret key in a file that only we can read."""
    _check_curve()
    if _mode(path) & 0o077:
        raise UnsafeDirectory(f"others can read the secret key {path!r}: chmod 600 it, or make a new one")
    public, secret = _load(path)
    if secret is None:
        raise StorageError(f"{path!r} has no secret key: name the file that ends with {_SECRET}")
    return public, secret


def _load(path: str) -> tuple[bytes, bytes | None]:
    from zmq.auth import load_certificate

    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot read the key {path!r}: {error}; see ipcq keygen") from error


class ClientKeys:
    """What a client needs.

    Args:
        own: path of its secret key.
        server: path of the server's public key.
    """

    def __init__(self, own: str, server: str) -> None:
        self.paths = own, server
        self._own = _own(own)
        self._server = _load(server)[0]

    def __repr__(self) -> str:
        return f"<ClientKeys {self.paths[0]!r} for {self.paths[1]!r}>"

    def protect(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket speak to that server only, and encrypted; before it connects."""
        socket.curve_publickey, socket.curve_secretkey = self._own
        socket.curve_serverkey = self._server


class ServerKeys:
    """What a server needs.

    Args:
        own: path of its secret key.
        clients: directory with the public keys of all who may connect, a file ``*.key`` each.
    """

    def __init__(self, own: str, clients: str) -> None:
        self._own = _own(own)
        self._clients = clients
        self._seen = 0
        if _mode(clients) & 0o022:
            raise UnsafeDirectory(f"others can write to the clients' keys in {clients!r}: chmod 700 it")
        if not os.path.isdir(clients):
            raise StorageError(f"{clients!r} is no directory with the keys of clients")

    def __repr__(self) -> str:
        return f"<ServerKeys for the clients in {self._clients!r}>"

    @contextmanager
    def admitting(self, context: zmq.Context[Any]) -> Iterator[Callable[[], None]]:
        """While entered, sockets of this context that are protected accept those clients.

        What it gives is to be called before, and now and then: it reads the keys when there are others.
        """
        from zmq.auth.thread import ThreadAuthenticator

        admission = ThreadAuthenticator(context)
        admission.start()
        try:
            yield lambda: self._read(admission)
        finally:
            admission.stop()

    def _read(self, admission: ThreadAuthenticator) -> None:
        seen = os.stat(self._clients).st_mtime_ns
        if seen != self._seen:
            admission.configure_curve(domain=_DOMAIN, location=self._clients)
            self._seen = seen

    def protect(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket speak to admitted clients only, and encrypted; before it is bound."""
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self._own
        socket.zap_domain = _DOMAIN.encode("ascii")
