"""Poll strategies: when a worker looks again, and that one object serves any number of workers."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ipcq.polling import Backoff, Interval, Notify, Poller, PollStrategy, Race, Signal, Waiter

LONG = 30.0  # seconds; nobody waits so long


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Time that passes when a test says so."""
    return Clock()


@pytest.fixture
def begin(clock: Clock) -> Iterator[Any]:
    """Starts a strategy by this clock; closed after the test."""
    started: list[Poller] = []

    def begin(strategy: PollStrategy) -> Poller:
        started.append(Poller(strategy.parts(), clock))
        return started[-1]

    yield begin
    for poller in started:
        poller.close()


def _passes(poller: Poller, clock: Clock, seconds: float) -> bool:
    """Whether it is time to look when so much time has passed, and not before."""
    early = poller.wait(0)
    clock.now += seconds - 0.001
    early = early or poller.wait(0)
    clock.now += 0.002
    return poller.wait(0) and not early


def test_an_interval_comes_again_and_again(begin: Any, clock: Clock) -> None:
    """It is time to look each time the interval has passed, whether something was found or not."""
    poller = begin(Interval(2))
    assert _passes(poller, clock, 2)
    poller.found()
    assert _passes(poller, clock, 2)


def test_a_backoff_grows_and_begins_anew(begin: Any, clock: Clock) -> None:
    """Each fruitless look makes the next wait longer, up to the limit; a task makes it short again."""
    poller = begin(Backoff(max=5, factor=2, jitter=0, first=1))
    assert [_passes(poller, clock, seconds) for seconds in (1, 2, 4, 5, 5)] == [True] * 5
    poller.found()
    assert _passes(poller, clock, 1)


def test_a_backoff_leaves_a_part_to_chance() -> None:
    """A delay is between 1 - jitter and 1 times what it would be, however often nothing was found."""
    strategy = Backoff(max=8, factor=3, jitter=0.5, first=0.1)
    delays = [strategy.delay(10_000) for _ in range(100)]
    assert 4 <= min(delays) < max(delays) <= 8
    assert 0.15 <= strategy.delay(1) <= 0.3


def test_two_workers_of_one_strategy_do_not_share_it(begin: Any, clock: Clock) -> None:
    """What one worker waited does not shorten another one's wait, nor that of the same one restarted."""
    strategy = Backoff(max=100, factor=10, jitter=0, first=1)
    first = begin(strategy)
    assert _passes(first, clock, 1)
    assert _passes(first, clock, 10)
    first.close()
    assert _passes(begin(strategy), clock, 1)


def test_a_wake_ends_a_wait(begin: Any) -> None:
    """`wake` in another thread makes a wait return at once; it is no reason to look."""
    poller = begin(Interval(LONG))
    threading.Timer(0.01, poller.wake).start()
    assert not poller.wait(LONG)


def test_a_wake_that_nobody_waits_for_is_kept(begin: Any) -> None:
    """`wake` before a wait makes that one return, and only that one."""
    poller = begin(Interval(LONG))
    poller.wake()
    poller.wake()
    assert not poller.wait(LONG)
    assert not poller.wait(0)


def test_many_notifications_are_one_look(begin: Any) -> None:
    """A backend that says it a hundred times before the next look makes one look of it."""
    poller = begin(Notify())
    for _ in range(100):
        poller.notify()
    assert poller.wait(LONG)
    assert not poller.wait(0)
    poller.notify()
    assert poller.wait(LONG)


def test_an_event_is_a_sign(begin: Any) -> None:
    """Each `set` ends one wait, for a worker that was restarted too."""
    event = threading.Event()
    strategy = Signal(event)
    for _ in range(2):
        poller = begin(strategy)
        for _ in range(2):
            assert not poller.wait(0)
            event.set()
            assert poller.wait(LONG)
        poller.close()


def test_each_worker_goes_through_an_iterable(begin: Any) -> None:
    """Of an async iterable each worker sees every item, the second and a restarted one too."""

    async def signs() -> AsyncIterator[int]:
        for n in range(2):
            yield n

    strategy = Race(Signal(signs))
    first, second = begin(strategy), begin(strategy)
    for poller in (first, second, begin(strategy)):
        assert poller.wait(LONG)
        assert poller.wait(LONG)


