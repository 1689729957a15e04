"""Where in a trace something happens, and its two texts: ``traceparent`` and ``tracestate``.

As in the Recommendation of W3C, Trace Context level 1 (https://www.w3.org/TR/trace-context-1/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from os import urandom

from .state import is_state, read_state, write_state

__all__ = ["TraceContext"]

SAMPLED = 0x01
KNOWN_FLAGS = SAMPLED | 0x02  # the second is of level 2: the trace's id is random

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_TRACE, _SPAN = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace.

    Attributes:
        trace_id: 32 characters of 0-9 a-f, the same all along the trace.
        span_id: 16 of them: this step of it.
        flags: bit 0 says that the trace is recorded.
        state: what tools keep beside it, as pairs of key and value; the latest one in front.

    Raises:
        ValueError: an id is none, the flags are no byte, or the state has no text.
    """

    trace_id: str
    span_id: str
    flags: int = SAMPLED
    state: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not _TRACE.fullmatch(self.trace_id) or self.trace_id == _NO_TRACE:
            raise ValueError(f"a trace's id is 32 of 0-9 a-f, not all 0; not {self.trace_id!r}")
        if not _SPAN.fullmatch(self.span_id) or self.span_id == _NO_SPAN:
            raise ValueError(f"a span's id is 16 of 0-9 a-f, not all 0; not {self.span_id!r}")
        if not 0 <= self.flags <= 0xFF:
            raise ValueError(f"flags are 0 to 255, not {self.flags!r}")
        if not is_state(self.state):
            raise ValueError(f"{self.state!r} has no form as tracestate: see www.w3.org/TR/trace-context-1/")

    @classmethod
    def new(cls, *, sampled: bool = True) -> TraceContext:
        """Begin a trace.

        Args:
            sampled: whether those after this one are to record it.
        """
        return cls(_chance(16), _chance(8), SAMPLED if sampled else 0)

    @classmethod
    def parse(cls, traceparent: object, tracestate: object = None) -> TraceContext | None:
        """Read the texts of a message.

        Args:
            tracestate: left out where it is malformed, as the Recommendation asks.

        Returns:
            None where ``traceparent`` is malformed or missing: begin a new trace.
        """
        found = _PARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
            return None
        return cls(trace_id, span_id, int(flags, 16) & KNOWN_FLAGS, read_state(tracestate))

    def child(self) -> TraceContext:
        """The next step of the same trace."""
        return replace(self, span_id=_chance(8))

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The ids as text, 55 characters."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & KNOWN_FLAGS:02x}"

    @property
    def tracestate(self) -> str:
        """The state as text of 512 characters at the most, empty where there is none."""
        return write_state(self.state)


def _chance(size: int) -> str:
    """An id at random; drawn anew where it is all 0, which means none."""
    while True:
        drawn = urandom(size)
        if any(drawn):
            return drawn.hex()
