"""The C part of the lock word under ThreadSanitizer, and its ordering left out: what must be found."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ipcq.backends import memory

HERE = Path(__file__).parent
COMPILER = os.environ.get("CC") or shutil.which("cc") or "cc"
WITHOUT_ORDER = ["-U__ATOMIC_SEQ_CST", "-D__ATOMIC_SEQ_CST=__ATOMIC_RELAXED"]


def _build(program: Path, source: Path, *options: str) -> bool:
    include = os.path.dirname(memory.__file__)
    command = [COMPILER, "-g", "-O1", "-pthread", f"-I{include}", *options, str(source), "-o", str(program)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _run(program: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build and run the race; skipped where not even an empty program can be built and run that way."""
    empty = program.with_suffix(".c")
    empty.write_text("int main(void) { return 0; }\n")
    if not _build(program, empty, *options) or subprocess.run([program], check=False).returncode:
        pytest.skip("no C compiler with these options here")
    assert _build(program, HERE / "lock_race.c", *options)
    return subprocess.run([program], check=False, capture_output=True, text=True)


def _sanitized(program: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _run(program, "-fsanitize=thread", "-DIPCQ_ATOMIC_WORDS", *options)


def test_the_lock_orders_what_it_guards(tmp_path: Path) -> None:
    """Plain memory under the lock, copied payloads included, is never seen half written."""
    done = _sanitized(tmp_path / "race")
    assert (done.returncode, done.stdout) == (0, "80000 sections, whole\n"), done.stderr


def test_a_lock_that_does_not_order_is_found(tmp_path: Path) -> None:
    """The sanitizer reports the same program with compare-and-swap relaxed."""
    done = _sanitized(tmp_path / "race", *WITHOUT_ORDER)
    assert done.returncode
    assert "data race" in done.stderr


def test_the_lock_of_volatile_words_excludes_too(tmp_path: Path) -> None:
    """As built where the processor keeps stores in order: no section is lost."""
    done = _run(tmp_path / "plain")
    assert (done.returncode, done.stdout) == (0, "80000 sections, whole\n"), done.stderr
