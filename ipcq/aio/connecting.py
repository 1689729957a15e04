"""A queue by its URL, opened without holding up the loop."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any

from ..urls import connect as connect_sync
from .calls import Calls
from .queue import AsyncQueue

__all__ = ["Connecting", "connect"]


class Connecting:
    """A queue that is opened by ``await``, or by ``async with``, which closes it, too."""

    def __init__(self, url: str | None, options: dict[str, Any]) -> None:
        self._url = url
        self._options = options
        self._queue: AsyncQueue | None = None
        self._opened: Any = None
        self._given_up = False

    def __repr__(self) -> str:
        return f"<Connecting to {self._url or 'IPCQ_URL'}>"

    def __await__(self) -> Generator[Any, None, AsyncQueue]:
        return self._open().__await__()

    async def _open(self) -> AsyncQueue:
        calls = Calls(f"connect({self._url!r})")
        try:
            await calls.run(self._connect)
        except BaseException:  # cancelled: the thread goes on
            self._given_up = True
            self._close_if_given_up()
            raise
        finally:
            calls.end_soon()
        return AsyncQueue(self._opened, close_backend=True)

    def _connect(self) -> None:
        self._opened = connect_sync(self._url, **self._options)
        self._close_if_given_up()

    def _close_if_given_up(self) -> None:
        if self._given_up and self._opened is not None:
            self._opened.close()

    async def __aenter__(self) -> AsyncQueue:
        self._queue = await self._open()
        return self._queue

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._queue is not None:
            await self._queue.close()


def connect(url: str | None = None, **options: Any) -> Connecting:
    """Open the backend that a URL names, for ``async with`` or ``await``.

    Args:
        url, options: as `ipcq.connect` takes them; its errors come when it is awaited.
    """
    return Connecting(url, options)
