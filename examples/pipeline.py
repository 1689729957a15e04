"""Which names does the standard library use most? Three queues, one behind the other.

    $ python -m examples.pipeline [DIRECTORY]
    self: 121,398
    ...
    1,781 files, 8,630,512 words, 219,411 different ones

    files --> chunks --> PARSE: words of a chunk --> MERGE: of sixteen chunks --> TOTAL: of all

Each queue holds up the one before it, so no more than a few hundred chunks are in memory, however large the
text is. A worker that is killed costs its chunk one more run; each result is counted once.
"""

import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ipcq import MemoryStorage, Monitor, Worker, pipe_to

CHUNK = 64 << 10  # bytes
AHEAD = 64  # tasks of one stage
TOGETHER = 16
WORD = re.compile(r"[^\W\d]\w*")

Words = dict[str, int]


def chunks(files: Iterable[Path]) -> Iterator[str]:
    """The files in pieces that end with a line."""
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            while piece := lines.readlines(CHUNK):
                yield "".join(piece)


def parse(chunk: str) -> Words:
    """How often each word is in a piece of text."""
    return dict(Counter(WORD.findall(chunk)))


def merge(counts: list[Words]) -> Words:
    """The sums of several."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


@contextmanager
def a_queue(name: str) -> Iterator[MemoryStorage]:
    """A queue of this process's own, which goes with it."""
    queue = MemoryStorage(f"{name}-{os.getpid()}", ephemeral=True)
    try:
        yield queue
    finally:
        queue.destroy(force=True)


def stage(queue: MemoryStorage, items: Iterable[Any]) -> Iterator[Any]:
    """What the workers of a queue make of items, as it comes; few are there at a time."""
    waiting, rest = queue.wait_for(()), iter(items)
    while True:
        waiting.add(queue.push_bulk(islice(rest, AHEAD - len(waiting))))
        if not len(waiting):
            return
        for result in waiting.ready(None):
            yield result.unwrap()


def together(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Lists of so many."""
    rest = iter(items)
    while part := list(islice(rest, count)):
        yield part


def count_words(files: Iterable[Path]) -> Words:
    """How often each word is in all of them."""
    total: Counter[str] = Counter()
    with (
        a_queue("parse") as parsing,
        a_queue("merge") as merging,
        a_queue("total") as totals,
        Monitor(parsing, parse, workers=2),
        Monitor(merging, merge, workers=1),
    ):
        merged = stage(merging, together(stage(parsing, chunks(files)), TOGETHER))
        Worker("total", pipe_to(merged, totals, batch=1, keep_result=False), total.update).run()
    return dict(total)


if __name__ == "__main__":
    place = Path(sys.argv[1] if sys.argv[1:] else sysconfig.get_path("stdlib"))
    found = sorted(file for file in place.rglob("*.py") if "site-packages" not in file.parts)
    words = count_words(found)
    for word, count in sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
        print(f"{word}: {count:,}")
    print(f"{len(found):,} files, {sum(words.values()):,} words, {len(words):,} different ones")
