"""A directory as a queue: three plain functions make a backend.

    $ python -m examples.custom_functions
    kiwi: 4
    plum!: ValueError: 'plum!' is no word
    orange: 6
    0 files left

Only one process can rename a file, so any number of workers may; what a killed one had stays in ``taken``.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipcq import CustomBackend, Task, TaskId, TaskResult, Worker


class Spool:
    """A directory for what is new and one for what was taken."""

    def __init__(self, place: Path) -> None:
        self.new, self.taken = place / "new", place / "taken"
        for directory in (self.new, self.taken):
            directory.mkdir()

    def push(self, task: Task[Any]) -> None:
        draft = self.taken / str(task.id)
        draft.write_text(json.dumps(task.args))
        draft.rename(self.new / draft.name)

    def fetch(self) -> Iterator[Task[Any]]:
        for file in sorted(self.new.iterdir()):  # ids are ordered by time
            try:
                taken = file.rename(self.taken / file.name)
            except FileNotFoundError:  # another worker was faster
                continue
            yield Task.of(json.loads(taken.read_text()), id=TaskId.parse(file.name))

    def ack(self, task: Task[Any], result: TaskResult[Any]) -> None:
        print(f"{task.args}: {result.error or result.value}")
        (self.taken / str(task.id)).unlink()


def letters(word: str) -> int:
    if not word.isalpha():
        raise ValueError(f"{word!r} is no word")
    return len(word)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        spool = Spool(Path(place))
        with CustomBackend(fetch=spool.fetch, push=spool.push, ack=spool.ack) as queue:
            queue.push_bulk(sys.argv[1:] or ["kiwi", "plum!", "orange"])
            Worker(None, queue, letters).run(until_empty=True)
        print(len(list(Path(place).rglob("*-*"))), "files left")
