"""The strategies: values that say when to look, without any state of their own."""

from __future__ import annotations

import inspect
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .listener import Listener
from .parts import Notified, Part, Timer
from .poller import Poller

if TYPE_CHECKING:
    from .sources import Event

__all__ = ["Backoff", "Interval", "Notify", "PollStrategy", "Race", "Signal", "Waiter"]

_AT_MOST = 60.0  # seconds: whoever was to give a sign may have been killed
_LONGEST = 1e6  # seconds


@runtime_checkable
class PollStrategy(Protocol):
    """Says when a worker looks for tasks again. A value: it can be used any number of times."""

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        ...

    def start(self) -> Poller:
        """What one worker waits with."""
        ...


class _Strategy:
    __slots__ = ()

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        raise NotImplementedError

    def start(self) -> Poller:
        """What one worker waits with."""
        return Poller(self.parts())


@dataclass(frozen=True, slots=True)
class Interval(_Strategy):
    """Every so many seconds.

    Raises:
        ValueError: not above 0.
    """

    seconds: float

    def __post_init__(self) -> None:
        _check("seconds", self.seconds)

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        return (Timer(lambda _: self.seconds),)


@dataclass(frozen=True, slots=True)
class Backoff(_Strategy):
    """Longer each time that there was nothing; from the beginning as soon as there is something.

    Attributes:
        max: the longest, in seconds.
        factor: how much longer each time, 1 or more.
        jitter: 0 to 1: how much of each delay is left to chance, so that workers do not look all at once.
        first: the shortest, in seconds.

    Raises:
        ValueError: one is out of bounds.
    """

    max: float = 5.0
    factor: float = 2.0
    jitter: float = 0.1
    first: float = 0.02

    def __post_init__(self) -> None:
        _check("max", self.max)
        _check("first", self.first)
        if not self.factor >= 1:
            raise ValueError(f"factor must be 1 or more, not {self.factor!r}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be 0 to 1, not {self.jitter!r}")

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        return (Timer(self.delay),)

    def delay(self, fruitless: int) -> float:
        """Seconds to wait after so many fruitless looks in a row."""
        try:
            longest = min(self.max, self.first * self.factor**fruitless)
        except OverflowError:
            longest = self.max
        return longest * (1 - self.jitter * random.random())


@dataclass(frozen=True, slots=True)
class Notify(_Strategy):
    """When the backend itself says that something was pushed.

    A backend says it in the process in which the push is made; `MemoryStorage` has a way of its own that
    reaches every process, and needs no strategy.

    Attributes:
        at_most: seconds after which to look all the same.
    """

    at_most: float = _AT_MOST

    def __post_init__(self) -> None:
        _check("at_most", self.at_most)

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        return (Notified(self.at_most),)


@dataclass(frozen=True, slots=True)
class Waiter(_Strategy):
    """When a function says so, called in a thread of its own while the worker waits.

    Attributes:
        fn: called with a number of seconds; waits that long at the most for whatever may bring tasks (a
            ``LISTEN``, a ``select``), and returns whether to look. What it raises, the worker raises.
        at_most: seconds after which to look all the same.
    """

    fn: Callable[[float], object]
    at_most: float = _AT_MOST

    def __post_init__(self) -> None:
        _check("at_most", self.at_most)
        if not callable(self.fn) or inspect.iscoroutinefunction(self.fn):
            raise TypeError(f"Waiter takes a plain function of a number of seconds, not {self.fn!r}")

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        return (Listener(lambda: (self.fn, _nothing), self.at_most),)


@dataclass(frozen=True, slots=True)
class Signal(_Strategy):
    """When an event is set, or an async iterable yields.

    Attributes:
        source: a ``threading.Event`` or ``multiprocessing.Event``, which is cleared before each look; an
            async iterable, or a function that returns one (an async generator function), which each
            worker goes through by itself, in a thread with an event loop.
        at_most: seconds after which to look all the same.

    Raises:
        TypeError: it is none of these, or can be gone through once only, as an async generator.
    """

    source: Event | AsyncIterable[Any] | Callable[[], AsyncIterable[Any]]
    at_most: float = _AT_MOST

    def __post_init__(self) -> None:
        _check("at_most", self.at_most)
        source = self.source
        if isinstance(source, AsyncIterator):
            raise TypeError(
                f"{source!r} can be gone through once only, and every worker has to: pass the function that"
                " made it"
            )
        if inspect.iscoroutinefunction(getattr(source, "wait", None)):
            raise TypeError(f"{source!r} is for one event loop only: use threading.Event")
        if not (_is_event(source) or isinstance(source, AsyncIterable) or callable(source)):
            raise TypeError(f"Signal takes an event or an async iterable, not {source!r}")

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        return (Listener(self._open, self.at_most),)

    def _open(self) -> Any:
        from .sources import listen_to_event, listen_to_iterable  # asyncio takes long to import

        source: Any = self.source
        if _is_event(source):
            return listen_to_event(source)
        return listen_to_iterable(source if isinstance(source, AsyncIterable) else source())


class Race(_Strategy):
    """As soon as one of several says so; the others are cancelled, and begin anew with the next wait.

    A sign that came to one of them too late is not lost: it ends the next wait.
    """

    __slots__ = ("strategies",)

    def __init__(self, *strategies: PollStrategy) -> None:
        if not strategies:
            raise ValueError("a race needs one strategy at least")
        self.strategies: tuple[PollStrategy, ...]
        object.__setattr__(self, "strategies", strategies)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Race cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Race) and self.strategies == other.strategies

    def __hash__(self) -> int:
        return hash(self.strategies)

    def __repr__(self) -> str:
        return f"Race({', '.join(map(repr, self.strategies))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Race, self.strategies

    def parts(self) -> Iterable[Part]:
        """New state, for one worker."""
        return [part for strategy in self.strategies for part in strategy.parts()]


def _is_event(source: object) -> bool:
    return callable(getattr(source, "wait", None)) and callable(getattr(source, "clear", None))


def _check(name: str, seconds: float) -> None:
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{name} must be seconds above 0, up to {_LONGEST:g}; not {seconds!r}")


def _nothing() -> None:
    pass
