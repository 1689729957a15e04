"""Looking whether the function exists, in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from ipcq.cli.check import check_function
from ipcq.cli.exits import UsageError
from ipcq.cli.interrupts import Interrupted, Interrupts

MODULES = {
    "good": "print('noise')\ndef run(item): return item\nclass Tool:\n    def __init__(self, item): pass\n",
    "broken": "import nothing_of_that_name\n",
    "wrong": "def run(item) return item\n",
    "leaves": "import sys\nsys.exit('usage: leaves')\n",
    "ends": "import os\nos._exit(3)\n",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "shapes": "value = 3\nasync def later(item): pass\ndef two(a, b): pass\ndef none(): pass\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A directory with the modules above."""
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    return str(tmp_path)


@pytest.mark.parametrize("function", ["good:run", "good:Tool", "os.path:getsize", "builtins:int"])
def test_a_function_of_one_argument_is_fine(function: str, directory: str) -> None:
    """Functions, classes and what is written in C; what the module prints does no harm."""
    check_function(function, directory, Interrupts())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("good:walk", "has no attribute 'walk'"),
        ("missing:run", "No module named 'missing'"),
        ("broken:run", "No module named 'nothing_of_that_name'"),
        ("wrong:run", "SyntaxError"),
        ("leaves:run", "SystemExit: usage: leaves"),
        ("ends:run", "importing ends ended the process with status 3"),
        ("crashes:run", "importing crashes crashed the process (SIGSEGV)"),
        ("shapes:value", "an int"),
        ("shapes:later", "is a coroutine function"),
        ("shapes:two", "cannot be called with one item, a str: missing a required argument: 'b'"),
        ("shapes:none", "cannot be called with one item, a str: too many positional arguments"),
        ("a-b:run", "'a-b:run'"),
    ],
)
def test_what_cannot_be_called_is_told_in_one_line(function: str, message: str, directory: str) -> None:
    """Whatever the import does, this process gets one line about it."""
    with pytest.raises(UsageError) as caught:
        check_function(function, directory, Interrupts())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_import_that_hangs_can_be_interrupted(tmp_path: Path) -> None:
    """A signal ends the looking at once."""
    fifo = tmp_path / "begun"

    os.mkfifo(fifo)
    (tmp_path / "hangs.py").write_text(
        f"import signal\nopen({str(fifo)!r}, 'w').close()\nsignal.pause()\n", encoding="utf-8"
    )

    def interrupt() -> None:
        fifo.read_bytes()  # until the import has begun
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    with Interrupts() as interrupts:
        thread.start()
        with pytest.raises(Interrupted):
            check_function("hangs:run", str(tmp_path), interrupts)
    thread.join()
