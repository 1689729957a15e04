"""The settings of a queue: fixed when it is made, read from it by everybody who comes later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...errors import ConfigMismatch
from .layout import (
    ARENA_CHUNK,
    BLOCK_BYTES,
    FLAG_EPHEMERAL,
    H_ARENA_BYTES,
    H_BLOB_BYTES,
    H_CAPACITY,
    H_CODEC,
    H_FLAGS,
    H_RESULT_TTL,
)
from .words import Words

__all__ = ["Settings", "Wishes"]

DEFAULT_CAPACITY = 65_536
DEFAULT_ARENA = 32 << 20
DEFAULT_TTL = 3600.0
LARGEST_CAPACITY = 1 << 24
LARGEST_ARENA = (1 << 24) * BLOCK_BYTES - (ARENA_CHUNK * BLOCK_BYTES)  # block numbers have 24 bits
CODEC_BYTES = 32

_CHUNK = ARENA_CHUNK * BLOCK_BYTES


@dataclass(frozen=True)
class Settings:
    """What a queue was made with.

    Attributes:
        capacity: how many tasks it holds, finished ones included until they give way.
        arena_bytes: room for payloads and results of medium size.
        blob_bytes: most that large payloads and results may take in files of their own.
        result_ttl: seconds that a result nobody fetched is kept.
        codec: name of the codec of its tasks.
        ephemeral: `gc` may remove it, unfinished tasks too, once nobody is attached.
    """

    capacity: int
    arena_bytes: int
    blob_bytes: int
    result_ttl: float
    codec: str
    ephemeral: bool

    @classmethod
    def read(cls, header: Words) -> Settings:
        """Read them from a queue's header."""
        name = b"".join(header[H_CODEC + n].to_bytes(8, "little") for n in range(CODEC_BYTES // 8))
        return cls(
            header[H_CAPACITY],
            header[H_ARENA_BYTES],
            header[H_BLOB_BYTES],
            header[H_RESULT_TTL] / 1e6,
            name.rstrip(b"\0").decode("ascii", "replace"),
            bool(header[H_FLAGS] & FLAG_EPHEMERAL),
        )

    def write(self, header: Words) -> None:
        """Write them into a queue's header."""
        header[H_CAPACITY] = self.capacity
        header[H_ARENA_BYTES] = self.arena_bytes
        header[H_BLOB_BYTES] = self.blob_bytes
        header[H_RESULT_TTL] = round(self.result_ttl * 1e6)
        header[H_FLAGS] = FLAG_EPHEMERAL if self.ephemeral else 0
        name = self.codec.encode("ascii").ljust(CODEC_BYTES, b"\0")
        for n in range(CODEC_BYTES // 8):
            header[H_CODEC + n] = int.from_bytes(name[8 * n : 8 * n + 8], "little")

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
    arena_bytes: int | None = None
    blob_bytes: int | None = None
    result_ttl: float | None = None
    codec: str | None = None
    ephemeral: bool | None = None

    def __post_init__(self) -> None:
        _check_whole("capacity", self.capacity, 1, LARGEST_CAPACITY)
        _check_whole("arena_bytes", self.arena_bytes, 1, LARGEST_ARENA)
        _check_whole("blob_bytes", self.blob_bytes, 0, 1 << 60)
        _check("result_ttl", self.result_ttl, 1e-6, 1e12)
        # As the header will have them, so that the same wishes fit the queue they made.
        if self.arena_bytes is not None:
            object.__setattr__(self, "arena_bytes", -(-self.arena_bytes // _CHUNK) * _CHUNK)
        if self.result_ttl is not None:
            object.__setattr__(self, "result_ttl", round(self.result_ttl * 1e6) / 1e6)
        if self.codec is not None and not _is_codec_name(self.codec):
            raise ValueError(f"a codec's name is 1 to {CODEC_BYTES} ASCII characters, not {self.codec!r}")

    def settle(self, directory: str) -> Settings:
        """The settings of a new queue in ``directory``."""
        blob_bytes = self.blob_bytes
        if blob_bytes is None:
            space = os.statvfs(directory)
            blob_bytes = space.f_blocks * space.f_frsize // 2
        return Settings(
            self.capacity or DEFAULT_CAPACITY,
            self.arena_bytes or DEFAULT_ARENA,
            blob_bytes,
            self.result_ttl or DEFAULT_TTL,
            self.codec or "msgpack",
            bool(self.ephemeral),
        )

    def check(self, queue: str, settings: Settings) -> None:
        """Raise `ConfigMismatch` where an existing queue has other settings."""
        for field in fields(self):
            wish, has = getattr(self, field.name), getattr(settings, field.name)
            if wish is not None and wish != has and not (field.name == "ephemeral" and not wish):
                raise ConfigMismatch(
                    f"queue {queue!r} exists with {field.name}={has!r}, not {wish!r}; leave {field.name}="
                    " out to use it as it is, or choose another name"
                )


def _check(name: str, value: object, least: float, most: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"{name} must be {least:g} to {most:g}, not {value!r}")


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")


def _is_codec_name(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isprintable() and 0 < len(name) <= CODEC_BYTES
