"""What becomes of ``print`` in tasks: it goes with the run, by the context that the code runs in."""

from __future__ import annotations

import io
from collections.abc import Callable
from threading import get_ident
from typing import Any, TextIO

__all__ = ["Lines", "Tee"]


class Lines:
    """Text as whole lines, many at a time; what is longer than ``most`` characters goes in pieces.

    Several threads may write: each has lines of its own.

    Args:
        send: called with what is complete.
    """

    def __init__(self, send: Callable[[str], object], most: int) -> None:
        self._send, self._most = send, most
        self._rests: dict[int, str] = {}  # by thread

    def __repr__(self) -> str:
        return f"<Lines: {sum(map(len, self._rests.values()))} characters wait for their newline>"

    def write(self, text: str) -> None:
        """Take text in."""
        me = get_ident()
        text = self._rests.pop(me, "") + text
        begin = 0
        while len(text) - begin > self._most:
            end = text.rfind("\n", begin, begin + self._most) + 1 or begin + self._most
            self._send(text[begin:end])
            begin = end
        end = text.rfind("\n", begin) + 1
        if end:
            self._send(text[begin:end])
            begin = end
        if begin < len(text):
            self._rests[me] = text[begin:]

    def end(self) -> None:
        """Send what has no newline, too."""
        for thread in list(self._rests):
            rest = self._rests.pop(thread, "")
            if rest:
                self._send(rest)


class Tee(io.TextIOBase):
    """In the place of ``sys.stdout`` or ``sys.stderr``: each write goes where the code that writes belongs.

    All else is the old stream's, its descriptor too: what C code, other processes, and ``.buffer`` write is
    not seen here.

    Args:
        old: the stream that was there; None where the process has none.
        take: called with each text; False where it is not for anybody, and the old stream gets it.
    """

    def __init__(self, old: TextIO | None, take: Callable[[str], bool]) -> None:
        self.old = old
        self._take = take

    def __repr__(self) -> str:
        return f"<Tee over {self.old!r}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.old, name)

    def write(self, text: str, /) -> int:
        """Take text in."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not self._take(text) and self.old is not None:
            self.old.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the old stream; a line that has no newline yet waits for it."""
        if self.old is not None:
            self.old.flush()

    def close(self) -> None:
        """The old stream is not this one's to close, nor is the process to be without one."""

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """As the old one."""
        return self.old is not None and self.old.isatty()

    def fileno(self) -> int:
        """That of the old one."""
        if self.old is None:
            raise io.UnsupportedOperation("fileno")
        return self.old.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the old one."""
        return getattr(self.old, "encoding", "utf-8")

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """As the old one."""
        return getattr(self.old, "errors", None)
