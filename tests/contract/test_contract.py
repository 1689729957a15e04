"""One list of backends, one list of checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipcq.testing import Check, cases, check_backend

from .backends import BOUND, awaits

pytestmark = pytest.mark.one_fork_server  # its processes are handed the queues that they open


def _first_of_each(backend: str) -> list[Check]:
    found: dict[str, Check] = {}
    for check in cases(slow=False):
        if not awaits(backend, check):
            found.setdefault(check.capability, check)
    return list(found.values())


@pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=[pytest.mark.slow] if "by tcp" in name else []) for name in BOUND],
)
def test_one_check_of_each_capability(backend: str, private_directory: Path) -> None:
    """A backend passes the first check of each capability; all of them take too long for each run."""
    check_backend(BOUND[backend](private_directory), only=_first_of_each(backend)).raise_for_failures()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "check"),
    [
        pytest.param(backend, check, id=f"{backend}-{check}")
        for backend in BOUND
        for check in cases()
        if not awaits(backend, check)
    ],
)
def test_contract(backend: str, check: Check, private_directory: Path) -> None:
    """A backend does what the check says, or refuses a capability that it does not name."""
    check_backend(BOUND[backend](private_directory), only=[check]).raise_for_failures()
