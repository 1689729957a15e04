"""joblib, and what is built on it, with ipcq's workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.executor.functions import die_once, odd_only, pid, square, wait_for

joblib = pytest.importorskip("joblib", reason="pip install 'ipcq[joblib]'")

import ipcq.joblib  # noqa: E402 - needs joblib

pytestmark = pytest.mark.one_fork_server


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    """What joblib runs in this test."""
    ipcq.joblib.register()
    with joblib.parallel_config(backend="ipcq", n_jobs=2):
        yield
        joblib.parallel.get_active_backend()[0]._close()


def inner(number: int) -> list[int]:
    """Use joblib in a worker."""
    found: list[int] = joblib.Parallel(n_jobs=2)(joblib.delayed(square)(number + n) for n in range(3))
    return found


def run(function: Any, items: Any, **options: Any) -> Any:
    """All of these calls."""
    return joblib.Parallel(**options)(joblib.delayed(function)(item) for item in items)


def test_results_come_in_their_order() -> None:
    """With joblib's batches, whose size follows how long they take."""
    assert run(square, range(300)) == [n * n for n in range(300)]
    assert os.getpid() not in run(pid, range(4))


@pytest.mark.slow
def test_workers_stay_for_the_next_call() -> None:
    """In one context there is one set of them."""
    first, second = set(run(pid, range(20), batch_size=1)), set(run(pid, range(20), batch_size=1))
    assert len(first | second) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["generator", "generator_unordered"])
def test_results_come_as_generators(kind: str) -> None:
    """Of either kind."""
    assert sorted(run(square, range(50), return_as=kind)) == [n * n for n in range(50)]


def test_an_exception_ends_the_call(tmp_path: Path) -> None:
    """It is raised here; the next call works."""
    with pytest.raises(ValueError, match="2 is even"):
        run(odd_only, [1, 2, 3])
    assert run(square, [5]) == [25]


@pytest.mark.slow
def test_time_is_limited(tmp_path: Path) -> None:
    """Joblib's TimeoutError, and what runs is ended; the next call works."""
    with pytest.raises(multiprocessing.TimeoutError):
        run(wait_for, [str(tmp_path / "never")] * 2, timeout=0.2)
    assert run(square, [5]) == [25]


@pytest.mark.slow
def test_calls_may_be_nested() -> None:
    """Those inside run in threads of the worker, as with joblib's own backends."""
    assert run(inner, [0, 10]) == [[0, 1, 4], [100, 121, 144]]


@pytest.mark.slow
def test_numbers_of_jobs_are_those_of_joblib() -> None:
    """-1 is one for each CPU, 1 is none but this process."""
    assert run(square, range(5), n_jobs=-1) == [0, 1, 4, 9, 16]
    assert set(run(pid, range(3), n_jobs=1)) == {os.getpid()}
    with pytest.raises(ValueError, match="n_jobs == 0"):
        run(square, range(5), n_jobs=0)


def test_a_killed_worker_is_not_noticed(tmp_path: Path) -> None:
    """Where loky raises TerminatedWorkerError."""
    assert run(die_once, [str(tmp_path / str(n)) for n in range(3)]) == ["survived"] * 3


def data() -> tuple[Any, Any]:
    """Something to learn from."""
    datasets = pytest.importorskip("sklearn.datasets", reason="pip install scikit-learn")
    return datasets.make_classification(400, 12, random_state=1)  # type: ignore[no-any-return]


def searched(**options: Any) -> Any:
    """A grid search by scikit-learn."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    grid = {"n_estimators": [20, 60], "max_depth": [3, 5, 9]}
    search = GridSearchCV(RandomForestClassifier(random_state=1), grid, cv=4, **options)
    return search.fit(*data())


@pytest.mark.slow
def test_grid_search_finds_the_same() -> None:
    """As in one process; also when a worker is killed in the middle, twice."""
    data()
    alone = searched(n_jobs=1)
    backend = joblib.parallel.get_active_backend()[0]
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        while len(killed) < 2 and not ended.wait(0.05):
            pids = backend._executor.workers if backend._executor is not None else []
            if pids and pids[0] not in killed:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = searched(n_jobs=2)
    finally:
        ended.set()
        killer.join()
    assert killed
    assert found.best_params_ == alone.best_params_
    for name in ("mean_test_score", "std_test_score"):
        assert list(found.cv_results_[name]) == list(alone.cv_results_[name])
