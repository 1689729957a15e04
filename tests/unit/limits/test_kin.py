"""Ending a process with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ipcq.limits.kin import descendants, end_kin, resident_bytes_of

FAMILY = "sleep 60 & (sh -c 'sleep 60 & echo ready; sleep 60') & wait"


@pytest.fixture
def family() -> subprocess.Popen[str]:
    """A process with three generations below it."""
    process = subprocess.Popen(["sh", "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    until = time.monotonic() + 5
    while len(descendants(process.pid)) < 4 and time.monotonic() < until:
        time.sleep(0.001)
    process.stdout.close()
    return process


def test_all_generations_are_found(family: subprocess.Popen[str]) -> None:
    """Children, and theirs; not the process itself, nor what only ended."""
    found = descendants(family.pid)
    assert family.pid not in found
    assert len(found) >= 4
    assert found < descendants(os.getpid())
    end_kin(family.pid, itself=True)
    assert family.wait() == -signal.SIGKILL
    assert descendants(family.pid) == set()


def test_the_process_itself_may_stay(family: subprocess.Popen[str]) -> None:
    """Then it goes on without them."""
    end_kin(family.pid, itself=False)
    assert family.wait() >= 0


def test_a_family_that_grows_is_no_endless_loop() -> None:
    """What is found in each round is bounded, whatever else there is."""
    rounds = []

    def more(pid: int) -> set[int]:
        rounds.append(pid)
        return {1 << 22 | len(rounds)}  # beyond all process ids

    end_kin(1 << 30, itself=True, kin=more)
    assert 1 < len(rounds) < 100


def test_memory_of_a_process() -> None:
    """In bytes; 0 for one that is not there."""
    assert resident_bytes_of(os.getpid()) > 1_000_000
    assert resident_bytes_of(1 << 30) == 0
    assert sys.platform != "linux" or descendants(1 << 30) == set()
