"""What a worker process is given, as bytes that are made once and sent at each start."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import HandlerNotFound, NotSupported
from ..layer import Layer
from ..limits import Limits
from ..worker.checking import check_backend, check_layers, check_listener, check_provide
from ..worker.handler import Handler, check_handler
from ..worker.injection import Prepares, Provide
from ..worker.kinds import check_kinds
from ..worker.telling import Listener
from ..worker.worker import WorkerBackend

__all__ = ["Job"]


class Job(NamedTuple):
    """A backend, a handler, its layers and what it gets, pickled one by one: an error can tell which it was.

    Not pickled by multiprocessing with the process object: what fails there, on either side,
    prints a traceback and tells the Monitor nothing.
    """

    backend: bytes
    handler: bytes
    layers: bytes
    provide: bytes
    prefetch: int
    max_tasks: int | None = None
    limits: Limits = Limits()
    on_event: bytes = pickle.dumps(None)
    concurrency: int = 1

    @classmethod
    def pack(
        cls,
        backend: WorkerBackend,
        handler: Handler | str,
        layers: Iterable[Layer],
        prefetch: int,
        max_tasks: int | None = None,
        provide: Provide | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        concurrency: int = 1,
    ) -> Job:
        """Make the bytes.

        Raises:
            TypeError, ValueError: what it is to run does not go together; for a named handler in its process.
            HandlerNotFound: the handler or a layer has no place where another process finds it.
            NotSupported: the backend cannot be opened by another process.
        """
        check_handler(handler)
        layers = tuple(layers)
        check_backend(backend)
        check_layers(layers)
        check_provide(provide or {})
        if on_event is not None:
            check_listener(on_event)
        if not isinstance(handler, (str, Prepares)):  # names are looked for where they are run
            check_kinds(handler, layers, concurrency)
        try:
            storage = pickle.dumps(backend)
        except Exception as error:
            raise NotSupported("use from another process (pickle)", backend) from error
        functions = _findable("handler", handler), _findable("layers", layers)
        made = _findable("provide", dict(provide or {}))
        listener = _findable("on_event", on_event)
        limits = limits or Limits()
        return cls(storage, *functions, made, prefetch, max_tasks, limits, listener, concurrency)

    def open(self) -> tuple[WorkerBackend, Handler | str, tuple[Layer, ...], Provide]:
        """Open the backend and find the functions, in the worker process.

        Raises:
            HandlerNotFound: the process that packed them has them, this one has not.
        """
        handler, layers = _found("handler", self.handler), _found("layers", self.layers)
        return pickle.loads(self.backend), handler, layers, _found("provide", self.provide)

    def listener(self) -> Listener | None:
        """What is called with a worker's events; `HandlerNotFound` as in `open`."""
        found: Listener | None = _found("on_event", self.on_event)
        return found


def _findable(what: str, value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise HandlerNotFound(
            f"{what} {value!r} cannot be sent to worker processes ({error});"
            " define functions at the top level of a module, or name the handler 'module:function'"
        ) from error


def _found(what: str, data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except Exception as error:
        raise HandlerNotFound(
            f"{what} not found in a worker process ({type(error).__name__}: {error});"
            " put it in a module that can be imported there"
        ) from error
