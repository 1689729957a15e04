"""``ipcq keygen``: keys for queues behind a socket that other machines can reach."""

from __future__ import annotations

from .exits import OK, UsageError

__all__ = ["run"]


def run(name: str) -> int:
    """Make NAME.key and NAME.key_secret, and tell where each belongs.

    Raises:
        UsageError: they are there already.
    """
    from ..backends.pipe import make_keys

    try:
        public, secret = make_keys(name)
    except FileExistsError as error:
        raise UsageError(str(error)) from error
    print(
        f"{secret}  stays here, with you alone: ipcq serve --keys, or {'IPCQ_KEYS'} of a client\n"
        f"{public}  goes to the other side: a client's into the directory that ipcq serve --clients names,"
        " a server's to its clients, as IPCQ_SERVER_KEY"
    )
    return OK