def test_after_the_end_of_an_iterable_time_decides(begin: Any, clock: Clock) -> None:
    """A source that ended gives no more signs; the worker still looks from time to time."""
    ended = threading.Event()

    async def none() -> AsyncIterator[int]:
        for n in list[int]():
            yield n
        ended.set()

    poller = begin(Signal(none, at_most=5))
    assert not poller.wait(0)
    assert ended.wait(LONG)
    assert _passes(poller, clock, 5)


def test_a_silent_source_is_not_waited_for_for_ever(begin: Any, clock: Clock) -> None:
    """Whoever was to give a sign may be dead: after `at_most` seconds the worker looks."""
    for strategy in (
        Signal(threading.Event(), at_most=3),
        Waiter(lambda seconds: False, at_most=3),
        Notify(3),
    ):
        assert _passes(begin(strategy), clock, 3)


def test_an_iterator_is_refused() -> None:
    """What can be gone through once only would serve one worker only."""

    async def signs() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="once only"):
        Signal(signs())


@pytest.mark.parametrize("source", [asyncio.Event(), 5, None])
def test_what_is_no_source_is_refused(source: Any) -> None:
    """An asyncio event, and what is neither event nor iterable, is a TypeError at once."""
    with pytest.raises(TypeError):
        Signal(source)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Interval(0),
        lambda: Interval(float("nan")),
        lambda: Backoff(max=-1),
        lambda: Backoff(factor=0.5),
        lambda: Backoff(jitter=2),
        lambda: Notify(0),
        lambda: Race(),
    ],
)
def test_what_is_out_of_bounds_is_refused(make: Any) -> None:
    """Such a strategy cannot be made."""
    with pytest.raises(ValueError, match=r"must be|needs"):
        make()


def test_a_function_is_asked_only_while_somebody_waits(begin: Any) -> None:
    """A function that always says yes is called once for each wait: no thread runs in circles."""
    calls: list[float] = []

    def always(seconds: float) -> bool:
        calls.append(seconds)
        return True

    poller = begin(Waiter(always))
    for n in range(1, 4):
        assert poller.wait(LONG)
        assert len(calls) == n


def test_what_a_function_raises_comes_to_the_worker(begin: Any) -> None:
    """An error in a listener's thread is raised where the worker waits."""

    def broken(seconds: float) -> bool:
        raise ConnectionError("gone")

    poller = begin(Waiter(broken))
    with pytest.raises(ConnectionError, match="gone"):
        poller.wait(LONG)


def test_losers_begin_anew(begin: Any, clock: Clock) -> None:
    """When another was first, an interval counts from the next wait on: it was cancelled, not skipped."""
    poller = begin(Race(Interval(10), Notify()))
    assert not poller.wait(0)
    clock.now += 9
    poller.notify()
    assert poller.wait(LONG)
    assert _passes(poller, clock, 10)


def test_a_loser_did_not_wait_in_vain(begin: Any, clock: Clock) -> None:
    """A backoff grows only when it was its own time that passed."""
    poller = begin(Race(Backoff(max=100, factor=10, jitter=0, first=1), Notify()))
    for _ in range(3):
        poller.notify()
        assert poller.wait(LONG)
    assert _passes(poller, clock, 1)


def test_the_sign_of_a_loser_is_kept(begin: Any, clock: Clock) -> None:
    """A sign that came when another one had won ends the next wait."""
    heard, say = threading.Event(), threading.Event()

    def listen(seconds: float) -> bool:
        heard.set()
        return say.wait(LONG)

    poller = begin(Race(Interval(1), Waiter(listen)))
    assert not poller.wait(0)
    assert heard.wait(LONG)
    clock.now += 2
    assert poller.wait(LONG)
    say.set()
    assert poller.wait(LONG)
    assert clock.now == 102


def test_strategies_are_values() -> None:
    """They are equal by what they say, can be sent to another process, and cannot be changed."""
    for strategy in (Interval(1), Backoff(3), Notify(), Waiter(abs), Race(Interval(1), Notify())):
        assert pickle.loads(pickle.dumps(strategy)) == strategy
        assert len({strategy, pickle.loads(pickle.dumps(strategy))}) == 1
        value: Any = strategy
        with pytest.raises((AttributeError, TypeError)):
            value.seconds = 5


def test_a_poller_shows_what_it_waits_with() -> None:
    """Its repr tells the parts and whether somebody waits."""
    poller = Race(Interval(1), Notify(), Waiter(abs)).start()
    assert repr(poller) == "<Poller of <Timer: 0 times nothing>, <Notified>, <Listener: idle> [idle]>"
