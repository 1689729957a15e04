"""The fixtures that users' tests get, in test runs of their own."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ipcq import MemoryStorage
from ipcq.testing.fixtures import Leaked, fresh_queue

pytest_plugins = ["pytester"]

HANDLERS = """
import os, time

def double(number):
    return 2 * number

def sleep_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        time.sleep(3600)
    return "woken"
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    """Runs tests with the plugin, as installed."""
    assert {entry.name for entry in entry_points(group="pytest11")} >= {"ipcq"}
    pytester.makepyfile(handlers=HANDLERS)
    return pytester


@pytest.mark.one_fork_server
def test_a_handler_is_tested(run: pytest.Pytester) -> None:
    """With an empty queue for each test, and a worker that runs what was pushed."""
    run.makepyfile("""
        from handlers import double
        from ipcq.testing import CrashPoint, FakeClock

        def test_it(ipcq_queue, ipcq_worker):
            task_id = ipcq_queue.push(21)
            assert ipcq_worker(double).execute_next().value == 42
            assert ipcq_queue.wait(task_id, 1).unwrap() == 42

        def test_another(ipcq_queue, ipcq_worker):
            assert ipcq_worker(double).execute_next() is None
            clock = FakeClock()
            ipcq_queue.push(1, run_at=clock() + 3600)
            worker = ipcq_worker(double, clock=clock)
            clock.advance(3601)
            assert worker.crash_next(CrashPoint.HANDLED)
            assert worker.execute_next().value == 2
    """)
    run.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


@pytest.mark.one_fork_server
def test_the_page_of_the_documents(run: pytest.Pytester) -> None:
    """Its tests are such as anybody can copy."""
    page = Path(__file__).parents[3] / "docs/testing.md"
    run.makepyfile(page.read_text(encoding="utf-8").partition("```python")[2].partition("```")[0])
    run.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=5)


@pytest.mark.slow
def test_a_worker_is_killed(run: pytest.Pytester) -> None:
    """In the middle of its task, which another one then runs; the plugin sees that nothing is left."""
    run.makepyfile("""
        import handlers, ipcq

        def test_it(ipcq_queue, kill_worker, tmp_path):
            task_id = ipcq_queue.push(str(tmp_path / "begun"))
            with ipcq.Monitor(ipcq_queue, handlers.sleep_once, workers=1):
                while not (tmp_path / "begun").exists():
                    pass
                victim = kill_worker()
                assert victim.pid
                assert ipcq_queue.wait(task_id, 10).unwrap() == "woken"
            assert ipcq_queue.fetch_by_id(task_id).deaths == 1
    """)
    run.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_leak_fails_the_test(run: pytest.Pytester) -> None:
    """Who forgets a handle is told, by the name of what is left."""
    run.makepyfile("""
        import ipcq
        from ipcq.testing import fixtures

        def test_it(ipcq_queue, monkeypatch):
            monkeypatch.setattr(fixtures, "_GRACE", 0.0)
            global left
            left = ipcq.MemoryStorage(ipcq_queue.queue)

        def test_after_it():
            left.close()
    """)
    result = run.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*outlived the test: another process, or another handle*"])


def test_the_directory_of_a_queue_goes_with_it() -> None:
    """Also when the test destroyed the queue, or failed."""
    seen: list[str] = []
    with fresh_queue(seen.append) as queue:
        queue.destroy()
    with pytest.raises(ZeroDivisionError), fresh_queue(seen.append):
        raise ZeroDivisionError
    assert len(seen) == 2
    assert not any(Path(each).exists() for each in seen)


def test_a_leak_is_told_after_the_queue_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left cannot keep the queue alive."""
    from ipcq.testing import fixtures

    monkeypatch.setattr(fixtures, "_GRACE", 0.0)
    with (
        pytest.raises(Leaked, match="another handle"),
        fresh_queue(lambda directory: monkeypatch.setenv("IPCQ_DIR", directory)) as queue,
    ):
        other = MemoryStorage(str(queue.queue))
    other.close()
