"""A queue in a plain dict: four methods make a store, and a store makes a backend with every capability.

    $ python -m examples.custom_dict
    [1, 2, 6, 24, 120]
    5 tasks are DONE

The dict is in the process of a `multiprocessing` manager and lasts as long as that: workers of other
processes use it through a proxy. In one process, with threads, `DictStore()` alone will do.
"""

from collections.abc import Sequence
from itertools import takewhile
from multiprocessing.managers import BaseManager
from threading import RLock

from ipcq import CustomBackend, Monitor, Record, Write


class DictStore:
    """Records in the order of their versions: each write puts its record last."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._version, self._lock = 0, RLock()

    def get(self, key: str) -> Record | None:
        record = self._records.get(key)
        return record if record and record.value is not None else None

    def put(self, key: str, value: bytes | None) -> int:
        with self._lock:
            self._version += 1
            self._records.pop(key, None)
            self._records[key] = Record(key, self._version, value)
            return self._version

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        with self._lock:
            there = [self.get(key) for key, _, _ in writes]
            same = [record.version if record else 0 for record in there] == [w.expected for w in writes]
            return [self.put(key, value) for key, _, value in writes] if same else None

    def scan(self, after: int = 0) -> list[Record]:
        with self._lock:
            newest = takewhile(lambda record: record.version > after, reversed(self._records.values()))
            return [record for record in newest if after or record.value is not None][::-1]


if __name__ == "__main__":
    BaseManager.register("DictStore", DictStore)
    with BaseManager() as manager, CustomBackend(store=manager.DictStore()) as queue:  # type: ignore[attr-defined]
        with Monitor(queue, "math:factorial", workers=2):
            ids = queue.push_bulk(range(1, 6))
            print(sorted(result.unwrap() for result in queue.wait_for(ids)))
        print(f"{queue.list_tasks().total} tasks are {queue.list_tasks().items[0].status.name}")
