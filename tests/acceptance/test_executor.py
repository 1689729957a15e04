"""Programs with an executor, as people write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code: str, *options: str, script: Path | None = None) -> tuple[int, str, str]:
    """Run a program; its exit code and what it printed."""
    if script is not None:
        script.write_text(code, encoding="utf-8")
    command = [sys.executable, *options, *(["-c", code] if script is None else [str(script)])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


INTERACTIVE = """
import sys
{before}
from ipcq import Executor
base = 10
def add(number):
    return base + number
class Point:
    def __init__(self, x): self.x = x
with Executor(2) as executor:
    print(executor.submit(add, 1).result(), executor.submit(lambda point: point.x, Point(3)).result())
    print(list(executor.map(lambda n: n * base, range(3))))
"""


@pytest.mark.parametrize("method", ["", pytest.param("spawn", marks=pytest.mark.slow)])
def test_what_a_session_defines_is_run(method: str) -> None:
    """Functions, lambdas and classes of a notebook or an interactive session, which no file has."""
    pytest.importorskip("cloudpickle")
    code = INTERACTIVE.format(before="")
    if method:
        code = code.replace(
            "Executor(2)", f"Executor(2, __import__('multiprocessing').get_context({method!r}))"
        )
    assert run(code) == (0, "11 3\n[0, 10, 20]\n", "")


def test_what_cloudpickle_is_needed_for_is_told() -> None:
    """Where it is not installed, the error names what installs it."""
    code, printed, told = run(INTERACTIVE.format(before="sys.modules['cloudpickle'] = None"))
    assert (code, printed) == (1, "")
    assert "pip install 'ipcq[cloudpickle]'" in told


FORGOTTEN = """
from ipcq import Executor
{guard}
    executor = Executor(2)
    futures = [executor.submit(pow, 2, n) for n in range(3)]
    futures[-1].add_done_callback(lambda future: print(future.result()))
"""


def test_calls_are_made_before_the_program_ends(tmp_path: Path) -> None:
    """Though nobody waits for them, or shuts the executor down."""
    code = FORGOTTEN.format(guard='if __name__ == "__main__":')
    assert run(code, script=tmp_path / "program.py") == (0, "4\n", "")


UNGUARDED = """
from ipcq import Executor
def square(number):
    return number * number
with Executor(2) as executor:
    print(executor.submit(square, 2).result())
"""


@pytest.mark.slow
def test_a_script_without_its_guard_is_told(tmp_path: Path) -> None:
    """Workers import it, and would start executors of their own; the last line tells what to do."""
    code, printed, told = run(UNGUARDED, script=tmp_path / "program.py")
    assert (code, printed) == (1, "")
    assert told.splitlines()[-1].startswith("ipcq.executor.outcome.ExecutorFailed: ")
    assert told.splitlines()[-1].endswith("under: if __name__ == '__main__'")
