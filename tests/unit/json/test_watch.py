"""Being told of changes."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq.backends.bells import Bell
from ipcq.backends.json import JsonStore, watch
from ipcq.backends.json.watch import Glances, open_watch
from tests.unit.memory.acting import until
from tests.unit.memory.children import Line, child

if TYPE_CHECKING:
    from .conftest import OpenStore

WAIT = 30.0  # seconds; only a test that fails waits so long

both = pytest.mark.parametrize("glancing", [False, True], ids=["told", "looking"])


@pytest.fixture
def glancing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel has no more watches."""
    if request.param:
        monkeypatch.setattr(watch, "_call", _refuse)


def _refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def _woken(store: JsonStore, change: Callable[[], object]) -> None:
    """A thread that waits for a change returns when there is one."""
    began = time.monotonic()
    thread = threading.Thread(target=store.wait, args=(store._log.index.last, WAIT, Bell()))
    thread.start()
    change()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert time.monotonic() - began < WAIT / 2


kinds = pytest.mark.parametrize("glancing", [False, True], indirect=True, ids=["told", "looking"])


@kinds
@pytest.mark.usefixtures("glancing")
def test_a_write_wakes(store: JsonStore, open_store: OpenStore) -> None:
    """Of this handle, of another one, and though the log was written anew in between."""
    other = open_store()
    _woken(store, lambda: store.put("a", b"1"))
    _woken(store, lambda: other.put("a", b"2"))
    other.compact()
    _woken(store, lambda: other.put("a", b"3"))


@kinds
@pytest.mark.usefixtures("glancing")
def test_a_bell_wakes(store: JsonStore) -> None:
    """One that is rung while a thread waits, and one that was rung before."""
    bell = Bell()
    thread = threading.Thread(target=store.wait, args=(store._log.index.last, WAIT, bell))
    thread.start()
    bell.ring()
    thread.join(WAIT / 2)
    assert not thread.is_alive()


@kinds
@pytest.mark.usefixtures("glancing")
def test_another_process_wakes(store: JsonStore, path: Path) -> None:
    """And a forked one waits for itself."""
    store.put("a", b"1")
    store.wait(1, 0.0, Bell())

    def work(line: Line) -> None:
        line.say()
        store.wait(1, WAIT, Bell())
        record = store.get("a")
        line.say(record.version if record else 0)
        store.put("b", b"1")
        store.close()

    with child(work) as process:
        process.hear()
        store.put("a", b"2")
        assert process.hear() == "2"
        store.wait(2, WAIT, Bell())
        assert store.get("b") is not None
        assert process.join() == 0


@kinds
@pytest.mark.usefixtures("glancing")
def test_nothing_is_missed_or_waited_for_in_vain(store: JsonStore) -> None:
    """What was written before is no reason to wait; without a write the time is over."""
    store.put("a", b"1")
    store.wait(0, WAIT, Bell())
    began = time.monotonic()
    store.wait(1, 0.02, Bell())
    assert 0.015 < time.monotonic() - began < WAIT / 2


def test_threads_wait_each_for_itself(store: JsonStore) -> None:
    """One write wakes all of them, and what they waited with is used again."""
    for _ in range(2):
        last = store._log.index.last
        threads = [threading.Thread(target=store.wait, args=(last, WAIT, Bell())) for _ in range(4)]
        for thread in threads:
            thread.start()
        store.put("a", b"1")
        for thread in threads:
            thread.join(WAIT)
            assert not thread.is_alive()
    assert 1 <= len(store._watches) <= 4


def test_closing_while_a_thread_waits(store: JsonStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread ends its wait in time, and leaves nothing behind."""
    waiting = threading.Event()
    told, arm = store._log.index.last, store._arm

    def armed() -> watch.Watch:
        found = arm()
        waiting.set()
        return found

    monkeypatch.setattr(store, "_arm", armed)
    thread = threading.Thread(target=store.wait, args=(told, 0.05, Bell()))
    thread.start()
    assert waiting.wait(WAIT)
    store.close()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert store._watches == []


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_what_the_kernel_keeps(store: JsonStore) -> None:
    """One descriptor for each thread that waits, shown with its state; without one, looks."""
    told = open_watch()
    assert "[descriptor " in repr(told)
    told.close()
    told.close()
    assert repr(told) == "<Inotify [closed]>"
    assert os.path.exists(f"/proc/self/fd/{store._log.file.fd}")


def test_a_look_is_short_at_first() -> None:
    """Looking begins after a thousandth of a second, and ends when there is something."""
    answers = iter([False, False, True])
    Glances().wait(WAIT, lambda: next(answers), Bell())
    assert list(answers) == []
    until(lambda: True)
