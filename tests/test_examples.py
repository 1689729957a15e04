"""Each example, as a user runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import psutil
import pytest

from examples import pipeline
from examples.source_metrics import measure

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("[!_]*.py"))

SOURCE = '''\
"""Two functions."""

# alone
def first(x):  # beside code
    if x and x > 1:
        for y in [z for z in range(x) if z]:
            print(y)
    elif x is None:
        return 0

    return (lambda: 1 if x else 2)()
'''

_BAD = {
    "syntax.py": b"print 'old'\n",
    "encoding.py": b"# -*- coding: nothing-known -*-\n",
    "bytes.py": b"name = '\xff'\n",
    "null.py": b"a = 1\0\n",
    "open.py": b"(\n",
    "deep.py": b"(" * 5000 + b")" * 5000,
}


def _run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A directory with a module, one in Latin-1, and what is no Python."""
    (tmp_path / "good.py").write_text(SOURCE, "utf-8")
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    for name, data in _BAD.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_every_example_has_its_test() -> None:
    """A new example comes with a line here that runs it."""
    assert [name for name in EXAMPLES if f"test_{name}" not in globals()] == []


@pytest.mark.slow
def test_source_metrics(sources: Path, private_directory: Path) -> None:
    """It prints a table, the totals, and how many files are no Python; it leaves no queue."""
    shown = _run("source_metrics", str(sources)).splitlines()
    assert shown[0].split() == ["complexity", "nesting", "lines", "functions", "module"]
    assert shown[1].split() == ["7", "3", "11", "2", "good.py"]
    assert shown[-1].startswith("2 modules: 13 lines, 9 code, 2 comment, 2 blank, ")
    assert shown[-1].endswith(f" tokens, 2 functions; {len(_BAD)} cannot be parsed")
    assert list(private_directory.iterdir()) == []


@pytest.mark.slow
def test_custom_dict() -> None:
    """It prints the results that two workers found over the dict of a manager's process."""
    assert _run("custom_dict") == "[1, 2, 6, 24, 120]\n5 tasks are DONE\n"


@pytest.mark.slow
def test_custom_sqlite(tmp_path: Path) -> None:
    """It prints the results that two workers found, also where the file is there from an earlier run."""
    for _ in range(2):
        assert _run("custom_sqlite", str(tmp_path / "queue.db")) == "[1, 2, 6, 24, 120]\n"


def test_figures_are_counted_as_they_are_named(sources: Path) -> None:
    """Lines with code, with a comment alone and with neither add up; each function has its own paths."""
    figures = measure(str(sources / "good.py"))
    assert figures.pop("tokens") > 50
    assert figures == {
        "lines": 11, "code": 8, "comment": 1, "blank": 2, "functions": 2, "nesting": 3, "complexity": 7,
    }  # fmt: skip


@pytest.mark.parametrize("name", _BAD)
def test_what_is_no_python_is_an_entry_with_an_error(sources: Path, name: str) -> None:
    """Whatever is wrong with a file, measuring it says so and does not raise."""
    figures = measure(str(sources / name))
    assert list(figures) == ["error"]
    assert re.match(r"\w+Error: ", figures["error"])


def test_custom_functions() -> None:
    """It runs what it pushed, tells a failure as one, and leaves nothing in its directory."""
    shown = "kiwi: 4\nplum!: ValueError: 'plum!' is no word\norange: 6\n0 files left\n"
    assert _run("custom_functions") == shown


@pytest.mark.slow
def test_named_tasks(private_directory: Path) -> None:
    """Each function is run with its arguments, a wrong call is not pushed, and no queue is left."""
    assert _run("named_tasks").splitlines() == [
        *("count gave [4, 3]", "tire gave worn out in run 2"),
        *("shout.push: missing a required argument: 'text'", "here: HELLO!"),
    ]
    assert list(private_directory.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_pipeline(tmp_path: Path, private_directory: Path, killed: bool) -> None:
    """It finds what a plain loop finds, though its workers are killed, and leaves no queue."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    files = sorted(stdlib.glob("[a-f]*.py")) if killed else sorted(stdlib.glob("a*.py"))
    for file in files:
        shutil.copy(file, tmp_path)
    plain = pipeline.merge([pipeline.parse(text) for text in pipeline.chunks(files)])
    with subprocess.Popen(
        [sys.executable, "-m", "examples.pipeline", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if killed:
            _kill_a_worker(process.pid)
        shown = process.communicate()[0].splitlines()
    assert process.returncode == 0
    first = max(plain.items(), key=lambda pair: pair[1])
    assert shown[0] == f"{first[0]}: {first[1]:,}"
    assert shown[-1] == f"{len(files):,} files, {sum(plain.values()):,} words, {len(plain):,} different ones"
    assert list(private_directory.iterdir()) == []


def _kill_a_worker(pid: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for child in psutil.Process(pid).children():
            for worker in child.children():  # of the fork server
                worker.kill()
                return


@pytest.mark.slow
def test_two_sides() -> None:
    """The results come over TCP with keys, from another network where there may be one."""
    shown = _run("two_sides").splitlines()
    assert shown[0].startswith("the workers are in ")
    assert shown[1:] == ["[1, 2, 6, 24, 120]"]


@pytest.mark.slow
def test_coroutines() -> None:
    """One process waits for as many answers at a time as it was told."""
    assert _run("coroutines") == "100 answers by 1 process, up to 20 at a time\n"


@pytest.mark.slow
def test_forwarded_logs() -> None:
    """What tasks log and print is shown where they were pushed, with their names, and nowhere else."""
    assert _run("forwarded_logs").splitlines() == [
        "INFO thumbs: making a.jpg",
        "a.jpg says: half way",
        "INFO thumbs: making b.jpg",
        "b.jpg says: half way",
    ]


@pytest.mark.slow
def test_progress(private_directory: Path) -> None:
    """Each task has its result; without a terminal there are no bars, and no queue is left."""
    assert _run("progress").splitlines() == [
        "2,262 primes below 20,000",
        "3,245 primes below 30,000",
        "4,203 primes below 40,000",
    ]
    assert list(private_directory.iterdir()) == []
