"""Turns and permits of one host."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ipcq import MemoryStorage, QueueClosed, StorageError
from ipcq.backend import ShareLimits
from ipcq.backends.turnstile import HeldPermit, Turnstile
from ipcq.layers.own import OwnLimits
from ipcq.testing import FakeClock

from .memory.children import Line, child


@pytest.fixture
def turnstile(tmp_path: Path) -> Turnstile:
    """One of a directory."""
    return Turnstile(f"{tmp_path}/limit.")


def _take(turnstile: Turnstile, limit: int = 1, name: str = "a") -> HeldPermit:
    permit = turnstile.take_permit(name, limit)
    assert permit is not None
    return permit


# --- turns ----------------------------------------------------------------------------------------


def test_turns_of_two_handles(tmp_path: Path) -> None:
    """A burst at once, then one after the other; what is near is given out ahead."""
    clock = FakeClock(100)
    one, other = (Turnstile(f"{tmp_path}/", clock) for _ in range(2))
    assert [each.take_turn("a", 2, 2) for each in (one, other)] == [(True, 0), (True, 0)]
    assert _told(one) == (False, 0.45)
    clock.advance(0.46)
    assert _told(other) == (True, 0.04)
    assert _told(one) == (False, 0.49)
    assert one.take_turn("b", 2, 2) == (True, 0)


def _told(turnstile: Turnstile) -> tuple[bool, float]:
    taken, wait = turnstile.take_turn("a", 2, 2)
    return taken, round(wait, 6)


def test_nobody_waits_for_who_takes_a_turn(turnstile: Turnstile, tmp_path: Path) -> None:
    """The holder of the lock may be stopped, or another thread."""
    turnstile.take_turn("a", 1e9, 1)

    def work(line: Line) -> None:
        with open(tmp_path / "limit.a", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
            line.say("locked")
            line.hear()

    with child(work) as other:
        other.hear()
        turn = turnstile.take_turn("a", 1e9, 1)
        assert not turn.taken
        assert 0 < turn.wait < 0.01
        other.kill()
    assert turnstile.take_turn("a", 1e9, 1).taken


def test_who_dies_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    """And keeps nobody from it: the kernel frees the lock."""
    code = "import os, sys; from ipcq.backends.turnstile import Turnstile\n"
    code += "Turnstile(sys.argv[1], lambda: os.kill(os.getpid(), 9)).take_turn('a', 1, 1)"
    done = subprocess.run([sys.executable, "-c", code, f"{tmp_path}/limit."], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert Turnstile(f"{tmp_path}/limit.").take_turn("a", 0.001, 1) == (True, 0)


@pytest.mark.parametrize("garbage", [b"\xff" * 32, b"\x7f" * 32, b"\x80", b"\0" * 99, b"text" * 7])
def test_garbage_keeps_nobody_waiting(turnstile: Turnstile, tmp_path: Path, garbage: bytes) -> None:
    """Whatever is in the file, there is a turn soon."""
    (tmp_path / "limit.a").write_bytes(garbage)
    turn = turnstile.take_turn("a", 1, 1)
    assert turn.taken
    assert turn.wait <= 0.05
    _take(turnstile).release()


# --- permits --------------------------------------------------------------------------------------


def test_as_many_as_the_limit(turnstile: Turnstile) -> None:
    """Each can be given back, once; its repr tells which it is."""
    permits = [_take(turnstile, 3) for _ in range(3)]
    assert turnstile.take_permit("a", 3) is None
    assert repr(permits[1]).startswith("<HeldPermit 1 of /")
    permits[1].release()
    permits[1].release()
    assert repr(permits[1]) == "<HeldPermit given back>"
    with _take(turnstile, 3):
        assert turnstile.take_permit("a", 3) is None
    for permit in permits:
        permit.release()
    _take(turnstile).release()


def test_threads_count_against_each_other(turnstile: Turnstile) -> None:
    """Of eight that want one of two permits at the same moment two get one."""
    start, got = threading.Barrier(8), list[HeldPermit]()

    def want() -> None:
        start.wait()
        permit = turnstile.take_permit("a", 2)
        if permit is not None:
            got.append(permit)

    for _ in range(20):
        threads = [threading.Thread(target=want) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 2
        while got:
            got.pop().release()


def test_a_killed_process_frees_its_permit(turnstile: Turnstile) -> None:
    """At once, with no housekeeping of anybody."""

    def work(line: Line) -> None:
        _take(turnstile)
        line.say("taken")
        line.hear()

    with child(work) as holder:
        holder.hear()
        assert turnstile.take_permit("a", 1) is None
        holder.kill()
        _take(turnstile).release()


def test_a_forked_child_has_no_part_in_it(turnstile: Turnstile) -> None:
    """What it does with a permit of its parent changes nothing; with one of its own it is as any other."""
    permit = _take(turnstile, 2)

    def work(line: Line) -> None:
        permit.release()
        mine = _take(turnstile, 2)
        line.say(str(turnstile.take_permit("a", 2)))
        line.hear()
        mine.release()

    with child(work) as other:
        assert other.hear() == "None"
        assert turnstile.take_permit("a", 2) is None
        permit.release()
        _take(turnstile, 2).release()
        other.say("end")
        other.join()


def test_one_more_than_the_file_that_was_removed(turnstile: Turnstile, tmp_path: Path) -> None:
    """A permit of a file that is gone counts no more, and is given back without an error."""
    permit = _take(turnstile)
    os.unlink(tmp_path / "limit.a")
    other = _take(turnstile)
    assert turnstile.take_permit("a", 1) is None
    permit.release()
    other.release()


def test_a_file_that_is_removed_while_it_is_opened(
    turnstile: Turnstile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is made: nobody has a permit of a file that others do not find."""
    from ipcq.backends.lockfile import LockFile

    take, removed = LockFile.take, list[str]()

    def removing(self: LockFile, byte: int, owned: set[int] | None = None) -> bool:
        if not removed:
            removed.append(self.path)
            os.unlink(self.path)
        return take(self, byte, owned)

    monkeypatch.setattr(LockFile, "take", removing)
    permit = _take(turnstile)
    assert removed == [str(tmp_path / "limit.a")]
    assert turnstile.take_permit("a", 1) is None
    permit.release()


