"""The side of who pushes: takes in what its tasks log and print."""

from __future__ import annotations

import logging
import math
import os
import re
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, cast

from ..errors import StorageError
from .address import listen, remove
from .loggers import Losses, level_of, log_here, log_output
from .messages import MOST, Dropped, Malformed, Output, load
from .running import KEY, Wish

__all__ = ["LogReceiver", "Output"]

log = logging.getLogger("ipcq.logs")

_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_TOGETHER = 256  # messages of one worker before it is the turn of the others
_MOST_WAITING = 4096  # more than the kernel keeps for one worker
_PAUSE = 0.05  # seconds before another try where no descriptor is left for a worker


class LogReceiver:
    """Takes in the log records, and on request the output, of tasks that are pushed with its metadata.

    ::

        with LogReceiver(level=logging.INFO) as logs:
            task_id = queue.push("a.png", metadata=logs.metadata)
            print(queue.wait(task_id).unwrap())

    Each record goes to the logger of its name in this process, as if it had been logged here, with
    attributes ``task_id``, ``worker`` and ``queue``. It works for workers of this user on this machine, with
    any backend; those elsewhere keep their records. Whatever becomes of it, tasks are not held up.

    Args:
        level: of the records that workers send, and higher; a number or a name, as ``"INFO"``.
        capture: take in what tasks print, too, instead of having it in their worker's output.
        on_output: called with each line of that, an `Output`; None has it as records of the loggers
            ``ipcq.stdout`` and ``ipcq.stderr``, of level INFO.
        thread: have a thread do it. False where your program calls `handle`.

    Attributes:
        received: messages that were taken in.
        dropped: those that workers had to leave out, because this process was too slow.
        malformed: messages that were none.

    Raises:
        ValueError: there is no such level.
        UnsafeDirectory, StorageError: there is no place for its socket.
        UnsupportedPlatform: not on Linux.
    """

    def __init__(
        self,
        *,
        level: int | str = logging.INFO,
        capture: bool = False,
        on_output: Callable[[Output], object] | None = None,
        thread: bool = True,
    ) -> None:
        self.received = self.dropped = self.malformed = 0
        self._on_output = on_output or log_output
        wanted, capture = level_of(level), bool(capture or on_output)
        self._workers: set[socket.socket] = set()
        self._flushing: deque[threading.Event] = deque()
        self._losses = Losses()
        self._closing = self._ended = False
        self._busy = 0  # the thread in which handlers of messages run
        self._thread = threading.Thread(target=self._serve, name="ipcq-logs", daemon=True) if thread else None
        with ExitStack() as undo:
            self._open(undo)
            self._wish = Wish(os.path.basename(self._path), wanted, capture)
            _receivers.add(self)
            if self._thread is not None:
                self._thread.start()
            undo.pop_all()

    def _open(self, undo: ExitStack) -> None:
        try:
            self._ringing, self._bell = map(undo.enter_context, socket.socketpair())
            self._selector = undo.enter_context(selectors.DefaultSelector())
            self._path, self._listener = listen()
        except OSError as error:
            raise StorageError(f"cannot receive logs: {error.strerror}") from error
        undo.callback(remove, self._path)
        undo.enter_context(self._listener)
        for each in (self._ringing, self._listener, self._bell):
            each.setblocking(False)
        for each in (self._listener, self._bell):
            self._selector.register(each, selectors.EVENT_READ)

    def __repr__(self) -> str:
        state = "closed" if self._ended else f"{len(self._workers)} workers"
        return f"<LogReceiver [{state}, {self.received} received, {self.dropped} dropped]>"

    @property
    def metadata(self) -> dict[str, Any]:
        """What a push gives its task: ``metadata=logs.metadata``; merge them with others by ``|``."""
        return {KEY: list(self._wish)}

    def handle(self, timeout: float | None = 0.0) -> int:
        """Take in what is there, in this thread; for a receiver without one, which one thread alone uses.

        Args:
            timeout: seconds to wait for the first message; None for as long as it takes.

        Returns:
            How many messages it was. 0 after `close`, too.

        Raises:
            RuntimeError: it has a thread that does this.
        """
        if self._thread is not None:
            raise RuntimeError(f"{self!r} has a thread that does this; make it with thread=False")
        before = self.received
        until = math.inf if timeout is None else time.monotonic() + timeout
        self._take_all(self._losses.look)
        while self.received == before and not self._closing and (left := until - time.monotonic()) > 0:
            self._turn(None if timeout is None else left)
        if self._closing:
            self._end()
        return self.received - before

    def flush(self, timeout: float | None = None) -> bool:
        """Take in all that workers sent before this call: of tasks whose results are there, everything.

        Args:
            timeout: seconds to wait for the receiver's thread, which may be busy in a handler of yours.

        Returns:
            Whether that was done in time; False in such a handler, which it would have to wait for.
        """
        if self._busy == threading.get_ident():
            return False
        if self._thread is None:
            self._take_all(self._losses.tell)
            return True
        done = threading.Event()
        self._flushing.append(done)
        self._ring()
        return self._ended or done.wait(timeout)  # whoever ends looks for those who wait after saying so

    def close(self) -> None:
        """Take in what was sent, and end; what workers log from now on they keep."""
        self._closing = True
        self._ring()
        if self._busy == threading.get_ident():
            return  # in a handler of what came: it ends after that
        if self._thread is not None:
            self._thread.join()
        else:
            self._end()

    def __enter__(self) -> LogReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- taking in --------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while not self._closing:
                self._turn(None)
                if self._flushing:
                    waiting = [self._flushing.popleft() for _ in range(len(self._flushing))]
                    self._take_all(self._losses.tell)
                    for each in waiting:
                        each.set()
        finally:
            self._end()

    def _ring(self) -> None:
        with suppress(OSError):  # it was rung already, or has ended
            self._ringing.send(b"\0")

    @contextmanager
    def _taking(self) -> Iterator[None]:
        self._busy = threading.get_ident()
        try:
            yield
        finally:
            self._busy = 0

    def _turn(self, timeout: float | None) -> None:
        """Wait for something, and take in what there is, a little of each worker."""
        with self._taking():
            ready = [] if self._ended else self._selector.select(self._losses.left(timeout))
            for key, _ in ready:
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._bell:
                    self._bell.recv(4096)
                else:
                    self._read(cast("socket.socket", key.fileobj), _TOGETHER)
            self._losses.look()

    def _take_all(self, tell: Callable[[], object]) -> None:
        with self._taking():
            if not self._ended:
                self._read_all()
                tell()

    def _read_all(self) -> None:
        self._accept()
        for worker in list(self._workers):
            self._read(worker, _MOST_WAITING)

    def _accept(self) -> None:
        """Let in all who came; where no descriptor is left they wait for those who leave."""
        while True:
            try:
                worker, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                time.sleep(_PAUSE)  # or this would be a loop that does nothing else
                return
            worker.setblocking(False)
            self._workers.add(worker)
            self._selector.register(worker, selectors.EVENT_READ)

    def _read(self, worker: socket.socket, most: int) -> None:
        """Take in up to ``most`` messages; a worker that ended has left what it had sent."""
        for _ in range(most):
            try:
                data = worker.recv(MOST + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._workers.discard(worker)
                self._selector.unregister(worker)
                worker.close()
                return
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        self.received += 1
        try:
            found = load(data)
        except Malformed as error:
            self.malformed += 1
            if self.malformed == 1:  # the others are counted: whoever sends garbage may send much
                log.warning("a message that is none was dropped: %s", error)
            return
        try:
            if isinstance(found, Output):
                self._hand_out(found)
            elif isinstance(found, Dropped):
                self.dropped += found.number
                self._losses.add(found.origin.worker, found.number)
            else:
                log_here(found)
        except Exception:
            log.exception("a handler of what tasks log or print failed")

    def _hand_out(self, output: Output) -> None:
        for line in _LINES.findall(output.text):  # `splitlines` would split at the \r of progress bars, too
            self._on_output(output._replace(text=line))

    # --- the end ----------------------------------------------------------------------------------

    def _end(self) -> None:
        with self._taking():
            if self._ended:
                return
            try:
                self._read_all()
                self._losses.tell()
            finally:
                remove(self._path)
                self._let_go()
        for each in self._flushing:
            each.set()

    def _let_go(self) -> None:
        self._ended = True
        self._selector.close()
        for each in (*self._workers, self._listener, self._bell, self._ringing):
            each.close()
        self._workers.clear()

    def _abandon(self) -> None:
        """Close what was inherited: for a forked child, in which workers would find nobody who reads."""
        self._busy, self._closing = 0, True
        self._let_go()


def _abandon_all() -> None:
    for receiver in list(_receivers):
        receiver._abandon()


_receivers: weakref.WeakSet[LogReceiver] = weakref.WeakSet()
os.register_at_fork(after_in_child=_abandon_all)
