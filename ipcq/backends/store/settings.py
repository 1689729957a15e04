"""The settings of a queue in a store: written when it is made, read by everybody who comes later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...errors import ConfigMismatch, CorruptQueue
from .plain import as_json, from_json

__all__ = ["Settings", "Wishes"]

_LARGEST_CAPACITY = 1 << 24
_LONGEST = 1e12  # seconds


@dataclass(frozen=True)
class Settings:
    """What a queue was made with.

    Attributes:
        capacity: how many tasks it holds, finished ones included until they give way.
        result_ttl: seconds that a result nobody fetched is kept.
        dead_after: seconds of silence after which a worker of another machine is dead.
        codec: name of the codec of its tasks.
    """

    capacity: int
    result_ttl: float
    dead_after: float
    codec: str

    def dump(self) -> bytes:
        """As a record."""
        return as_json(asdict(self))

    @classmethod
    def load(cls, value: bytes) -> Settings:
        """From a record; `CorruptQueue` where it is none."""
        try:
            return cls(**from_json(value))
        except (ValueError, TypeError) as error:
            raise CorruptQueue(f"not the settings of a queue ({error}): {value[:80]!r}") from error

    def as_mapping(self) -> Mapping[str, Any]:
        """As plain values, by name."""
        return asdict(self)


@dataclass(frozen=True)
class Wishes:
    """What somebody asks of a queue; None: whatever it has, or the default.

    Raises:
        ValueError: a value is out of bounds.
    """

    capacity: int | None = None
    result_ttl: float | None = None
    dead_after: float | None = None
    codec: str | None = None

    def __post_init__(self) -> None:
        if self.capacity is not None and not _is_whole(self.capacity):
            raise ValueError(
                f"capacity must be a whole number from 1 to {_LARGEST_CAPACITY}, not {self.capacity!r}"
            )
        for name in ("result_ttl", "dead_after"):
            _check(name, getattr(self, name))

    def settle(self) -> Settings:
        """The settings of a new queue."""
        return Settings(
            self.capacity or 65_536,
            self.result_ttl or 3600.0,
            self.dead_after or 10.0,
            self.codec or "msgpack",
        )

    def check(self, queue: str, settings: Settings) -> None:
        """Raise `ConfigMismatch` where an existing queue has other settings."""
        for field in fields(self):
            wish, has = getattr(self, field.name), getattr(settings, field.name)
            if wish is not None and wish != has:
                raise ConfigMismatch(
                    f"queue {queue!r} exists with {field.name}={has!r}, not {wish!r}; leave {field.name}="
                    " out to use it as it is, or choose another name"
                )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST_CAPACITY


def _check(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e-6 <= value <= _LONGEST:
        raise ValueError(f"{name} must be 1e-06 to {_LONGEST:g}, not {value!r}")
