"""Forked processes that tests talk to over pipes, stop, and kill."""

from __future__ import annotations

import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 30.0  # seconds; only a test that fails waits so long


class Line:
    """One end of a line to another process."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def say(self, what: object = "") -> None:
        os.write(self._outgoing, f"{what}\n".encode())

    def hear(self) -> str:
        """The next thing the other side says."""
        heard = b""
        while not heard.endswith(b"\n"):
            ready, _, _ = select.select([self._incoming], [], [], _PATIENCE)
            assert ready, "the other process says nothing"
            byte = os.read(self._incoming, 1)
            assert byte, "the other process is gone"
            heard += byte
        return heard[:-1].decode()

    def close(self) -> None:
        os.close(self._incoming)
        os.close(self._outgoing)


class Child(Line):
    def __init__(self, pid: int, incoming: int, outgoing: int) -> None:
        super().__init__(incoming, outgoing)
        self.pid = pid
        self._status: int | None = None

    def stop(self) -> None:
        """Stop it, as Ctrl-Z and debuggers do, and wait until it is."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def heard(self) -> str:
        """All that it said and nobody heard, when it is dead."""
        with os.fdopen(os.dup(self._incoming), encoding="utf-8") as file:
            return file.read()

    def kill(self) -> None:
        """SIGKILL it, and wait until the kernel has released what it had."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.join()

    def join(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status


@contextmanager
def child(work: Callable[[Line], object]) -> Iterator[Child]:
    """A forked process that runs ``work(line to here)``; killed at the end of the block."""
    down, up = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        # 3.12 warns of threads at a fork; these children take no lock that a thread may have.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        os.close(down[1])
        os.close(up[0])
        _run(work, Line(down[0], up[1]))
    os.close(down[0])
    os.close(up[1])
    process = Child(pid, up[0], down[1])
    try:
        yield process
    finally:
        process.kill()
        process.close()


def _run(work: Callable[[Line], object], line: Line) -> None:
    code = 1
    try:
        work(line)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def elsewhere(ask: Callable[[], object]) -> str:
    """What another process gets from ``ask()``, as text."""
    with child(lambda line: line.say(ask())) as process:
        answer = process.hear()
        assert process.join() == 0
        return answer


# --- dying, and being interrupted, at a chosen call ------------------------------------------------


class Trap:
    """Does something at the ``number``-th call of the functions it is put around, or ``after`` it."""

    def __init__(self, number: int, spring: Callable[[], None], *, after: bool = False) -> None:
        self._left = number
        self._spring = spring
        self._after = after
        self._undo: list[Callable[[], None]] = []

    def around(self, module: object, *names: str) -> Trap:
        for name in names:
            original = getattr(module, name)
            setattr(module, name, self._wrapped(original))
            self._undo.append(lambda n=name, f=original: setattr(module, n, f))  # type: ignore[misc]
        return self

    def remove(self) -> None:
        for undo in self._undo:
            undo()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._spring()

    def _wrapped(self, original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            if not self._after:
                self._count()
            answer = original(*args, **options)
            if self._after:
                self._count()
            return answer

        return call


def die() -> None:
    """As SIGKILL: at once, and nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    """As Ctrl-C: CPython looks for signals when a call has returned."""
    raise KeyboardInterrupt
