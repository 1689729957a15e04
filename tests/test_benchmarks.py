"""The benchmarks run, whatever they find; and what they find gets into its page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs/performance.md"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "main(__doc__" in path.read_text("utf-8"))


def _run(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_runs(name: str) -> None:
    """With the tiniest counts it tells the machine, a table with our row, and leaves nothing behind."""
    shown = _run(name, "--quick").splitlines()
    assert shown[0].startswith("Python: ")
    assert any(line.startswith("| ipcq ") for line in shown)


@pytest.mark.slow
def test_what_was_measured_gets_into_the_page(tmp_path: Path) -> None:
    """Tables, machine, bars and losses stand between their marks; all else stays; twice is as once."""
    page, results = tmp_path / "performance.md", tmp_path / "results"
    shutil.copy(PAGE, page)
    results.mkdir()
    _run("importing", "--quick", "--json", results / "importing.json")

    _run("report", results, "--page", page)
    once = page.read_text("utf-8")
    _run("report", results, "--page", page)

    assert page.read_text("utf-8") == once
    assert (
        f"- Python: {json.loads((results / 'importing.json').read_text('utf-8'))['machine']['Python']}"
        in once
    )
    assert "| Import | ipcq / concurrent.futures.process |" in once
    assert "| concurrent.futures.process " in once.partition("<!-- importing -->")[2]
    assert _outside(once) == _outside(PAGE.read_text("utf-8"))


def test_every_benchmark_has_its_place() -> None:
    """In the run of all, in the page and in the directory's README."""
    page, readme = PAGE.read_text("utf-8"), (BENCHMARKS / "README.md").read_text("utf-8")
    listed = (BENCHMARKS / "all.py").read_text("utf-8")
    for name in NAMES:
        assert f"<!-- {name} -->\n" in page
        assert f"| `{name}.py` |" in readme
        assert f'"{name}"' in listed


def _outside(page: str) -> list[str]:
    """The page without what stands between marks."""
    kept, inside = [], False
    for line in page.splitlines():
        inside = inside and not line.startswith("<!-- /")
        kept += [] if inside else [line]
        inside = inside or (line.startswith("<!-- ") and not line.startswith("<!-- /"))
    return kept
