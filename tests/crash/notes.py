"""Lines appended to a file by processes that may be killed: each is there whole, or not at all."""

from __future__ import annotations

import os

_SIZE = 64  # divides a page: a write that is cut off by SIGKILL is cut off between two pages


class Notes:
    """A file to append lines to, from several processes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, *lines: str) -> None:
        """Append them in one write, in the order of the kernel; each filled up with spaces."""
        assert all(len(line) < _SIZE for line in lines)
        os.write(self._fd, "".join(f"{line:<{_SIZE - 1}}\n" for line in lines).encode("ascii"))

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
