"""What named functions of a queue are to a type checker. Never run."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ipcq import (
    Attempt,
    JsonStorage,
    MemoryStorage,
    Monitor,
    Pipe,
    Progress,
    TaskFunction,
    TaskHandle,
    TaskQueue,
    Worker,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type

thumbs = TaskQueue("memory://thumbs")


@thumbs.task
def make(path: str, width: int = 64) -> bytes:
    return b""


@thumbs.task(max_attempts=3, name="keep")
def save(path: str, *, run: Attempt | None = None) -> None: ...


@thumbs.task
async def load(url: str, width: int = 64) -> bytes:
    return b""


def a_push_takes_what_the_function_takes() -> None:
    assert_type(make.push("a.png", width=64), TaskHandle[bytes])
    assert_type(make.options(priority=2, run_at=1.0).push("a.png").wait(5), bytes)
    assert_type(make("a.png", 3), bytes)
    assert_type(make.push("a.png").progress, Progress | None)
    _handle: TaskHandle[None] = save.push("a.png")
    _function: TaskFunction[..., bytes] = make


def a_coroutine_function_gives_what_its_coroutine_returns() -> None:
    assert_type(load.push("a.png"), TaskHandle[bytes])
    assert_type(load.push("a.png").wait(), bytes)
    assert_type(load.options(priority=2).push("a.png", width=3).wait(5), bytes)
    _called: Coroutine[Any, Any, bytes] = load("a.png")


async def handles_are_awaited() -> None:
    assert_type(await make.push("a.png"), bytes)
    assert_type(await load.push("a.png"), bytes)
    assert_type(await load("a.png"), bytes)


def a_wrong_argument_is_an_error() -> None:
    make.push(5)  # type: ignore[arg-type]
    make.push("a.png", height=3)  # type: ignore[call-arg]
    make.push()  # type: ignore[call-arg]
    make.options(priority=2).push("a.png", width="4")  # type: ignore[arg-type]
    save.push("a.png", Attempt(1))  # type: ignore[call-arg]
    load.push(5)  # type: ignore[call-overload]
    load.options(priority=2).push()  # type: ignore[call-overload]


def a_wrong_part_is_an_error() -> None:
    make.options(priority="high")  # type: ignore[arg-type]
    make.options(prio=1)  # type: ignore[call-arg]
    thumbs.task(max_attempts="3")  # type: ignore[call-overload]


def any_backend_with_several_types_will_do(memory: MemoryStorage, json: JsonStorage, pipe: Pipe) -> None:
    TaskQueue(memory)
    TaskQueue(json)
    TaskQueue(pipe)
    TaskQueue(5)  # type: ignore[arg-type]


def it_is_a_handler() -> None:
    Worker("w", thumbs.backend, thumbs)
    Monitor(thumbs.backend, thumbs)
    Monitor(thumbs.backend, "module:thumbs")
