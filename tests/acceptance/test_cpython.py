"""The interpreter's own tests of executors, with `ipcq.Executor` in the place of `ProcessPoolExecutor`.

They are those of CPython 3.13, as they are installed with it: ``python3.13 -m pytest -m "slow or not slow"
tests/acceptance/test_cpython.py``. Those in `OTHERWISE` do not run, for the reason that stands there.
"""

from __future__ import annotations

import sys
import unittest
from concurrent import futures
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from .cpython import Adapted, adapted_script

_VERSION = ".".join(map(str, sys.version_info[:2]))
if _VERSION != "3.13":
    pytest.skip("the tests of CPython 3.13 need that", allow_module_level=True)
pytest.importorskip("test.test_concurrent_futures", reason="this CPython was installed without its tests")

PACKAGE = "test.test_concurrent_futures"
METHODS = ("Fork", "Forkserver", "Spawn")

BREAKS = "asserts that the pool breaks for everybody, where one call fails"
COUNTS = "counts the processes that are started for calls that cannot be pickled: none, here"

OTHERWISE = {
    "test_killed_child": BREAKS,
    "test_exit_at_task_unpickle": BREAKS,
    "test_error_at_task_unpickle": BREAKS,
    "test_error_during_result_unpickle_in_result_handler": BREAKS,
    "test_exit_during_result_unpickle_in_result_handler": BREAKS,
    "test_python_finalization_error": BREAKS,
    "test_saturation": COUNTS,
    "test_processes_terminate": COUNTS,
    "test_cancel_futures": "asserts that a call had begun, though no process may have started yet",
    "test_max_tasks_per_child_defaults_to_spawn_context": "the default is the fork server, as without it",
}

SUITES = {
    "test_process_pool": ["ProcessPoolExecutorTest"],
    "test_wait": ["WaitTests"],
    "test_as_completed": ["AsCompletedTests"],
    "test_init": ["InitializerMixin", "FailingInitializerMixin"],
    "test_shutdown": ["ProcessPoolShutdownTest"],
    "test_deadlock": ["ExecutorDeadlockTest"],
}

pytestmark = [
    pytest.mark.one_fork_server,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they name `ProcessPoolExecutor` themselves, or write a program."""
    shutdown = import_module(f"{PACKAGE}.test_shutdown")
    another = type("Another", (Adapted,), {})  # one test skips what is the same as `ProcessPoolExecutor`
    ours = SimpleNamespace(**{**vars(futures), "ProcessPoolExecutor": another})
    monkeypatch.setattr(shutdown, "futures", ours)
    monkeypatch.setattr(shutdown, "assert_python_ok", adapted_script(shutdown.assert_python_ok))


def _tear_down(self: Any) -> None:
    """As always, and let go of the queue that a test has for its log: cases live as long as pytest does."""
    super(type(self), self).tearDown()
    for name in ("log_queue", "executor_kwargs"):
        vars(self).pop(name, None)


def _suite(module: Any, mixin: str, method: str) -> type[unittest.TestCase]:
    util = import_module(f"{PACKAGE}.util")
    bases = (getattr(module, mixin), getattr(util, f"ProcessPool{method}Mixin"), util.BaseTestCase)
    changed: dict[str, Any] = {"executor_type": Adapted, "__module__": __name__, "tearDown": _tear_down}
    for name, why in OTHERWISE.items():
        if any(hasattr(base, name) for base in bases):
            changed[name] = unittest.skip(why)(lambda self: None)
    return type(f"{mixin}{method}", bases, changed)


for _module, _mixins in SUITES.items():
    for _mixin in _mixins:
        for _method in METHODS:
            _made = _suite(import_module(f"{PACKAGE}.{_module}"), _mixin, _method)
            if _method != "Forkserver" or _mixin not in ("WaitTests", "InitializerMixin"):
                _made = pytest.mark.slow(_made)
            globals()[_made.__name__] = _made
del _made
