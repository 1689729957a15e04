"""What can be read item by item: iterables, async iterables, and endpoints that others push to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any

from ..backends.pipe.endpoints import check_directory, check_endpoint

__all__ = ["Source", "check_source", "read"]

Source = Iterable[Any] | AsyncIterable[Any] | str
_GLANCE = 100  # milliseconds between two looks whether an endpoint is to be read on
_MOST_WAITING = 64  # messages of one sender that wait in memory


def check_source(source: Source) -> Source:
    """The source itself.

    Raises:
        TypeError: it cannot be read item by item.
        ValueError, StorageError: it is a text, but no endpoint, or one that others could use.
    """
    if isinstance(source, str):
        check_directory(check_endpoint(source))
    elif not isinstance(source, (Iterable, AsyncIterable)):
        raise TypeError(f"{source!r} is no iterable, async iterable, or endpoint such as ipc:///PATH")
    return source


def read(source: Source, take: Callable[[Any], bool], stopped: Callable[[], bool]) -> None:
    """Hand each item to ``take`` until that says False, or the source ends; an endpoint when ``stopped``."""
    if isinstance(source, str):
        _read_all(_received(source, stopped), take)
    elif isinstance(source, AsyncIterable):
        asyncio.run(_read_async(source, take))
    else:
        _read_all(source, take)


def _read_all(items: Iterable[Any], take: Callable[[Any], bool]) -> None:
    for item in items:
        if not take(item):
            return


async def _read_async(items: AsyncIterable[Any], take: Callable[[Any], bool]) -> None:
    async for item in items:
        if not await asyncio.to_thread(take, item):
            return


def _received(endpoint: str, stopped: Callable[[], bool]) -> Iterator[bytes | list[bytes]]:
    """Messages that PUSH sockets send there: bytes, or a list of them where there are several frames."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.linger = 0
        socket.rcvhwm = _MOST_WAITING
        socket.bind(endpoint)
        while not stopped():
            if socket.poll(_GLANCE):
                frames = socket.recv_multipart()
                yield frames[0] if len(frames) == 1 else frames
