"""The kit itself: what it runs, what it finds, what it says of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ipcq import TRANSITIONS, Backend, IllegalTransition, MemoryStorage, NotSupported, TaskNotFound
from ipcq.testing import Outcome, cases, check_backend
from ipcq.testing.capabilities import CALLS, PARTS, WITH
from ipcq.testing.columns import memory
from ipcq.testing.contract.transitions import MOVES
from ipcq.testing.expecting import Broken, eventually, expect_equal, expect_raises
from ipcq.testing.processes import Troupe
from ipcq.testing.scene import Scene
from ipcq.testing.stage import Stage

from .faults import FAULTS, Faulty

pytestmark = pytest.mark.one_fork_server


class Without(MemoryStorage):
    """Says that it cannot list tasks; ``honest`` tells whether it then refuses to."""

    honest = True

    def capabilities(self) -> frozenset[str]:
        return super().capabilities() - {"ListTasks", "Expose"}

    def list_tasks(self, *args: Any, **options: Any) -> Any:
        if self.honest:
            raise NotSupported("ListTasks", self)
        return super().list_tasks(*args, **options)


class Pretending(Without):
    honest = False


class LastInFirstOut(MemoryStorage):
    """Hands tasks out in the wrong order."""

    def push_bulk(self, iterable: Any, **options: Any) -> Any:
        return super().push_bulk(list(iterable)[::-1], **options)[::-1]


def _one(kind: type[MemoryStorage]) -> Backend:
    return kind("one", capacity=64)


def test_each_check_has_a_name_a_sentence_and_a_known_capability() -> None:
    """Names are unique, each sentence ends with a full stop, and each capability is known."""
    names = [check.name for check in cases()]
    assert len(set(names)) == len(names)
    assert [check.name for check in cases() if not check.sentence.endswith(".")] == []
    known = {*CALLS, *PARTS, *WITH, "Backend"}
    assert {check.capability for check in cases()} == known
    assert {name for check in cases() for name in check.uses} <= known


def test_every_legal_move_has_its_check() -> None:
    """The moves that the kit makes are those of the one table, in its order, and each is a check."""
    assert list(MOVES) == [(move.source, move.target, move.by) for move in TRANSITIONS]
    assert {check.run for check in cases()} >= set(MOVES.values())


def test_a_report_of_what_passed(private_directory: Path) -> None:
    """A report lists each check with its sentence, and has nothing to raise when all passed."""
    report = check_backend(
        memory(private_directory), only=["order.first_in_first_out", "paging.no_page_before_the_first"]
    )
    assert [result.outcome for result in report.results] == [Outcome.PASSED] * 2
    assert report.supported() == {"Backend", "ListTasks"}
    assert repr(report).startswith("<Report of MemoryStorage: 2 passed, 0 failed, 0 not supported, ")
    assert "passed: order.first_in_first_out [Backend] Tasks of one priority" in str(report)
    report.raise_for_failures()


def test_a_report_of_what_failed() -> None:
    """What failed is raised as an AssertionError that names the check, expected and actual values."""
    report = check_backend(lambda: _one(LastInFirstOut), only=["order.first_in_first_out"])
    assert report.supported() == frozenset()
    with pytest.raises(
        AssertionError, match=r"first_in_first_out .*expected \[0, 1, .*got \[19, 18"
    ) as caught:
        report.raise_for_failures()
    assert isinstance(caught.value.__cause__, Broken)


def test_what_is_refused_is_not_supported() -> None:
    """A capability that is not named must be refused by NotSupported, or the check fails."""
    refused = check_backend(lambda: _one(Without), only=["paging.without_a_filter"])
    assert [result.outcome for result in refused.results] == [Outcome.NOT_SUPPORTED]
    assert refused.supported() == frozenset()
    refused.raise_for_failures()
    pretended = check_backend(lambda: _one(Pretending), only=["paging.without_a_filter"])
    assert [result.outcome for result in pretended.results] == [Outcome.FAILED]
    assert "expected NotSupported" in pretended.results[0].reason


def test_what_cannot_be_seen_is_not_supported() -> None:
    """A check that needs another capability to look says which."""
    report = check_backend(lambda: _one(Without), only=["sink.a_status_is_refused"])
    assert report.results[0].outcome is Outcome.NOT_SUPPORTED
    assert report.results[0].reason == "it cannot be seen without ListTasks"


def test_an_unknown_name_is_refused(private_directory: Path) -> None:
    """What names no check, file or capability is a ValueError before anything is opened."""
    with pytest.raises(ValueError, match="no check, file of checks or capability is named first_in"):
        check_backend(memory(private_directory), only=["first_in"])


def test_a_queue_that_is_too_large_to_fill() -> None:
    """A factory whose queue is too large to be filled is told what to do."""
    with (
        Troupe() as troupe,
        Scene(lambda: MemoryStorage("large"), troupe) as scene,
        pytest.raises(Broken, match=r"holds 65536 tasks.* with a capacity of 64 to 4096"),
    ):
        scene.capacity()


# --- processes ------------------------------------------------------------------------------------


def _fail(_stage: Stage, kind: str) -> None:
    if kind == "illegal":
        raise IllegalTransition(1, 2)
    raise TaskNotFound("there is none")


def _sleep(_stage: Stage) -> None:
    signal.pause()


def _pid(_stage: Stage) -> int:
    return os.getpid()


def test_an_error_elsewhere_is_raised_here() -> None:
    """What an act raises in another process is raised here by its class, with the remote traceback."""
    backend: Any = _one(MemoryStorage)
    with backend, Troupe() as troupe:
        actor = troupe.actor(backend)
        with pytest.raises(TaskNotFound, match="there is none") as caught:
            actor.do(_fail, "not found")
        assert "in _fail" in str(caught.value.__cause__)
        with pytest.raises(IllegalTransition, match="from 1 to 2"):
            actor.do(_fail, "illegal")


def test_actors_are_used_again() -> None:
    """A process that outlives a scene plays in the next one; one that was killed is replaced."""
    backend: Any = _one(MemoryStorage)
    with backend, Troupe() as troupe:
        first = troupe.actor(backend)
        assert first.do(_pid) == first.pid
        troupe.end_scene()
        again = troupe.actor(backend)
        assert again.pid == first.pid
        again.kill()
        troupe.end_scene()
        assert troupe.actor(backend).pid != first.pid


def test_a_process_that_hangs_is_killed() -> None:
    """A process in the middle of a call is killed at the end, and a call to a dead one says so."""
    backend: Any = _one(MemoryStorage)
    with backend, Troupe() as troupe:
        actor = troupe.actor(backend)
        actor.begin(_sleep)
        assert actor.busy_for(0.05)
        os.kill(actor.pid, signal.SIGKILL)
        with pytest.raises(Broken, match=f"process {actor.pid} ended in the middle of a call"):
            actor.answer()
        stuck = troupe.actor(backend)
        stuck.begin(_sleep)
    assert not stuck.alive


# --- expecting ------------------------------------------------------------------------------------


def test_expectations_say_what_was_expected() -> None:
    """Each expectation that does not hold tells both sides in its message."""
    with pytest.raises(Broken, match="the answer: expected 42, got 41"):
        expect_equal(41, 42, "the answer")
    with pytest.raises(Broken, match="expected KeyError, got the answer 3"):
        expect_raises(KeyError, lambda: 3)
    with pytest.raises(Broken, match="expected KeyError or TypeError, got ValueError"):
        expect_raises((KeyError, TypeError), int, "x")
    with pytest.raises(Broken, match=r"a wonder: not within 0\.01 s"):
        eventually(lambda: False, "a wonder", 0.01)
    assert eventually(time.monotonic, "time") > 0


# --- what it finds --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "check"), FAULTS.items(), ids=lambda each: getattr(each, "__name__", each))
def test_a_fault_is_found(fault: type[Faulty], check: str) -> None:
    """A backend that does one thing wrong fails the check about that thing."""
    report = check_backend(lambda: fault("faulty", capacity=64), only=[check])
    assert [result.outcome for result in report.results] == [Outcome.FAILED]
    assert isinstance(report.results[0].error, Broken), str(report)
