"""Runs the contract against a backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ..backend import Backend
from .capabilities import WITH, check_refusal
from .check import Check
from .contract import CHECKS
from .processes import Troupe
from .report import CheckResult, Outcome, Report
from .scene import CannotShow, Scene

__all__ = ["cases", "check_backend"]


def cases(*, slow: bool | None = None) -> list[Check]:
    """All checks of the contract, to parametrize a test with.

    Args:
        slow: only those that take about a second or more by their nature, or only the others.
    """
    return [check for check in CHECKS if slow is None or check.slow is slow]


def check_backend(factory: Callable[[], Backend], *, only: Iterable[str | Check] | None = None) -> Report:
    """Run the contract against a backend, with two and more processes.

    Args:
        factory: makes a new backend on a queue that is empty and nobody else's. The backend can be pickled
            and opens the same queue where it is unpickled. Its capacity should be 64 to 4096: some checks
            fill it. Each check has one of its own, and closes it; what outlives that is yours to remove.
        only: checks, names of checks (``leases.late_completion``), of their files (``leases``), or of
            capabilities (``Cancel``); None for all.

    Returns:
        How each check ended; `Report.raise_for_failures` for a test.

    Raises:
        ValueError: ``only`` names something that is not there.
    """
    wanted = _chosen(only)
    with Troupe() as troupe:
        results = tuple(_result(check, factory, troupe) for check in wanted)
    return Report(_name_of(factory), results)


def _chosen(only: Iterable[str | Check] | None) -> list[Check]:
    if only is None:
        return list(CHECKS)
    names = {str(each) for each in only}
    known = {name for check in CHECKS for name in _names(check)}
    if names - known:
        raise ValueError(
            f"no check, file of checks or capability is named {', '.join(sorted(names - known))}"
        )
    return [check for check in CHECKS if names & _names(check)]


def _names(check: Check) -> set[str]:
    return {check.name, check.name.partition(".")[0], check.capability}


def _name_of(factory: Callable[[], Backend]) -> str:
    backend = factory()
    try:
        return type(backend).__name__
    finally:
        backend.close()


def _result(check: Check, factory: Callable[[], Backend], troupe: Troupe) -> CheckResult:
    started = time.monotonic()
    error: BaseException | None = None
    try:
        with Scene(factory, troupe) as scene:
            outcome, reason = _play(check, scene)
    except Exception as caught:
        error = caught
        outcome, reason = Outcome.FAILED, f"{type(caught).__name__}: {caught}"
    seconds = time.monotonic() - started
    return CheckResult(check.name, check.capability, check.sentence, outcome, reason, seconds, error)


def _play(check: Check, scene: Scene) -> tuple[Outcome, str]:
    has = scene.backend.capabilities()
    if WITH.get(check.capability, check.capability) not in has:
        check_refusal(scene.backend, check.capability)
        return Outcome.NOT_SUPPORTED, "its capabilities() do not name it"
    if check.uses - has:
        return Outcome.NOT_SUPPORTED, f"it cannot be seen without {', '.join(sorted(check.uses - has))}"
    try:
        check.run(scene)
    except CannotShow as nothing:
        return Outcome.NOT_SUPPORTED, str(nothing)
    return Outcome.PASSED, ""
