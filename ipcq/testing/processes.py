"""Helper processes of checks: started, told what to do, stopped, killed, and none of them left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from ..backends.capabilities import Every
from ..result.error_info import RemoteTraceback
from .expecting import PATIENCE, Broken
from .stage import Stage

__all__ = ["Actor", "Troupe"]

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST_ACT = 2 * PATIENCE  # seconds; longer than anything that an act may wait for


class _Open(NamedTuple):
    backend: Every


class _Close(NamedTuple):
    pass


class _Act(NamedTuple):
    act: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]


class _Answer(NamedTuple):
    value: Any


class _Failed(NamedTuple):
    """An error as what any process can rebuild: classes with arguments of their own do not unpickle."""

    kind: type[BaseException]
    text: str
    trace: str


class Actor:
    """Another process that has the same queue open. It dies with this one, or when it is told to.

    Attributes:
        pid: its process.
    """

    def __init__(self, process: Any, link: Connection) -> None:
        self._process = process
        self._link = link
        self.pid: int = process.pid

    def __repr__(self) -> str:
        return f"<Actor {self.pid}: {'alive' if self.alive else 'dead'}>"

    @property
    def alive(self) -> bool:
        """Whether its process lives."""
        return self._process.exitcode is None

    def do(self, act: Callable[Concatenate[Stage, P], R], *args: P.args, **options: P.kwargs) -> R:
        """Have it do one act, and wait for the answer; what the act raised is raised here."""
        self.begin(act, *args, **options)
        return self.answer()  # type: ignore[no-any-return]

    def begin(self, act: Callable[Concatenate[Stage, P], R], *args: P.args, **options: P.kwargs) -> None:
        """Have it begin an act; ask for the answer later."""
        self._link.send(_Act(act, args, options))

    def answer(self) -> Any:
        """What the act that was begun gave, or raised."""
        if not self._link.poll(_LONGEST_ACT):
            raise Broken(f"process {self.pid} did not return from a call within {_LONGEST_ACT:g} s")
        try:
            answer = self._link.recv()
        except (EOFError, OSError) as error:
            raise Broken(f"process {self.pid} ended in the middle of a call") from error
        if isinstance(answer, _Failed):
            raise _rebuilt(answer) from RemoteTraceback(answer.trace)
        return answer.value

    def busy_for(self, seconds: float) -> bool:
        """Whether it gives no answer for so long."""
        return not self._link.poll(seconds)

    def stop(self) -> None:
        """Stop it, as Ctrl-Z and debuggers do."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after `stop`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> int:
        """SIGKILL it and wait until the kernel has released what it had; its process id."""
        self._process.kill()
        self.join()
        return self.pid

    def join(self) -> None:
        """Wait for its end."""
        self._process.join(PATIENCE)
        if self.alive:
            raise Broken(f"process {self.pid} should have ended and did not within {PATIENCE:g} s")
        self._link.close()

    def open(self, backend: Every) -> None:
        """Have it open the same queue."""
        self._link.send(_Open(backend))
        self.answer()

    def close(self) -> bool:
        """Have it close the queue; False where it is not fit for another one, and was killed."""
        try:
            if self.alive:
                self._link.send(_Close())
                self.answer()
                return True
        except Exception:  # a scene may end in the middle of a call, or with a backend that is closed already
            pass
        self.kill()
        return False


class Troupe:
    """All actors of a run; those that outlive a check play in the next one."""

    def __init__(self) -> None:
        # fork would copy this process's hold on the queue; a fork server costs one start, then a few ms each.
        self._context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        if sys.platform == "linux":
            self._context.set_forkserver_preload([__name__])
        self._idle: list[Actor] = []
        self._playing: list[Actor] = []

    def __repr__(self) -> str:
        return f"<Troupe: {len(self._playing)} playing, {len(self._idle)} idle>"

    def actor(self, backend: Every) -> Actor:
        """Another process with this queue open, until `end_scene`."""
        actor = self._idle.pop() if self._idle else self._start()
        self._playing.append(actor)
        actor.open(backend)
        return actor

    def end_scene(self) -> None:
        """Have all who play close the queue."""
        while self._playing:
            actor = self._playing.pop()
            if actor.close():
                self._idle.append(actor)

    def __enter__(self) -> Troupe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self._playing + self._idle:
            actor.kill()
        self._playing, self._idle = [], []

    def _start(self) -> Actor:
        ours, theirs = self._context.Pipe()
        try:
            process = self._context.Process(target=_play, args=(theirs,), daemon=True)
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Actor(process, ours)


# --- in the other process -------------------------------------------------------------------------


def _play(link: Connection) -> None:
    """Do what is asked until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for who asks
    stage: Stage | None = None
    while True:
        try:
            message = link.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # a backend that cannot be unpickled here
            link.send(_told(error))
            continue
        try:
            stage, answer = _obey(stage, message)
            link.send(_Answer(answer))
        except Exception as error:
            link.send(_told(error))


def _obey(stage: Stage | None, message: _Open | _Close | _Act) -> tuple[Stage | None, Any]:
    """Where we are afterwards, and the answer."""
    if isinstance(message, _Open):
        return Stage(message.backend), None
    if stage is None:
        raise Broken("this process has no queue open")
    if isinstance(message, _Close):
        stage.close()
        return None, None
    return stage, message.act(stage, *message.args, **message.options)


def _told(error: BaseException) -> _Failed:
    return _Failed(type(error), str(error), "".join(traceback.format_exception(error)))


def _rebuilt(failed: _Failed) -> BaseException:
    error = failed.kind.__new__(failed.kind)
    error.args = (failed.text,)
    return error
