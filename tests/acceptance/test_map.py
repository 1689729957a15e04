"""``ipcq map``: items in, JSON lines out, whoever is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .command import call, end, run, start


@pytest.fixture(autouse=True)
def nothing_left(private_directory: Path) -> Iterator[None]:
    """Each command has removed its queue."""
    yield
    assert list(private_directory.iterdir()) == []


def test_items_are_arguments() -> None:
    """Each has its line, in order; a summary goes to standard error; the status is 0."""
    ended = run("map", call("same"), "-n", "2", "a", "b", "--", "-c")
    assert ended.lines == [{"item": item, "value": item} for item in ("a", "b", "-c")]
    assert ended.status == 0
    assert ended.err.startswith("ipcq: 3 done, 0 failed, ")
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_items_are_lines_of_standard_input() -> None:
    """Without items in the command, lines are read; thousands of them come out in order."""
    items = [f"line {number}" for number in range(3000)]
    ended = run("map", call("same"), "-q", sent="\n".join(items))
    assert ended.values == items
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.slow
def test_items_may_end_with_nul() -> None:
    """With -0 an item may have line breaks inside, as file names may."""
    assert run("map", call("same"), "-0", "-n", "1", sent="a\nb\0c\0").values == ["a\nb", "c"]


@pytest.mark.slow
def test_items_are_files_that_match(tmp_path: Path) -> None:
    """--glob gives files in order, down to any depth, whatever bytes their names have."""
    names = [b"a.txt", b"sub/b.txt", b"sub/\xff.txt"]
    (tmp_path / "sub").mkdir()
    for size, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"." * size)
    ended = run("map", "os.path:getsize", "-n", "1", "--glob", f"{tmp_path}/**/*.txt")
    assert ended.values == [0, 1, 2]
    assert [os.fsencode(os.path.relpath(line["item"], tmp_path)) for line in ended.lines] == names


@pytest.mark.slow
def test_no_items_are_no_error() -> None:
    """A pattern that matches nothing is told, and the status is 0."""
    assert run("map", call("same"), "--glob", "/nothing/*.here") == (0, "", "ipcq: there were no items\n")


@pytest.mark.slow
def test_what_the_function_prints_is_no_result() -> None:
    """It goes to standard error; standard output has the lines alone."""
    ended = run("map", call("speak"), "-n", "1", "a")
    assert ended.values == ["a"]
    assert "about a\n" in ended.err


@pytest.mark.slow
def test_a_line_is_written_as_soon_as_it_is_there() -> None:
    """Input that goes on is answered item by item."""
    process = start("map", call("same"), "-n", "2", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for item in "abc":
        process.stdin.write(f"{item}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f'{{"item": "{item}", "value": "{item}"}}\n'
    assert end(process).status == 0


@pytest.mark.slow
def test_others_do_not_wait_for_a_long_item(tmp_path: Path) -> None:
    """While one item runs, the other worker does all the rest; unordered, their lines come at once."""
    os.mkfifo(tmp_path / "gate")
    process = start("map", call("gate"), "-n", "2", "--unordered", str(tmp_path / "gate"), *"abcdefgh")
    assert process.stdout is not None
    assert sorted(process.stdout.readline()[10] for _ in "abcdefgh") == [*"abcdefgh"]
    (tmp_path / "gate").write_text("open", "utf-8")
    assert end(process).values == ["open"]


@pytest.mark.slow
def test_lines_keep_the_order_of_items(tmp_path: Path) -> None:
    """What is done earlier than the item before it waits for it."""
    os.mkfifo(tmp_path / "gate")
    process = start("map", call("gate"), "-n", "2", str(tmp_path / "gate"), "a", "b")
    (tmp_path / "gate").write_text("open", "utf-8")
    assert end(process).values == ["open", "a", "b"]


@pytest.mark.slow
def test_a_failed_item_is_a_line_with_an_error() -> None:
    """Type, message and traceback are in its line; the status is 1; the summary shows the first."""
    ended = run("map", call("fail"), "-n", "1", "luck")
    error = ended.lines[0]["error"]
    assert (error["type"], error["message"]) == ("ValueError", "no luck")
    assert 'raise ValueError(f"no {item}")' in error["traceback"]
    assert ended.status == 1
    assert "0 done, 1 failed" in ended.err
    assert ended.err.endswith("; first failure: 'luck': ValueError: no luck\n")


@pytest.mark.slow
def test_a_killed_worker_costs_one_retry(tmp_path: Path) -> None:
    """Its item is run again by another one; nobody sees a difference."""
    once = str(tmp_path / "once")
    ended = run("map", call("die_once"), "-n", "2", "a", once, "b")
    assert ended.values == ["a", once, "b"]
    assert ended.status == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", pytest.param("SIGSEGV", marks=pytest.mark.slow)])
def test_an_item_that_kills_is_given_up(name: str) -> None:
    """After three workers its line tells pid, signal and memory; all others are done."""
    ended = run("map", call("die"), "-n", "2", "a", name, *"bcdefgh")
    assert [line.get("value") for line in ended.lines] == ["a", None, *"bcdefgh"]
    error = ended.lines[1]["error"]
    assert error["type"] == "WorkerDied"
    assert error["signal"] == getattr(signal, name)
    assert error["pid"] > 1
    assert error["rss"] > 1 << 20
    assert ended.status == 1


@pytest.mark.slow
def test_large_items_and_values_pass() -> None:
    """What does not fit into a slot goes by other ways, and is the same."""
    ended = run("map", call("same"), "-q", "-n", "2", sent="a" * 2_000_000 + "\nb\n" + "c" * 20_000 + "\n")
    assert [len(value) for value in ended.values] == [2_000_000, 1, 20_000]


@pytest.mark.slow
def test_endless_input_needs_bounded_memory() -> None:
    """While nobody takes the results, reading stops at a bound of items and bytes."""
    process = start("map", call("same"), "-n", "1", "-q", stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process:
        os.set_blocking(process.stdin.fileno(), False)
        taken, piece = 0, b"x" * 999 + b"\n"

        # The pipe behind it fills first, then the window, the inbox, and the pipe before it.
        while select.select([], [process.stdin], [], 5.0)[1]:
            taken += os.write(process.stdin.fileno(), piece * 4)
        status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
        resident = int(status.partition("VmRSS:")[2].split()[0]) << 10
        print(f"\n{taken >> 20} MiB read ahead, {resident >> 20} MiB resident")
        assert taken < 120 << 20
        assert resident < 250 << 20
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
