"""One check of the contract: a function, the sentence that it proves, and the capability that this is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import getdoc

from .scene import Scene

__all__ = ["BASE", "Check", "proves"]

BASE = frozenset({"Backend", "RegisterWorker", "TaskSink"})
"""What nearly every check uses: tasks go in, a worker takes them."""

Run = Callable[[Scene], None]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        run: raises where the backend does not do what the sentence says.
        capability: the Protocol, or the row of the capability table, that it is about.
        uses: capabilities without which it cannot look.
        slow: takes about a second by its nature, or more.
    """

    run: Run
    capability: str
    uses: frozenset[str] = BASE
    slow: bool = False

    @property
    def name(self) -> str:
        """File and function, as in ``leases.late_completion``."""
        return f"{self.run.__module__.rpartition('.')[2]}.{self.run.__name__}"

    @property
    def sentence(self) -> str:
        """The behaviour, in one sentence."""
        return " ".join((getdoc(self.run) or "").split())

    def __str__(self) -> str:
        return self.name


def proves(
    capability: str, *functions: Run, uses: Iterable[str] = (), base: bool = True, slow: bool = False
) -> list[Check]:
    """Checks of one capability.

    Args:
        uses: capabilities that they need beside the one they prove.
        base: whether they need what nearly every check does (`BASE`), too.
    """
    needed = frozenset(uses) | (BASE if base else frozenset())
    return [Check(function, capability, needed, slow) for function in functions]
