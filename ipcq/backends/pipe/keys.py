"""Keys for `tcp://`: CURVE, as ZeroMQ has it. They lie in files, and only paths travel."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import zmq

from ...errors import StorageError
from .keyfiles import SECRET, KeyFiles, check_curve, read_key

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEYS", "SERVER_KEY", "ClientKeys", "ServerKeys"]

KEYS, SERVER_KEY = "IPCQ_KEYS", "IPCQ_SERVER_KEY"
"""Environment variables: paths for clients that are given none."""

_DOMAIN = "ipcq"


def _own(path: str) -> tuple[bytes, bytes]:
    """The public and the secret key in a file that only we can read."""
    check_curve()
    public, secret = read_key(path, secret=True)
    if secret is None:
        raise StorageError(f"{path!r} has no secret key: name the file that ends with {SECRET}")
    return public, secret


class ClientKeys:
    """What a client needs.

    Args:
        own: path of its secret key.
        server: path of the server's public key.
    """

    def __init__(self, own: str, server: str) -> None:
        self.paths = own, server
        self._own = _own(own)
        self._server = read_key(server, secret=False).public

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
        self._clients = KeyFiles(clients)

    def __repr__(self) -> str:
        return f"<ServerKeys for {self._clients!r}>"

    @contextmanager
    def admitting(self, context: zmq.Context[Any]) -> Iterator[Callable[[], list[str]]]:
        """While entered, sockets of this context that are protected accept those clients.

        What it gives is to be called before, and now and then: it reads the keys that changed, and tells what
        is wrong with them.
        """
        from zmq.auth.thread import ThreadAuthenticator

        admission = ThreadAuthenticator(context)
        admission.start()
        try:
            admission.configure_curve_callback(_DOMAIN, _Known(self._clients))
            yield lambda: self._clients.look(time.time())
        finally:
            admission.stop()

    def protect(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket speak to admitted clients only, and encrypted; before it is bound."""
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self._own
        socket.zap_domain = _DOMAIN.encode("ascii")


class _Known:
    """Tells ZeroMQ, in its thread, who is let in."""

    def __init__(self, clients: KeyFiles) -> None:
        self._clients = clients

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a key is among those that were read last."""
        return domain == _DOMAIN and key in self._clients.keys
