"""Signals as facts."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ipcq.cli.interrupts import Interrupted, Interrupts

LONG = 20.0  # seconds; only a failure waits so long


def _send(interrupts: Interrupts, number: int) -> None:
    """Send a signal to this process, and wait until it was heard."""
    heard = threading.Event()
    before = interrupts.count

    def hear() -> None:
        if interrupts.count > before:
            heard.set()

    interrupts.call(hear)
    os.kill(os.getpid(), number)
    assert heard.wait(LONG)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_is_a_fact(number: int, status: int) -> None:
    """It raises nothing by itself; `check` does, and the status is that of the first one."""
    with Interrupts() as interrupts:
        interrupts.check()
        assert (interrupts.count, interrupts.since) == (0, 0.0)
        _send(interrupts, number)
        assert interrupts.status == status
        assert interrupts.since > 0
        with pytest.raises(Interrupted):
            interrupts.check()


def test_the_first_signal_decides() -> None:
    """A second one is counted and changes neither status nor time."""
    with Interrupts() as interrupts:
        _send(interrupts, signal.SIGTERM)
        since = interrupts.since
        _send(interrupts, signal.SIGINT)
        assert (interrupts.count, interrupts.status, interrupts.since) == (2, 143, since)


def test_who_comes_late_is_told_at_once() -> None:
    """A callback added after the signal is called when it is added."""
    with Interrupts() as interrupts:
        _send(interrupts, signal.SIGINT)
        called = []
        interrupts.call(lambda: called.append(1))
        assert called == [1]


def test_afterwards_signals_do_what_they_did() -> None:
    """Handlers and the wakeup descriptor are as before."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    descriptor = signal.set_wakeup_fd(-1)
    assert descriptor == -1


def test_an_ignored_signal_stays_ignored() -> None:
    """``nohup`` and ``&`` in a script keep their meaning."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            _send(interrupts, signal.SIGINT)
            assert interrupts.first == signal.SIGINT
            assert interrupts.count == 1
    finally:
        signal.signal(signal.SIGHUP, before)
