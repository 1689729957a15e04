"""Three long tasks at a time, each with a bar that shows how far it is, and their results.

    $ python -m examples.progress
    2,262 primes below 20,000
    3,245 primes below 30,000
    4,203 primes below 40,000

The bars are on standard error, where that is a terminal.
"""

import os

from tqdm import tqdm

from ipcq import MemoryStorage, Monitor, Progress, TaskId, WorkerContext

LIMITS = (20_000, 30_000, 40_000)


def count(limit: int, context: WorkerContext) -> int:
    """The handler: it tells each number that it has looked at; who watches looks four times a second."""
    found = 0
    for number in range(2, limit):
        found += all(number % other for other in range(2, int(number**0.5) + 1))
        context.progress(number + 1, limit)
    return found


def main() -> None:
    """Push, watch, and tell."""
    queue = MemoryStorage(f"counted-{os.getpid()}")
    with Monitor(queue, count, workers=2):
        ids = queue.push_bulk(LIMITS)
        bars = {i: tqdm(total=n, disable=None) for i, n in zip(ids, LIMITS, strict=True)}

        def show(task_id: TaskId, progress: Progress) -> None:
            bars[task_id].update(progress.done - bars[task_id].n)

        found = {result.task_id: result.unwrap() for result in queue.wait_for(ids, 60, on_progress=show)}
        for bar in bars.values():
            bar.close()
    queue.destroy()
    for task_id, limit in zip(ids, LIMITS, strict=True):
        print(f"{found[task_id]:,} primes below {limit:,}")


if __name__ == "__main__":
    main()
