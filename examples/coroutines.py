"""A hundred answers that each take a while, by one worker process that waits for twenty at a time.

    $ python -m examples.coroutines
    100 answers by 1 process, up to 20 at a time

The server is a stand-in that takes its time; the session lives in the loop of the worker process.
"""

import asyncio
import os
from types import TracebackType

from ipcq import MemoryStorage, Monitor


class Session:
    """A client as those of HTTP libraries are: entered and left in a loop."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(0)

    async def get(self, page: int) -> int:
        """How many are asked for at a time by now."""
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.05)
        self.now -= 1
        return self.most


async def fetch(page: int, session: Session) -> tuple[int, int]:
    """The handler: it awaits, and meanwhile others run."""
    return os.getpid(), await session.get(page)


def main() -> None:
    """Push, run, and tell."""
    with MemoryStorage(f"coroutines-{os.getpid()}", ephemeral=True) as queue:
        ids = queue.push_bulk(range(100), run_timeout=30)
        with Monitor(queue, fetch, workers=1, concurrency=20, provide={Session: Session}):
            answers = [result.unwrap() for result in queue.wait_for(ids, 60)]
        processes = {pid for pid, _ in answers}
        most = max(most for _, most in answers)
        print(f"{len(answers)} answers by {len(processes)} process, up to {most} at a time")


if __name__ == "__main__":
    main()
