from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ipcq.backends.memory.layout import PAGE_WORDS
from ipcq.backends.memory.settings import LARGEST_ARENA, LARGEST_CAPACITY, Settings, Wishes
from ipcq.errors import ConfigMismatch

MIB = 1 << 20
SETTINGS = Settings(1000, 2 * MIB, 3 * MIB, 60.0, "msgpack", False)


@pytest.mark.parametrize(
    "wish",
    [
        {"capacity": 0},
        {"capacity": -1},
        {"capacity": LARGEST_CAPACITY + 1},
        {"capacity": 1.5},
        {"capacity": 10.0},
        {"capacity": True},
        {"capacity": "10"},
        {"arena_bytes": 0},
        {"arena_bytes": LARGEST_ARENA + 1},
        {"arena_bytes": 1e6},
        {"blob_bytes": -1},
        {"blob_bytes": 1 << 61},
        {"result_ttl": 0},
        {"result_ttl": -1.0},
        {"result_ttl": math.nan},
        {"result_ttl": math.inf},
        {"result_ttl": "60"},
        {"codec": ""},
        {"codec": "x" * 33},
        {"codec": "nüchtern"},
        {"codec": "a\0"},
        {"codec": 7},
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_refused(wish: dict[str, Any]) -> None:
    """The message names the setting, its bounds and the value."""
    ((name, value),) = wish.items()
    with pytest.raises(ValueError, match=name) as caught:
        Wishes(**wish)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "wish",
    [
        {"capacity": 1},
        {"capacity": LARGEST_CAPACITY},
        {"arena_bytes": 1},
        {"arena_bytes": LARGEST_ARENA},
        {"blob_bytes": 0},
        {"blob_bytes": 1 << 60},
        {"result_ttl": 1},
        {"result_ttl": 1 / 3},
        {"result_ttl": 1e-6},
        {"result_ttl": 1e12},
        {"codec": "x" * 32},
        {"ephemeral": True},
    ],
    ids=str,
)
def test_a_queue_fits_the_wishes_that_made_it(wish: dict[str, Any], private_directory: Path) -> None:
    """Written to a header and read again, a setting at its bound is still the one asked for."""
    wishes = Wishes(**wish)
    header = memoryview(bytearray(8 * PAGE_WORDS)).cast("Q")
    settled = wishes.settle(str(private_directory))
    settled.write(header)
    assert Settings.read(header) == settled
    Wishes(**wish).check("thumbs", settled)


def test_the_arena_is_rounded_up_to_whole_mebibytes() -> None:
    """Space is committed in such steps."""
    assert Wishes(arena_bytes=1).arena_bytes == MIB
    assert Wishes(arena_bytes=MIB + 1).arena_bytes == 2 * MIB


def test_defaults_fill_what_nobody_asked_for(private_directory: Path) -> None:
    """They are those of the manual; blobs may take half of the file system."""
    settings = Wishes().settle(str(private_directory))
    assert (settings.capacity, settings.arena_bytes, settings.result_ttl) == (65_536, 32 * MIB, 3600.0)
    assert (settings.codec, settings.ephemeral) == ("msgpack", False)
    assert settings.blob_bytes > 0
    assert Wishes(blob_bytes=0).settle(str(private_directory)).blob_bytes == 0


@pytest.mark.parametrize(
    ("wish", "other"),
    [
        ({"capacity": 1000}, 2000),
        ({"arena_bytes": 2 * MIB}, 5 * MIB),
        ({"blob_bytes": 3 * MIB}, 0),
        ({"result_ttl": 60.0}, 61.5),
        ({"codec": "msgpack"}, "json"),
        ({"ephemeral": True}, False),
    ],
    ids=str,
)
def test_a_mismatch_names_both_values(wish: dict[str, Any], other: object) -> None:
    """The error says which setting, what it is, what was asked, and what to do."""
    ((name, value),) = wish.items()
    changed: dict[str, Any] = {name: other}
    has = replace(SETTINGS, **changed)
    with pytest.raises(ConfigMismatch, match=r"'thumbs'.*leave .*out") as caught:
        Wishes(**wish).check("thumbs", has)
    assert f"{name}={other!r}" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_who_asks_for_nothing_takes_any_queue() -> None:
    """Settings left out are those of the queue; not asking for ephemeral is not asking."""
    Wishes().check("thumbs", SETTINGS)
    Wishes(ephemeral=False).check("thumbs", replace(SETTINGS, ephemeral=True))


def test_settings_are_shown_by_name() -> None:
    """As plain values, for `info` and the command line."""
    assert SETTINGS.as_mapping()["capacity"] == 1000