@pytest.fixture(params=["host", "process"])
def limits(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ShareLimits, FakeClock]:
    """Of this host, and of this process: both have the same line."""
    clock = FakeClock(100)
    return (OwnLimits(clock) if request.param == "process" else _Host(tmp_path, clock)), clock


class _Host(Turnstile):
    def __init__(self, directory: Path, clock: FakeClock) -> None:
        super().__init__(f"{directory}/", clock)


def test_who_waited_for_long_goes_first(limits: tuple[ShareLimits, FakeClock]) -> None:
    """Those who came later stay behind, until he has a permit, or does not look any more."""
    shared, clock = limits
    held = shared.take_permit("a", 1)
    assert held is not None
    assert shared.take_permit("a", 1, waited=0.9) is None
    held.release()
    held = shared.take_permit("a", 1)  # nobody is in line yet
    assert held is not None
    assert shared.take_permit("a", 1, waited=5.0) is None
    assert shared.take_permit("a", 1, waited=3.0) is None
    held.release()
    clock.advance(0.1)
    assert shared.take_permit("a", 1) is None
    assert shared.take_permit("a", 1, waited=3.1) is None
    held = shared.take_permit("a", 1, waited=5.1)
    assert held is not None
    assert shared.take_permit("a", 1, waited=3.2) is None
    held.release()
    clock.advance(0.2)  # who came next is dead, or stopped
    held = shared.take_permit("a", 1)
    assert held is not None
    held.release()


# --- places ---------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StorageError, match=r"cannot use .*limit\.a"):
        Turnstile(f"{tmp_path}/none/limit.").take_permit("a", 1)
    with pytest.raises(StorageError, match=r"cannot use .*limit\.a"):
        Turnstile(f"{tmp_path}/none/limit.").take_turn("a", 1, 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
def test_no_room_is_no_permit_yet(turnstile: Turnstile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks again."""

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("ipcq.backends.turnstile.open_lock_file", full)
    assert turnstile.take_permit("a", 1) is None
    assert not turnstile.take_turn("a", 1, 1).taken


def test_they_go_with_their_queue(queue: MemoryStorage, private_directory: Path) -> None:
    """Destroying the queue leaves nothing of them; who has a permit goes on."""
    assert queue.take_turn("a", 1).taken
    permit = queue.take_permit("b", 1)
    assert permit is not None
    other = MemoryStorage(str(queue.queue))
    queue.destroy(force=True)
    assert not (private_directory / str(queue.queue)).exists()
    with pytest.raises(QueueClosed):
        other.take_turn("a", 1)
    with pytest.raises(QueueClosed):
        other.take_permit("b", 1)
    other.close()
    permit.release()
