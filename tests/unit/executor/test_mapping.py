from __future__ import annotations

import weakref
from collections.abc import Iterator
from concurrent import futures
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from ipcq import Executor, NotPicklable, WorkerDied

from .functions import Stubborn, die, keep, odd_only, square, touch, wait_for

pytestmark = pytest.mark.one_fork_server


@pytest.fixture
def executor() -> Iterator[Executor]:
    """An executor with two workers."""
    with Executor(2) as made:
        yield made


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_results_come_in_the_order_of_the_items(executor: Executor, chunksize: int) -> None:
    """However many of them make one task."""
    numbers = range(50)
    assert list(executor.map(square, numbers, chunksize=chunksize)) == [n * n for n in numbers]
    assert list(executor.map(pow, numbers, range(2, 10), chunksize=chunksize)) == [
        n**k for n, k in zip(numbers, range(2, 10), strict=False)
    ]


def test_endless_iterables_are_read_as_results_are_taken(executor: Executor) -> None:
    """No more than there may be unfinished is read ahead."""
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in count():
            read.append(number)
            yield number

    results = executor.map(square, numbers(), buffersize=7)
    assert list(islice(results, 20)) == [n * n for n in range(20)]
    assert len(read) <= 27
    results.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_large_arguments_are_bounded_by_their_bytes(executor: Executor) -> None:
    """Not all of them are in memory at once."""
    read: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(40):
            read.append(number)
            yield bytes(8 << 20)

    results = executor.map(len, blocks())
    assert next(results) == 8 << 20
    assert len(read) < 16
    assert sum(results) == 39 * (8 << 20)


def test_an_exception_is_raised_in_its_place(executor: Executor) -> None:
    """What came before it is there; after it there is nothing."""
    results = executor.map(odd_only, [1, 3, 4, 5])
    assert next(results) == 1
    assert next(results) == 3
    with pytest.raises(ValueError, match="4 is even"):
        next(results)
    assert list(results) == []


@pytest.mark.slow
def test_an_exception_of_the_iterable_is_raised_in_its_place(executor: Executor) -> None:
    """The items before it are run."""

    def broken() -> Iterator[int]:
        yield 2
        raise OSError("unreadable")

    results = executor.map(square, broken())
    assert next(results) == 4
    with pytest.raises(OSError, match="unreadable"):
        next(results)


@pytest.mark.slow
def test_what_cannot_be_pickled_is_raised_in_its_place(executor: Executor) -> None:
    """With its name."""
    results = executor.map(keep, [1, Stubborn()])
    assert next(results) == ((1,), {})
    with pytest.raises(NotPicklable, match="argument 1, <Stubborn>"):
        next(results)


def test_an_item_that_kills_fails_alone() -> None:
    """Others have their results, and the executor goes on."""
    with Executor(1, max_deaths=0) as executor:
        with pytest.raises(WorkerDied, match="die"):
            list(executor.map(die, [1]))
        assert list(executor.map(square, [2])) == [4]


@pytest.mark.slow
def test_time_is_limited(executor: Executor, tmp_path: Path) -> None:
    """TimeoutError, once it is over."""
    results = executor.map(wait_for, [str(tmp_path / "go")], timeout=0.05)
    with pytest.raises(futures.TimeoutError):
        next(results)
    (tmp_path / "go").touch()


def test_results_may_be_taken_after_the_end() -> None:
    """All that has a length is run before the executor ends."""
    with Executor(2) as executor:
        results = executor.map(square, range(2000))
    assert list(results) == [n * n for n in range(2000)]


@pytest.mark.slow
def test_what_was_not_read_is_told_after_the_end() -> None:
    """Iterables without a length are not read to an end that may never come."""
    with Executor(1) as executor:
        results = executor.map(square, iter(range(100)), buffersize=10)
    assert list(islice(results, 10)) == [n * n for n in range(10)]
    with pytest.raises(RuntimeError, match="without a length was not read"):
        next(results)


def test_items_are_run_though_nobody_takes_the_results(tmp_path: Path) -> None:
    """As with the standard library's executors."""
    with Executor(1) as executor:
        executor.map(touch, [str(tmp_path / str(n)) for n in range(600)])
    assert len(list(tmp_path.iterdir())) == 600


@pytest.mark.slow
def test_closing_cancels_what_did_not_begin(executor: Executor, tmp_path: Path) -> None:
    """Whoever stops half-way does not pay for the rest."""
    paths = [str(tmp_path / "go"), *(str(tmp_path / f"not-{n}") for n in range(200))]
    results = executor.map(wait_for, paths)
    results.close()  # type: ignore[attr-defined]
    (tmp_path / "go").touch()
    for n in range(2):  # what had begun
        (tmp_path / f"not-{n}").touch()
    assert executor.submit(square, 3).result(30) == 9


@pytest.mark.slow
def test_results_are_not_kept(executor: Executor) -> None:
    """Who has taken one is the only one to have it."""
    found: set[int]
    for found in executor.map(set, [[1], [2], [3]]):
        reference: weakref.ref[set[int]] = weakref.ref(found)
        del found
        assert reference() is None


@pytest.mark.slow
def test_progress_is_drawn_on_standard_error(executor: Executor, capfd: pytest.CaptureFixture[str]) -> None:
    """With the number of items where it is known."""
    assert list(executor.map(square, range(10), progress=True)) == [n * n for n in range(10)]
    assert "10/10" in capfd.readouterr().err


@pytest.mark.parametrize("options", [{"chunksize": 0}, {"buffersize": 0}])
def test_numbers_out_of_bounds_are_refused(executor: Executor, options: dict[str, Any]) -> None:
    """At once."""
    with pytest.raises(ValueError, match=next(iter(options))):
        executor.map(square, [1], **options)
