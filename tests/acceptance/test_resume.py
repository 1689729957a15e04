"""``ipcq map --queue URL --resume``: an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq import MemoryStorage, connect
from ipcq.cli.record import Record, Shelf

from .command import call, complaint, end, eventually, keep_pressing, press, run, run_all, start

if TYPE_CHECKING:
    from ..conftest import MakeQueue

NOTED = call("noted")
_ITEMS = int(os.environ.get("IPCQ_CHAOS_SECONDS", "30")) * 5  # a few of them between two interruptions


@pytest.fixture(params=["json", pytest.param("memory", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A queue of each kind, gone afterwards."""
    if request.param == "json":
        yield f"json://{tmp_path}/queue.jsonl"
        return
    yield "memory://resumed"
    with MemoryStorage("resumed") as queue:
        queue.destroy(force=True)


class Work:
    """What the commands of one test work on.

    Attributes:
        out: the file that they append their lines to.
        gate: a FIFO; an item that its function waits for.
    """

    def __init__(self, url: str, place: Path) -> None:
        self.url, self.out, self._notes = url, place / "out.jsonl", place / "notes"
        self.gate = str(place / "gate")
        os.mkfifo(self.gate)

    def start(self, *arguments: str, mode: str = "a") -> subprocess.Popen[str]:
        """Start a run whose lines go to the file."""
        with open(self.out, mode) as out:
            return start("map", NOTED, "-n", "2", "--queue", self.url, *arguments, stdout=out)

    @property
    def items(self) -> list[str]:
        """Whose lines are in the file, in their order."""
        return [json.loads(line)["item"] for line in self.out.read_text("utf-8").splitlines()]

    @property
    def ran(self) -> list[str]:
        """What ran, as often as it did."""
        return sorted(self._notes.read_text("utf-8").split()) if self._notes.exists() else []


