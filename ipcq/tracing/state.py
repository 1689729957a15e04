"""The text ``tracestate``: pairs that tools keep in a message beside the ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["is_state", "read_state", "write_state"]

MOST_MEMBERS = 32
LONGEST = 512
"""Characters: what everybody has to pass on; a task's metadata have their own limit."""
LONGEST_MEMBER = 128
"""Characters: where there is no room for all, longer ones go first."""

_MEMBER = re.compile(
    r"([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)


def read_state(text: object) -> tuple[tuple[str, str], ...]:
    """The pairs of a text, in its order; none where any of it is malformed."""
    if not isinstance(text, str):
        return ()
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    found = [match.group(1, 2) for member in members if (match := _MEMBER.fullmatch(member))]
    state = tuple((str(key), str(value)) for key, value in found)
    return state if len(state) == len(members) and _fits(state) else ()


def is_state(state: Sequence[tuple[str, str]]) -> bool:
    """Whether pairs have a text from which they can be read again."""
    return _fits(state) and all(_MEMBER.fullmatch(f"{key}={value}") for key, value in state)


def _fits(state: Sequence[tuple[str, str]]) -> bool:
    """Whether there are not too many, nor any twice."""
    return len({key for key, _ in state}) == len(state) <= MOST_MEMBERS


def write_state(state: Iterable[tuple[str, str]]) -> str:
    """The text of pairs; the longest and then the last are left out until it has 512 characters or less."""
    members = [f"{key}={value}" for key, value in state]
    if _length(members) > LONGEST:
        for member in [member for member in reversed(members) if len(member) > LONGEST_MEMBER]:
            members.remove(member)
            if _length(members) <= LONGEST:
                break
    while _length(members) > LONGEST:
        members.pop()
    return ",".join(members)


def _length(members: list[str]) -> int:
    return sum(map(len, members)) + len(members) - 1
