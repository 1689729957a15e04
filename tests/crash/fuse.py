"""Words that end the process at a chosen store: SIGKILL at a named point, in a real queue."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from ipcq.backends.memory.segment import Segment


class Fuse:
    """Counts stores once it is lit, and kills the process instead of number ``length``.

    Attributes:
        burnt: how many stores there were since.
    """

    def __init__(self, length: int) -> None:
        self.burnt = 0
        self._length = length
        self._lit = False

    def light(self) -> None:
        """Count from here on."""
        self._lit = True

    def burn(self) -> None:
        """Before each store."""
        if self._lit:
            self.burnt += 1
            if self.burnt == self._length:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Have every queue that this process opens from now on burn it; for forked children."""
        original: Callable[..., None] = Segment._map

        def mapped(segment: Segment, *args: Any) -> None:
            original(segment, *args)
            segment.words = _Words(segment.words, self)  # type: ignore[assignment]

        setattr(Segment, "_map", mapped)  # noqa: B010 - mypy rightly refuses it otherwise


class _Words:
    def __init__(self, words: Any, fuse: Fuse) -> None:
        self._words = words
        self._fuse = fuse

    def __getitem__(self, index: Any) -> Any:
        return self._words[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._fuse.burn()
        self._words[index] = value
