"""What a run of the contract found out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from .expecting import Broken

__all__ = ["CheckResult", "Outcome", "Report"]


class Outcome(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SUPPORTED = "not supported"
    """The backend does not claim the capability, and says so when it is called."""


@dataclass(frozen=True)
class CheckResult:
    """How one check ended.

    Attributes:
        name: of the check, ``file.function``.
        capability: what it proves.
        sentence: the behaviour that it looks at.
        outcome: how it ended.
        reason: why it did not pass; empty where it did.
        seconds: how long it took.
        error: what it raised, with its traceback.
    """

    name: str
    capability: str
    sentence: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    error: BaseException | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        told = f" ({self.reason})" if self.reason else ""
        return f"{self.outcome.value}: {self.name} [{self.capability}] {self.sentence}{told}"


@dataclass(frozen=True, repr=False)
class Report:
    """How all checks of a backend ended.

    Attributes:
        backend: its class name.
        results: of each check, in their order.
    """

    backend: str
    results: tuple[CheckResult, ...]

    def __repr__(self) -> str:
        counts = Counter(result.outcome for result in self.results)
        shown = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)
        return f"<Report of {self.backend}: {shown}, {sum(r.seconds for r in self.results):.1f} s>"

    def __str__(self) -> str:
        return "\n".join([repr(self), *(f"  {result}" for result in self.results)])

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Those that failed."""
        return tuple(result for result in self.results if result.outcome is Outcome.FAILED)

    def supported(self) -> frozenset[str]:
        """Capabilities of which at least one check passed, and none failed."""
        passed = {result.capability for result in self.results if result.outcome is Outcome.PASSED}
        return frozenset(passed - {result.capability for result in self.failures})

    def raise_for_failures(self) -> None:
        """Raise an ``AssertionError`` that lists what failed, if anything did; its cause is the first one."""
        if self.failures:
            lines = [repr(self), *(f"  {failure}" for failure in self.failures)]
            raise Broken("\n".join(lines)) from self.failures[0].error
