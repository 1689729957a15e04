"""Compiled or not, the same history leaves the same memory, and damage is met in the same way."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ipcq.backends.memory import COMPILED
from tests.properties.history import agree, damaged

HISTORIES = [60, pytest.param(5000, marks=pytest.mark.slow, id="long")]


@pytest.mark.skipif(not COMPILED, reason="needs both modes")
@pytest.mark.parametrize("count", HISTORIES)
def test_both_modes_agree(count: int) -> None:
    """After each random history every word of memory and every answer is the same."""
    command = [sys.executable, "-m", "tests.properties.history", "agree", "0", str(count)]
    environment = {**os.environ, "IPCQ_PURE": "1", "IPCQ_REQUIRE_COMPILED": "0"}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert [f"{seed} {agree(seed)}" for seed in range(count)] == told.splitlines()


@pytest.mark.parametrize("count", HISTORIES)
def test_damage_is_an_error_or_repaired(count: int) -> None:
    """Whatever word is overwritten: no crash, no endless walk, and a rebuild makes the queue whole (I13)."""
    for seed in range(count):
        damaged(seed)
