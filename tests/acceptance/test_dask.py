"""Dask with an executor as its scheduler."""

from __future__ import annotations

import os

import pytest

from ipcq import Executor
from tests.unit.executor.functions import pid, square

dask = pytest.importorskip("dask", reason="pip install 'ipcq[dask]'")

pytestmark = [pytest.mark.one_fork_server, pytest.mark.slow]


def test_delayed_calls_run_in_the_workers() -> None:
    """A graph of calls gives what it gives in one process."""
    with Executor(2) as executor, dask.config.set(scheduler=executor):
        graph = dask.delayed(sum)([dask.delayed(square)(n) for n in range(50)])
        assert graph.compute() == sum(n * n for n in range(50))
        assert dask.delayed(pid)().compute() != os.getpid()


def test_bags_run_in_the_workers() -> None:
    """Partitions, a fold and a group-by."""
    bag = pytest.importorskip("dask.bag")
    with Executor(2) as executor, dask.config.set(scheduler=executor):
        numbers = bag.from_sequence(range(1000), npartitions=10)
        assert numbers.map(square).filter(is_even).sum().compute() == sum(n * n for n in range(0, 1000, 2))


def test_arrays_run_in_the_workers() -> None:
    """Blocks travel beside the values."""
    array = pytest.importorskip("dask.array")
    with Executor(2) as executor, dask.config.set(scheduler=executor):
        numbers = array.random.default_rng(1).random((2000, 1000), chunks=(500, 1000))
        found = (numbers @ numbers.T).mean().compute()
        assert found == pytest.approx(float((numbers @ numbers.T).mean().compute(scheduler="sync")))


def is_even(number: int) -> bool:
    """Whether two divides it."""
    return number % 2 == 0
