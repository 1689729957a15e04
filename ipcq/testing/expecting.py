"""What a check says when something is not as promised; works under ``python -O`` and without pytest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["PATIENCE", "Broken", "eventually", "expect", "expect_equal", "expect_raises", "expect_some"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

PATIENCE = 15.0  # seconds; only a check that fails waits so long
_LOOK = 0.005  # seconds between two looks at what another process does


class Broken(AssertionError):
    """A backend does not do what the contract says."""


def expect(condition: object, what: str) -> None:
    """Raise `Broken` with ``what`` unless the condition holds."""
    if not condition:
        raise Broken(what)


def expect_equal(got: object, wanted: object, what: str) -> None:
    """Raise `Broken` with both values unless they are equal."""
    if got != wanted:
        raise Broken(f"{what}: expected {_short(wanted)}, got {_short(got)}")


def expect_some(value: T | None, what: str) -> T:
    """The value; `Broken` with ``what`` where it is None."""
    if value is None:
        raise Broken(what)
    return value


def expect_raises(
    kind: type[E] | tuple[type[E], ...], call: Callable[..., Any], *args: Any, **options: Any
) -> E:
    """The error of that kind which the call raises; `Broken` where it returns, or raises another."""
    wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
    try:
        got = call(*args, **options)
    except kind as error:
        return error
    except Exception as error:
        raise Broken(f"expected {wanted}, got {type(error).__name__}: {error}") from error
    raise Broken(f"expected {wanted}, got the answer {_short(got)}")


def eventually(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """What ``condition`` gives as soon as that is true; `Broken` after ``patience`` seconds."""
    until = time.monotonic() + patience
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise Broken(f"{what}: not within {patience:g} s")
        time.sleep(_LOOK)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
