from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ipcq import MemoryStorage, VersionMismatch
from ipcq.backends.memory import COMPILED, core, lockword, machine, mode

compiled = pytest.mark.skipif(not COMPILED, reason="needs both modes")

PROGRAM = """
from ipcq import MemoryStorage, Monitor
from ipcq.backends.memory import COMPILED

def ask(_: int) -> bool:
    return COMPILED

if __name__ == "__main__":
    with MemoryStorage("modes") as queue, Monitor(queue, ask, workers=1):
        print(COMPILED, next(iter(queue.wait_for([queue.push(1)]))).unwrap())
"""


def _python(*arguments: str, pure: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python in the other mode, or in ours."""
    environment = {**os.environ, "IPCQ_PURE": "1", "IPCQ_REQUIRE_COMPILED": "0"} if pure else None
    return subprocess.run([sys.executable, *arguments], env=environment, text=True, capture_output=True)


def test_all_modules_are_of_one_mode() -> None:
    """`COMPILED` says what runs."""
    for module in (core, lockword, machine):
        assert str(module.__file__).endswith(".py") is not COMPILED


def test_pure_is_uncompiled() -> None:
    """Whatever is installed, ``IPCQ_PURE=1`` runs the sources, and says so."""
    done = _python(
        "-c", "from ipcq.backends.memory import COMPILED, core, mode; print(COMPILED, mode.WHY_NOT, core)"
    )
    assert done.stdout.startswith("False IPCQ_PURE is set")
    assert "core.py" in done.stdout


def test_what_is_required_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why it is not there."""
    monkeypatch.setenv("IPCQ_PURE", "1")
    monkeypatch.setenv("IPCQ_REQUIRE_COMPILED", "1")
    done = _python("-c", "import ipcq.backends.memory", pure=False)
    assert done.returncode
    assert done.stderr.splitlines()[-1].startswith("ImportError: IPCQ_REQUIRE_COMPILED is set")
    assert "IPCQ_PURE is set" in done.stderr


# --- which sources --------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one module that was compiled, as `mode` finds it."""
    monkeypatch.delenv("IPCQ_PURE", raising=False)
    monkeypatch.setattr(mode, "_HERE", str(tmp_path))
    monkeypatch.setattr(mode, "_STAMP", str(tmp_path / "stamp"))
    lines = []
    for name in ("core.py", "core.pxd"):
        (tmp_path / name).write_text(name)
        lines.append(f"{zlib.crc32(name.encode())} {name}\n")
    (tmp_path / "stamp").write_text("".join(lines))
    return tmp_path


def test_what_was_compiled_is_used(here: Path) -> None:
    """With unchanged sources, and in a wheel, which has no .pxd."""
    assert mode._why_not() == ""
    (here / "core.pxd").unlink()
    assert mode._why_not() == ""


@pytest.mark.parametrize("name", ["core.py", "core.pxd"])
def test_changed_sources_are_run_as_they_are(here: Path, name: str) -> None:
    """What one edits is what one tests."""
    (here / name).write_text("changed")
    assert mode._why_not() == "its sources were changed since they were compiled; install it again"


def test_a_build_that_was_cut_off_is_not_used(here: Path) -> None:
    """The stamp is written last."""
    (here / "stamp").unlink()
    assert "no C compiler" in mode._why_not()


# --- two modes ------------------------------------------------------------------------------------


@compiled
def test_an_uncompiled_process_is_refused_by_a_compiled_queue(queue: MemoryStorage) -> None:
    """They would not see each other's lock. The error tells which lock it is and what to do."""
    done = _python("-c", f"from ipcq import MemoryStorage; MemoryStorage({queue.queue!r})")
    error = done.stderr.splitlines()[-1]
    assert "VersionMismatch" in error
    assert "a word of shared memory" in error
    assert "uncompiled (IPCQ_PURE is set)" in error
    assert "ipcq gc --force" in error
    queue.push(1)


@compiled
@pytest.mark.slow
def test_a_compiled_process_is_refused_by_an_uncompiled_queue() -> None:
    """Attached or not, its tasks are safe: with ``IPCQ_PURE=1`` they are run as if nothing had been."""
    assert not _python("-c", "from ipcq import MemoryStorage; MemoryStorage('old').push(7)").returncode
    with pytest.raises(VersionMismatch, match=r"byte lock of the kernel.*IPCQ_PURE=1.*ipcq gc --force"):
        MemoryStorage("old")
    done = _python(
        "-c",
        "from ipcq import MemoryStorage; queue = MemoryStorage('old');"
        "print(next(queue.poll(queue.register_worker('w'))).args)",
    )
    assert done.stdout == "7\n"


@pytest.mark.slow
@pytest.mark.parametrize("pure", [False, True])
def test_a_monitors_children_run_in_its_mode(tmp_path: Path, pure: bool) -> None:
    """Else they could not attach to the queue that it made."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    own = COMPILED and not pure
    assert _python(str(program), pure=pure).stdout == f"{own} {own}\n"
