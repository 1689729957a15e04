"""What limits are to a type checker. Never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipcq import (
    CustomBackend,
    JsonStorage,
    Layer,
    MemoryStorage,
    Permit,
    Pipe,
    ShareLimits,
    TaskStore,
    Turn,
    aio,
)
from ipcq.layers import ConcurrencyLimit, RateLimit

if TYPE_CHECKING:
    from typing_extensions import assert_type


def every_backend_shares_limits(
    memory: MemoryStorage, json: JsonStorage, pipe: Pipe, store: TaskStore
) -> list[Layer]:
    shared: list[ShareLimits] = [memory, json, pipe, CustomBackend(store=store)]
    permit = pipe.take_permit("calls", 3)
    if permit is not None:
        with permit:
            assert_type(memory.take_turn("calls", 2.5, burst=2), Turn)
    return [ConcurrencyLimit(2), *(ConcurrencyLimit(2, per=each, name="calls") for each in shared)]


async def and_coroutines_do(queue: aio.AsyncQueue) -> None:
    assert_type(await queue.take_turn("calls", 10.0), Turn)
    assert_type(await queue.take_permit("calls", 3, waited=0.5), Permit | None)


def functions_do_not() -> None:
    RateLimit(1.0, per=CustomBackend(push=print))  # type: ignore[arg-type]
