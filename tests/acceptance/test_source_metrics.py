"""The main job on real input: the standard library, with a worker killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from examples.source_metrics import SUMS, measure
from ipcq import MemoryStorage

from .command import end, eventually, start

LIBRARY = Path(sysconfig.get_path("stdlib"))
ALL = ["*.py", "[!s]*/**/*.py", "s[!i]*/**/*.py"]  # all but site-packages, as in the README
FUNCTION = "examples.source_metrics:measure"


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(["json/*.py", "lib2to3/tests/data/*.py"], id="part", marks=pytest.mark.slow),
        pytest.param(ALL, id="whole", marks=pytest.mark.slow),
    ],
)
def test_a_killed_worker_changes_no_figure(patterns: list[str], private_directory: Path) -> None:
    """The command's totals are those of a plain loop, though a worker was killed while it measured."""
    globs = [word for pattern in patterns for word in ("--glob", f"{LIBRARY}/{pattern}")]
    process = start("map", FUNCTION, "-n", "2", *globs)
    try:
        killed = _kill_one_that_works(private_directory)
    finally:
        ended = end(process)

    found = {line["item"]: line["value"] for line in ended.lines}
    expected = {path: _as_json(measure(path)) for path in found}
    paths = {str(path) for pattern in patterns for path in LIBRARY.glob(pattern) if path.is_file()}
    assert set(found) == paths
    assert _totals(found) == _totals(expected)
    assert found == expected
    assert ended.status == 0
    print(f"\n{len(found)} modules, worker {killed} killed, totals {_totals(found)}")


def _kill_one_that_works(directory: Path) -> int:
    """Kill a worker that runs a task."""
    eventually(lambda: list(directory.glob("map-*/ctl.*")))
    (name,) = os.listdir(directory)
    with MemoryStorage(name, create=False) as queue:
        while True:
            for worker in queue.list_workers():
                if worker.running:
                    os.kill(worker.pid, signal.SIGKILL)
                    return worker.pid


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _totals(found: dict[str, Any]) -> dict[str, int]:
    return {name: sum(figures.get(name, 0) for figures in found.values()) for name in (*SUMS, "complexity")}
