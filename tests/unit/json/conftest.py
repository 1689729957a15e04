"""A place for a log, and what opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq.backends.json import JsonStore

OpenStore = Callable[..., JsonStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log may be made."""
    return tmp_path / "log.jsonl"


@pytest.fixture
def open_store(path: Path) -> Iterator[OpenStore]:
    """Opens the log by ``open_store(**options)``, as often as one likes; closes all after the test."""
    opened: list[JsonStore] = []

    def make(**options: Any) -> JsonStore:
        opened.append(JsonStore(path, **{"fsync": "never", **options}))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> JsonStore:
    """The log, open."""
    return open_store()
