"""What a worker could not use is found when it is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ipcq import MemoryStorage, Monitor, Worker
from ipcq.aio import AsyncQueue
from ipcq.layers import Retry

Made = Callable[..., object]


@pytest.mark.parametrize("make", [lambda *a, **k: Worker("w", *a, **k), Monitor])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layers": [Retry]}, r"layer Retry is a class: .*layers=\[Retry\(\.\.\.\)\]"),
        ({"layers": [5]}, "5 is no layer"),
        ({"provide": {int: 5}}, "provide= has 5 for int"),
        ({"on_event": 5}, "on_event=5 cannot be called"),
    ],
)
def test_what_cannot_be_called_is_a_type_error(
    queue: MemoryStorage, make: Made, options: dict[str, Any], told: str
) -> None:
    """It names what is wrong, and says what to pass; no task fails of it."""
    with pytest.raises(TypeError, match=told):
        make(queue, abs, **options)


@pytest.mark.parametrize("make", [lambda *a: Worker("w", *a), Monitor])
def test_what_is_no_backend_is_a_type_error(queue: MemoryStorage, make: Made) -> None:
    """A URL, or a queue for coroutines."""
    with pytest.raises(TypeError, match=r"ipcq\.connect\('memory://thumbs'\)"):
        make("memory://thumbs", abs)
    with pytest.raises(TypeError, match="is no backend that a worker can use"):
        make(AsyncQueue(queue), abs)
