"""What cannot work: one line that says what to do, the right status, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from ipcq import MemoryStorage
from tests.disk import small_file_system

from .command import IPCQ, ROOT, call, complaint, end, run, run_all


@pytest.fixture(autouse=True)
def nothing_left(private_directory: Path) -> Iterator[None]:
    """Nothing was left where queues are."""
    yield
    assert list(private_directory.iterdir()) == []


WRONG = [
    ([call("none_such"), "a"], "has no attribute 'none_such'"),
    (["none.such:function", "a"], 'try: python -c "import none.such"'),
    ([call("later"), "a"], "coroutine function; ipcq map calls plain functions: wrap it"),
    (["len", "a"], "write MODULE:FUNCTION"),
    (["tests/acceptance/functions.py:same", "a"], "give the module, as in tests.acceptance.functions:same"),
    ([call("same"), "-n", "none"], "is not a number from 1 to 1024"),
]


def test_a_wrong_command_is_refused() -> None:
    """The status is 2, and nothing was started."""
    commands = [["map", *arguments] for arguments, _ in WRONG]
    for ended, (_, message) in zip(run_all(commands), WRONG, strict=True):
        assert message in complaint(ended)
        assert ended.status == 2


@pytest.mark.slow
def test_a_value_without_json_form_is_its_items_error() -> None:
    """The type is named, and what may be returned; the others go on."""
    ended = run("map", call("oddity"), "-n", "1", "a", "b")
    assert "of type object, has no JSON form" in ended.lines[1]["error"]["message"]
    assert (ended.status, len(ended.lines)) == (1, 2)


REDIRECTED = [
    (">&-", 2, "standard output is closed: there is no place for results"),
    ("<&-", 0, "there were no items"),
    ("0>/dev/null", 2, "cannot read items from standard input: Bad file descriptor"),
    (">/dev/full", 1, "No space left on device: 'standard output'; make room and run again"),
]


@pytest.mark.slow
def test_descriptors_may_be_anything() -> None:
    """Closed, full or for writing only: it is told, or there are no items."""
    processes = []
    for redirection, _, _ in REDIRECTED:
        item = "" if redirection[0] in "<0" else "a"
        command = f'"{sys.executable}" -m ipcq map {call("same")} {item} {redirection}'
        processes.append(
            subprocess.Popen(command, shell=True, cwd=ROOT, stdout=PIPE, stderr=PIPE, encoding="utf-8")
        )
    for process, (_, status, message) in zip(processes, REDIRECTED, strict=True):
        ended = end(process)
        assert message in ended.err
        assert (ended.status, ended.err.count("\n")) == (status, 1)


@pytest.mark.slow
def test_a_directory_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands say what to do about a world-writable place for queues."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("IPCQ_DIR", str(tmp_path / "open"))
    for ended in run_all([["map", call("same"), "a"], ["gc"]]):
        assert "open to other users (mode 777); set IPCQ_DIR" in complaint(ended)
        assert ended.status == 1
    assert os.listdir(tmp_path / "open") == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_foreign_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of a place for queues must be the user."""
    (tmp_path / "foreign").mkdir(mode=0o700)
    os.chown(tmp_path / "foreign", 12345, 12345)
    monkeypatch.setenv("IPCQ_DIR", str(tmp_path / "foreign"))
    assert "belongs to user 12345, not to user 0" in complaint(run("gc"))


def test_a_missing_directory_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mistyped IPCQ_DIR is not made with all its parents."""
    monkeypatch.setenv("IPCQ_DIR", str(tmp_path / "no" / "such"))
    assert "its parent directory does not exist; set IPCQ_DIR" in complaint(run("map", call("same"), "a"))


@pytest.mark.slow
def test_full_shared_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No queue fits: nothing was started, and no half queue is left."""
    monkeypatch.setenv("IPCQ_DIR", str(tmp_path / "shm"))
    with small_file_system(tmp_path / "shm", "1m"):
        (tmp_path / "shm" / "filler").write_bytes(b"." * (900 << 10))
        ended = run("map", call("same"), "a")
        assert os.listdir(tmp_path / "shm") == ["filler"]
    assert "make it larger (Docker: --shm-size), set IPCQ_DIR to a larger" in complaint(ended)
    assert ended.status == 1


@pytest.mark.slow
def test_an_item_over_the_limit_is_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the space is the limit of one payload; the items around it are done."""
    monkeypatch.setenv("IPCQ_DIR", str(tmp_path / "shm"))
    with small_file_system(tmp_path / "shm", "16m"):
        ended = run("map", call("same"), "-n", "1", sent=f"a\n{'x' * (12 << 20)}\nb\n")
        assert os.listdir(tmp_path / "shm") == []
    assert [line.get("value") for line in ended.lines] == ["a", None, "b"]
    error = ended.lines[1]["error"]
    assert error["type"] == "ipcq.errors.PushError"
    assert "over the limit of" in error["message"]
    assert ended.status == 1


@pytest.mark.slow
def test_a_value_over_the_limit_is_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result for which there is no room is that item's error; the items around it are done."""
    monkeypatch.setenv("IPCQ_DIR", str(tmp_path / "shm"))
    with small_file_system(tmp_path / "shm", "16m"):
        ended = run("map", call("grow"), "-n", "1", "1", str(20 << 20), "2")
        assert os.listdir(tmp_path / "shm") == []
    assert [line.get("value") for line in ended.lines] == ["x", None, "xx"]
    assert ended.status == 1


@pytest.mark.slow
def test_what_fails_only_in_workers_is_told_once(tmp_path: Path) -> None:
    """A module that can be imported once but not again ends the command with the reason."""
    (tmp_path / "once.py").write_text(
        "import os\nos.mkdir('mark')\ndef same(item): return item\n", encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*IPCQ, "map", "once:same", "a"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "FileExistsError" in done.stderr
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, 1)


@pytest.mark.slow
def test_an_endless_line_is_refused() -> None:
    """A wrong separator does not fill the memory."""
    with open("/dev/zero", "rb") as zeros:
        ended = run("map", call("same"), "-q", "-n", "1", stdin=zeros)
    assert "give one item a line, or end each with a NUL byte and use -0" in complaint(ended)
    assert ended.status == 2


@pytest.mark.slow
def test_gc_tells_what_it_keeps_and_why(private_directory: Path) -> None:
    """Unfinished tasks, damage and another version are kept unless forced; what is in use always."""
    for name in ("empty", "owed", "damaged"):
        with MemoryStorage(name) as queue:
            if name == "owed":
                queue.push("work")
    (control,) = (private_directory / "damaged").glob("ctl.*")
    control.write_bytes(b"garbage" * 1000)
    (private_directory / "other").mkdir(mode=0o700)
    (private_directory / "other" / "ctl.v0").touch(mode=0o600)
    with MemoryStorage("used"):
        ended = run("gc")
        told = dict(line.split(": ", 1) for line in ended.out.splitlines())
        assert told["removed empty"] == "nobody is attached"
        assert told["kept owed"] == "1 unfinished tasks; remove it with: ipcq gc --force"
        assert told["kept used"] == "in use"
        assert "ipcq gc --force" in told["kept damaged"]
        assert ended.status == 0
        forced = run("gc", "--force").out
        assert "removed owed" in forced
        assert "removed damaged" in forced
        assert "kept used: in use" in forced
    assert "removed used" in run("gc").out
