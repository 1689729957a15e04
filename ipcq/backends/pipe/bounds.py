"""How much of the server each client may use, and all of them together."""

from __future__ import annotations

from collections import Counter

from ...errors import StorageError

__all__ = ["AWAITED", "WAITS", "WORKERS", "Bound", "Quota"]


class Bound:
    """The most of something: for one client, and for all of them."""

    def __init__(self, what: str, each: int, together: int, instead: str) -> None:
        """
        Args:
            instead: what a client can do about it.
        """
        self.what, self.each, self.together, self.instead = what, each, together, instead

    def __repr__(self) -> str:
        return f"<Bound: {self.each} {self.what} for each client, {self.together} for all>"


WORKERS = Bound("workers", 1024, 8192, "close some")
WAITS = Bound("open waits", 16_384, 65_536, "close some, or wait for many tasks by one wait_for")
AWAITED = Bound("awaited tasks", 1 << 19, 1 << 21, "fetch results, or wait for fewer at a time")


class Quota:
    """Counts what clients have of something that is bounded."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._has: Counter[bytes] = Counter()
        self._all = 0

    def __repr__(self) -> str:
        return f"<Quota: {self._all} {self._bound.what} of {len(self._has)} clients>"

    def take(self, client: bytes, count: int = 1) -> None:
        """So many more; `StorageError` takes none where that is over the bound."""
        if not count:
            return
        bound = self._bound
        if self._has[client] + count > bound.each:
            raise StorageError(
                f"this client has {self._has[client]} {bound.what} at its server, where {bound.each} are the"
                f" most: {bound.instead}"
            )
        if self._all + count > bound.together:
            raise StorageError(
                f"all clients of this server have {self._all} {bound.what}, where {bound.together} are the"
                f" most: {bound.instead}"
            )
        self._has[client] += count
        self._all += count

    def give(self, client: bytes, count: int = 1) -> None:
        """So many fewer."""
        self._has[client] -= count
        self._all -= count
        if not self._has[client]:
            del self._has[client]
