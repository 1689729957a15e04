"""What faulthandler wrote, cut to what a person wants to see first."""

from __future__ import annotations

__all__ = ["innermost_first"]

_MOST = 3000  # characters: an error is a few KB at the most
_CURRENT = "Current thread"


def innermost_first(text: str) -> str:
    """The stack of the thread that was running, then the others, so many characters of it."""
    threads = text.split("\n\n")
    current = [each for each in threads if each.startswith(_CURRENT)]
    return "\n\n".join(current + [each for each in threads if each not in current])[:_MOST]
