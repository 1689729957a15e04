from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipcq.backends import liveness
from ipcq.backends.liveness import Identity, kill_process, own_identity, resident_bytes
from ipcq.backends.lockfile import PARTICIPANT, LockFile, open_lock_file
from ipcq.backends.memory.layout import P_BOOT, P_PID, P_PIDNS, P_START, PART_WORDS, PARTS_AT
from ipcq.backends.memory.liveness import is_dead, is_gone

from .children import Line, child

ROW = 2
HERE = own_identity()


@pytest.fixture
def lock(private_directory: Path) -> Iterator[LockFile]:
    """An open lock file."""
    lock = open_lock_file(str(private_directory / "lock"))
    yield lock
    lock.release()


def _words(identity: Identity) -> list[int]:
    words = [0] * (PARTS_AT + (ROW + 1) * PART_WORDS)
    at = PARTS_AT + ROW * PART_WORDS
    words[at + P_PID], words[at + P_PIDNS] = identity.pid, identity.pidns
    words[at + P_START], words[at + P_BOOT] = identity.start, identity.boot
    return words


def _introduce(line: Line) -> None:
    line.say(",".join(map(str, own_identity())))
    line.hear()


def _identity(text: str) -> Identity:
    return Identity(*map(int, text.split(",")))


def test_this_process_lives() -> None:
    """A process finds itself alive."""
    assert not is_gone(_words(HERE), ROW)


def test_another_process_lives_until_it_is_reaped_and_even_before() -> None:
    """A child is alive, also while stopped; once killed it is gone."""
    with child(_introduce) as process:
        words = _words(_identity(process.hear()))
        assert not is_gone(words, ROW)
        process.stop()
        assert not is_gone(words, ROW)
        process.kill()
        assert is_gone(words, ROW)


def test_a_zombie_is_gone() -> None:
    """A process that ended and was not waited for runs nothing any more."""
    with child(_introduce) as process:
        words = _words(_identity(process.hear()))
        process.say()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(words, ROW)


def test_a_reused_pid_is_somebody_else() -> None:
    """The same pid with another start time is not the process that was meant."""
    assert is_gone(_words(HERE._replace(start=HERE.start + 1)), ROW)


def test_a_pid_of_another_namespace_means_nothing() -> None:
    """There only the byte lock decides."""
    assert is_gone(_words(HERE._replace(pidns=HERE.pidns + 1)), ROW)


def test_nobody_survives_a_boot() -> None:
    """A row of an earlier boot is gone, whoever has its pid and start time now."""
    assert is_gone(_words(HERE._replace(boot=HERE.boot + 1)), ROW)


def test_garbage_in_a_row_is_nobody() -> None:
    """A pid that cannot be is gone, not an error."""
    for pid in (0, 2**31, 2**64 - 1):
        assert is_gone(_words(HERE._replace(pid=pid)), ROW)


@pytest.mark.parametrize("error", [PermissionError, OSError])
def test_what_cannot_be_found_out_counts_as_alive(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable /proc makes nobody lose its tasks."""

    def unreadable(pid: int) -> tuple[int, str]:
        raise error

    monkeypatch.setattr(liveness, "_start_and_state", unreadable)
    assert not is_gone(_words(HERE), ROW)


def test_a_strange_command_name_is_read_over() -> None:
    """A name with spaces, parentheses and a state letter in it does not shift the fields."""

    def work(line: Line) -> None:
        Path("/proc/self/comm").write_text("x) Z 1 (", encoding="ascii")
        _introduce(line)

    with child(work) as process:
        assert not is_gone(_words(_identity(process.hear())), ROW)


# --- killing --------------------------------------------------------------------------------------


def test_the_process_that_is_meant_is_killed() -> None:
    """An identity that lives is killed, once."""
    with child(_introduce) as process:
        identity = _identity(process.hear())
        assert kill_process(identity)
        assert process.join() == -signal.SIGKILL
        assert not kill_process(identity)


@pytest.mark.parametrize("other", ["start", "pidns", "boot"])
def test_nobody_else_is_killed(other: str) -> None:
    """A pid alone is no reason: its start, its namespace and its boot must be the ones that were meant."""
    with child(_introduce) as process:
        identity = _identity(process.hear())
        assert not kill_process(identity._replace(**{other: getattr(identity, other) + 1}))
        process.say()
        assert process.join() == 0


# --- both halves ----------------------------------------------------------------------------------


def _holding(lock: LockFile) -> Callable[[Line], None]:
    def work(line: Line) -> None:
        own = open_lock_file(lock.path)
        own.take(PARTICIPANT + ROW)
        _introduce(line)

    return work


def test_who_has_its_byte_is_not_dead(lock: LockFile) -> None:
    """Whatever its row says: in another pid namespace the byte is all there is."""
    with child(_holding(lock)) as process:
        identity = _identity(process.hear())
        for row in (identity, identity._replace(start=0), identity._replace(pidns=1)):
            assert not is_dead(_words(row), lock, ROW)
        process.kill()
        assert is_dead(_words(identity), lock, ROW)


def test_who_lost_its_byte_and_lives_is_not_dead(lock: LockFile) -> None:
    """Foreign code in a process may drop its locks; pid and start time speak for it."""
    assert not lock.is_held(PARTICIPANT + ROW)
    assert not is_dead(_words(HERE), lock, ROW)


def test_resident_memory_is_measured() -> None:
    """It is in bytes, and more than an interpreter's least."""
    assert 1 << 20 < resident_bytes() < 1 << 40


def test_resident_memory_that_cannot_be_read_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /proc the answer is 0."""

    def sysconf(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert resident_bytes() == 0


# --- without /proc --------------------------------------------------------------------------------


def test_without_proc_psutil_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without /proc start time and state come from psutil."""
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    here = own_identity()
    assert here.start > 0
    assert not is_gone(_words(here), ROW)
    with child(lambda line: line.hear()) as process:
        process.kill()
        assert is_gone(_words(here._replace(pid=process.pid)), ROW)
