"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ipcq import TRANSITIONS, Status, errors
from ipcq.testing import cases

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONCEPTS = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
GUARANTEES = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = [
    pytest.param(
        code, id=f"{page.name}-{number}", marks=[] if page.name == "README.md" else [pytest.mark.slow]
    )
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    )
    if "__main__" in code and ").run()" not in code  # a service runs until it is stopped
]


def test_the_table_of_transitions_is_the_table() -> None:
    """docs/concepts.md shows every legal move, in the table's order, and no other."""
    shown = CONCEPTS.partition("<!-- transitions -->")[2].partition("<!-- /transitions -->")[0]
    rows = [f"| {_name(move.source)} | {move.target.name} | {move.by} |" for move in TRANSITIONS]

    assert shown.strip().splitlines() == ["| from | to | by |", "| --- | --- | --- |", *rows]


def _name(status: Status | None) -> str:
    return "(new)" if status is None else status.name


def test_every_error_has_its_advice() -> None:
    """docs/troubleshooting.md has a heading or a row for each public error."""
    known = re.findall(r"^(?:### |\| )`(\w+)`", TROUBLESHOOTING, re.M)
    assert [name for name in errors.__all__ if name not in known] == []


def _missing(pattern: str, base: Callable[[Path], Path]) -> list[str]:
    """What pages name that is not there."""
    return [
        f"{page.name}: {name}"
        for page in PAGES
        for name in re.findall(pattern, page.read_text(encoding="utf-8"))
        if not (base(page) / name).exists()
    ]


def test_links_lead_somewhere() -> None:
    """A relative link names a file of the repository."""
    assert _missing(r"\]\(([^)#:]+)\)", lambda page: page.parent) == []


def test_named_files_exist() -> None:
    """A path of the package, the tests or the examples in a page is a path of the repository."""
    assert _missing(r"`((?:ipcq|tests|docs|examples|benchmarks)/[\w./-]*)`", lambda page: ROOT) == []


def test_named_checks_are_checks_of_the_contract() -> None:
    """Each promise of docs/guarantees.md names what proves it, and the checks that it names exist."""
    rows = re.findall(r"^\| \d+ \|.*\| (.*) \|$", GUARANTEES, re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+\.\w+)`", row)}

    assert len(rows) == 25
    assert [row for row in rows if "`" not in row] == []
    assert named - {check.name for check in cases()} == set()


@pytest.mark.parametrize("code", PROGRAMS)
def test_programs_run_as_they_are(code: str, tmp_path: Path) -> None:
    """A whole program in a page, saved as a file, runs and ends with status 0."""
    script = tmp_path / "program.py"
    script.write_text(code, encoding="utf-8")

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, "")
    expected = [line.partition("# prints ")[2] for line in code.splitlines() if "# prints " in line]
    assert [line for line in expected if line not in done.stdout] == []


def test_the_readme_has_both_commands_on_one_line_each() -> None:
    """One line installs and runs the main job, one line installs and runs the tests."""
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv && ")]

    assert len(lines) == 2
    assert " .venv/bin/ipcq map examples.source_metrics:measure --glob " in lines[0]
    assert lines[1].endswith(" .venv/bin/pytest -q")
