"""What needs a view that sees every store, in a process of its own: uncompiled beside a compiled run."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from ipcq.backends.memory import COMPILED

PART = [["tests/crash/test_images.py", "-k", "push"]]
HALVES = [  # of the time, side by side
    ["tests/crash/test_images.py"],
    [
        "tests/crash/test_named_points.py",
        "tests/crash/test_progress.py",
        "tests/properties/test_machine.py",
        "tests/unit/memory/test_bits.py",
    ],
]


LONG = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.skipif(not COMPILED, reason="this run is uncompiled already")
@pytest.mark.parametrize(
    ("marks", "parts"),
    [
        pytest.param("not slow", PART, id="short"),
        pytest.param("slow or not slow", HALVES, id="long", marks=LONG),
    ],
)
def test_every_store_is_seen_uncompiled(marks: str, parts: list[list[str]]) -> None:
    """Crash images, kills at named stores, and kills inside random histories: the same sources, as Python."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks]
    environment = {**os.environ, "IPCQ_PURE": "1", "IPCQ_REQUIRE_COMPILED": "0"}
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, *part],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            for part in parts
        ]
        told = [run.communicate()[0] for run in runs]
    assert {run.returncode for run in runs} == {0}, "\n".join(told)
