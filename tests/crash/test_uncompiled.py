"""What needs a view that sees every store, in a process of its own: uncompiled beside a compiled run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ipcq.backends.memory import COMPILED

TESTS = [
    "tests/crash/test_images.py",
    "tests/crash/test_named_points.py",
    "tests/properties/test_machine.py",
    "tests/unit/memory/test_bits.py",
]


@pytest.mark.skipif(not COMPILED, reason="this run is uncompiled already")
@pytest.mark.parametrize(
    "marks",
    [
        "not slow",
        pytest.param("slow", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_every_store_is_seen_uncompiled(marks: str) -> None:
    """Crash images, kills at named stores, and kills inside random histories: the same sources, as Python."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks, *TESTS]
    environment = {**os.environ, "IPCQ_PURE": "1", "IPCQ_REQUIRE_COMPILED": "0"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
