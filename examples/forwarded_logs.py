"""What tasks log and print, seen where they were pushed: each line with the item that it is about.

    $ python -m examples.forwarded_logs
    INFO thumbs: making a.jpg
    a.jpg says: half way
    INFO thumbs: making b.jpg
    b.jpg says: half way

The worker process knows nothing of it: where its records go travels with each task.
"""

import logging
import os
import sys

from ipcq import LogReceiver, MemoryStorage, Monitor, TaskId
from ipcq.logs import Output

log = logging.getLogger("thumbs")


def make(path: str) -> str:
    """The handler: an ordinary function that logs and prints."""
    log.info("making %s", path)
    print("half way")
    return f"{path}.png"


def main() -> None:
    """Push, run, and show."""
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    names: dict[TaskId, str] = {}

    def show(line: Output) -> None:
        print(f"{names[line.task_id]} says: {line.text}", end="")

    with MemoryStorage(f"logs-{os.getpid()}", ephemeral=True) as queue, LogReceiver(on_output=show) as logs:
        for path in ("a.jpg", "b.jpg"):
            task = queue.push(path, metadata=logs.metadata)
            names[task] = path
        with Monitor(queue, make, workers=1):
            for task in names:
                queue.wait(task, 60).unwrap()


if __name__ == "__main__":
    main()