@pytest.fixture
def work(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Everything a run needs."""
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return Work(url, tmp_path)


def _interrupted(work: Work, number: int = signal.SIGKILL) -> list[str]:
    """End a run in the middle of the item that is the gate, when all others are done; its items."""
    items = ["a", "b", work.gate, "c", "bad"]
    process = work.start(*items)
    eventually(lambda: work.out.exists() and len(work.items) == 2)
    eventually(lambda: len(work.ran) == 4 and _done(work.url) == 4)
    press(process, number)
    told = end(process).err
    assert number == signal.SIGKILL or ("unfinished" in told and "--resume goes on" in told)
    return items


def _done(url: str) -> int:
    """How many items of a run are done."""
    with connect(url, create=False) as queue:
        return sum(task.status.name in ("DONE", "KILLED") for task in queue.list_tasks().items)


def _opened(work: Work) -> None:
    """Let the item that is the gate be done."""
    Path(work.gate).write_text("open", "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_it_goes_on_where_it_stopped(work: Work, number: int) -> None:
    """Nothing that was done runs again, and each line is there once, in the order of the items."""
    items = _interrupted(work, number)
    assert work.items == ["a", "b"]
    resumed = work.start(*items, "--resume")
    _opened(work)
    ended = end(resumed)
    assert (ended.status, work.items) == (1, items)
    assert work.ran == ["a", "b", "bad", "c"]
    assert ended.err.startswith("ipcq: 4 done, 1 failed, 2 of them by earlier runs, ")


@pytest.mark.slow
def test_impatience_costs_the_item_nothing(work: Work) -> None:
    """However often Ctrl-C is pressed, and in however many runs, the item that ran is not given up."""
    for _ in range(3):  # one more than the deaths that it may have
        process = work.start(work.gate, "--resume")
        with open(work.gate, "w", encoding="utf-8"):  # its function reads
            keep_pressing(process)
            assert end(process).status == 130
    assert _done(work.url) == 0
    resumed = work.start(work.gate, "--resume")
    _opened(work)
    assert (end(resumed).status, work.items) == (0, [work.gate])


@pytest.mark.slow
def test_an_emptied_file_gets_every_line_again(work: Work) -> None:
    """With ``>`` instead of ``>>`` the output is whole, and still nothing runs again."""
    items = _interrupted(work)
    resumed = work.start(*items, "--resume", mode="w")
    _opened(work)
    end(resumed)
    assert (work.items, work.ran) == (items, ["a", "b", "bad", "c"])


@pytest.mark.slow
def test_a_complete_run_has_nothing_left(work: Work) -> None:
    """Resumed, it writes nothing; with more items at the end, only those; begun anew, all."""
    for more, lines in ((["--resume"], 2), (["--resume"], 2), (["--resume", "z"], 3), ([], 5)):
        ended = end(work.start("a", "b", *more))
        assert (ended.status, len(work.items)) == (0, lines)
    assert work.ran == ["a", "a", "b", "b", "z"]


@pytest.mark.slow
def test_what_cannot_be_resumed_is_told(url: str, make_queue: MakeQueue) -> None:
    """Each refusal has one line that says what to do; nothing runs."""
    with connect(url, codec="raw") as queue:
        Shelf(queue).keep(Record("m:f", written=3))
    texts = make_queue("texts", codec="json")
    refused = run_all(
        [
            ["map", NOTED, "a", "--queue", url],
            ["map", NOTED, "a", "--queue", "redis://host"],
            ["map", NOTED, "a", "--resume"],
            ["map", NOTED, "a", "--queue", "memory://texts"],
        ]
    )
    refused += run_all([["map", NOTED, "a", "--queue", url, "--resume"]])  # a queue is for one at a time
    told = [
        "has an interrupted run, of which 3 items have their line: go on with it by --resume",
        "--queue: 'redis://host' is no URL of a queue; known: memory://NAME",
        "--resume needs the queue of the interrupted run",
        "memory://texts was made with the codec json, which cannot carry items",
        f"is of m:f, not of {NOTED}",
    ]
    assert [ended.status for ended in refused] == [2] * len(told)
    assert texts.list_tasks().total == 0
    for ended, words in zip(refused, told, strict=True):
        assert words in complaint(ended)


@pytest.mark.slow
def test_two_runs_do_not_share_a_queue(work: Work) -> None:
    """While one works, another one is refused, resuming or not."""
    process = work.start("a", work.gate)
    eventually(lambda: work.out.exists() and work.items == ["a"])
    second = run("map", NOTED, "x", "--queue", work.url, "--resume")
    assert "another ipcq map works with" in complaint(second)
    _opened(work)
    assert end(process).status == 0


@pytest.mark.slow
def test_other_items_are_refused(work: Work) -> None:
    """A run is not resumed with items that are not those it began with."""
    items = _interrupted(work)
    for others, words in ((["x", *items[1:]], "the first 2 items are not"), (["a"], "there were 1 items")):
        ended = end(work.start(*others, "--resume"))
        assert ended.status == 2
        assert words in ended.err
    assert work.items == ["a", "b"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--unordered"]], ids=["ordered", "unordered"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_interrupted_at_any_moment(work: Work, number: int, options: list[str]) -> None:
    """However often and whenever it is interrupted, each line is there once; only what ran may run again."""
    chance, interrupted = random.Random(f"{number} {options}"), 0
    items = [f"{'bad' if n % 7 == 0 else 'i'}{n}" for n in range(_ITEMS)]
    while True:
        process = work.start(*items, *options, "--resume")
        if _ends_first(process, work, chance):
            break
        interrupted += 1
        press(process, number)
        end(process)
    assert end(process).status == 1
    assert sorted(work.items) == sorted(items)
    assert options or work.items == items
    assert len(items) <= len(work.ran) <= len(items) + 2 * interrupted


def _ends_first(process: subprocess.Popen[str], work: Work, chance: random.Random) -> bool:
    """Whether a run ends before the moment of its interruption: early, or some items and a little later."""
    early, count, before = chance.random() < 0.3, chance.randint(1, 40), len(work.ran)
    if not early:
        eventually(lambda: process.poll() is not None or len(work.ran) >= before + count)
    try:
        process.wait(chance.uniform(0, 0.5 if early else 0.02))
    except subprocess.TimeoutExpired:
        return False
    return True
