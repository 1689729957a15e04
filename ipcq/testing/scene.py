"""What a check is given: a fresh backend here, and as many other processes with it as it asks for."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from ..backend import Backend
from ..backends.capabilities import Every
from .expecting import Broken
from .processes import Actor, Troupe
from .stage import Stage

__all__ = ["CannotShow", "Scene"]

MOST_CAPACITY = 4096


class CannotShow(Exception):
    """A check has nothing to look at in this backend; the message says why."""


class Scene:
    """One check's backend and processes.

    Attributes:
        here: the queue in this process.
        backend: the same, to be called.
    """

    def __init__(self, factory: Callable[[], Backend], troupe: Troupe) -> None:
        self.backend = cast(Every, factory())
        self.here = Stage(self.backend)
        self._troupe = troupe

    def __repr__(self) -> str:
        return f"<Scene {self.here!r} with {self._troupe!r}>"

    def elsewhere(self) -> Actor:
        """Another process that has the queue open; each call gives another one."""
        return self._troupe.actor(self.backend)

    def capacity(self) -> int:
        """How many tasks the queue holds.

        Raises:
            CannotShow: as many as you like.
            Broken: more than a check would want to push.
        """
        config: Any = self.backend.config
        if config.get("capacity") is None:
            raise CannotShow("its config has no capacity: it is never full")
        capacity = int(config["capacity"])
        if capacity > MOST_CAPACITY:
            raise Broken(
                f"the factory's queue holds {capacity} tasks, and this check fills it; have the factory make"
                f" it with a capacity of 64 to {MOST_CAPACITY}"
            )
        return capacity

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._troupe.end_scene()
        finally:
            self.here.close()
