"""The pools that ipcq is compared with, each behind the same two calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any, NamedTuple

__all__ = ["PEERS", "Peer", "opened"]

Function = Callable[[Any], Any]


class Peer(NamedTuple):
    """A pool of worker processes.

    Attributes:
        map: all results of a function, one task for each item.
        call: one result, waited for.
        tell: submits one task and does not wait.
    """

    map: Callable[[Function, Iterable[Any]], Iterable[Any]]
    call: Callable[[Function, Any], Any]
    tell: Callable[[Function, Any], object]


def _submitting(executor: Executor) -> Peer:
    return Peer(executor.map, lambda run, item: executor.submit(run, item).result(), executor.submit)


@contextmanager
def _executor(workers: int) -> Iterator[Peer]:
    executor = ProcessPoolExecutor(workers, mp_context=get_context("forkserver"))
    try:
        yield _submitting(executor)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _pool(workers: int) -> Iterator[Peer]:
    with get_context("forkserver").Pool(workers) as pool:
        yield Peer(
            pool.imap_unordered,
            lambda run, item: pool.apply(run, (item,)),
            lambda run, item: pool.apply_async(run, (item,)),
        )


@contextmanager
def _loky(workers: int) -> Iterator[Peer]:
    import loky

    executor = loky.ProcessPoolExecutor(workers)
    try:
        yield _submitting(executor)
    finally:
        executor.shutdown(kill_workers=True)


@contextmanager
def _joblib(workers: int) -> Iterator[Peer]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    def run_all(run: Function, items: Iterable[Any]) -> Iterable[Any]:
        # With one job it would run here, without any process.
        results: Iterable[Any] = Parallel(n_jobs=max(2, workers), batch_size=1)(
            delayed(run)(item) for item in items
        )
        return results

    def call(run: Function, item: Any) -> Any:
        (result,) = run_all(run, (item,))
        return result

    try:
        yield Peer(run_all, call, call)
    finally:
        get_reusable_executor().shutdown(kill_workers=True)


@contextmanager
def _mpire(workers: int) -> Iterator[Peer]:
    from mpire.pool import WorkerPool

    with WorkerPool(workers, start_method="forkserver", keep_alive=True) as pool:

        def run_all(run: Function, items: Iterable[Any]) -> Iterable[Any]:
            results: Iterable[Any] = pool.imap_unordered(run, items, chunk_size=1)
            return results

        yield Peer(
            run_all,
            lambda run, item: pool.apply(run, (item,)),
            lambda run, item: pool.apply_async(run, (item,)),
        )


@contextmanager
def _pebble(workers: int) -> Iterator[Peer]:
    from pebble import ProcessPool

    pool: Any = ProcessPool(workers, context=get_context("forkserver"))
    try:
        yield Peer(
            lambda run, items: pool.map(run, items, chunksize=1).result(),
            lambda run, item: pool.schedule(run, (item,)).result(),
            lambda run, item: pool.schedule(run, (item,)),
        )
    finally:
        pool.stop()
        pool.join()


PEERS: dict[str, Callable[[int], AbstractContextManager[Peer]]] = {
    "ProcessPoolExecutor": _executor,
    "multiprocessing.Pool": _pool,
    "loky": _loky,
    "joblib": _joblib,
    "mpire": _mpire,
    "pebble": _pebble,
}


def opened(
    stack: ExitStack, workers: int, names: Iterable[str] = tuple(PEERS)
) -> tuple[dict[str, Peer], dict[str, str]]:
    """Start the peers that are installed, until the stack ends; those that are not, and why."""
    found, missing = {}, {}
    for name in names:
        try:
            found[name] = stack.enter_context(PEERS[name](workers))
        except ImportError as error:
            missing[name] = str(error)
    return found, missing
