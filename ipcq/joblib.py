"""ipcq as a backend of joblib: a worker that dies costs the batch that it ran one more run, and nothing else.

::

    import ipcq.joblib, joblib

    ipcq.joblib.register()
    with joblib.parallel_config(backend="ipcq", n_jobs=-1):
        GridSearchCV(...).fit(X, y)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

try:
    from joblib.parallel import (
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
        register_parallel_backend,
    )
except ImportError as error:
    raise ImportError("ipcq.joblib needs joblib: pip install 'ipcq[joblib]'") from error

from .executor import Executor
from .executor.threads import set_threads
from .monitor.cpus import usable_cpus

__all__ = ["Backend", "register"]


def register(name: str = "ipcq", *, make_default: bool = False) -> None:
    """Make ``joblib.parallel_config(backend="ipcq")`` and ``Parallel(backend="ipcq")`` work.

    Args:
        name: another one.
        make_default: what no ``backend=`` is given for uses it, too.
    """
    register_parallel_backend(name, Backend, make_default=make_default)


class Backend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """A backend of joblib over an `Executor`, which lives as long as the backend: for all calls in a context.

    Args:
        options: of joblib (``nesting_level``, ``inner_max_num_threads``), and those of `Executor`.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._executor: Executor | None = None
        self._count = self._n_jobs = 1

    def __repr__(self) -> str:
        return f"<joblib backend of {self._executor!r}>"

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many workers ``n_jobs`` means; ValueError for 0."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(usable_cpus() + 1 + n_jobs, 1)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, require: Any = None, **options: Any
    ) -> int:
        """Get ready for one call of `Parallel`; the number of workers.

        What joblib says of files for large arrays (``options``) is of no use here: they are in shared memory.
        """
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if self._executor is None or count != self._count:
            self._close()
            self._executor, self._count = self._make(count), count
        self.parallel, self._n_jobs = parallel, n_jobs
        return count

    def _make(self, count: int) -> Executor:
        options = dict(self.backend_kwargs)
        if self.inner_max_num_threads is not None:
            options.update(initializer=set_threads, initargs=(self.inner_max_num_threads,))
        return Executor(count, **options)

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """Have one batch run."""
        assert self._executor is not None
        future = self._executor.submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """What a batch gave; raises what it raised."""
        return out.result()

    def terminate(self) -> None:
        """One call of `Parallel` has ended; the workers stay for the next one."""
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what waits and end what runs: its results are of no use any more."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.terminate_workers()
        if ensure_ready:
            self.configure(n_jobs=self._n_jobs, parallel=self.parallel)

    def _close(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
