from __future__ import annotations

import json
import os
import pickle
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq.backends.json import JsonStore, log
from ipcq.backends.store import Forgotten, Record, TaskStore, Waits, Write
from ipcq.errors import (
    CorruptQueue,
    QueueClosed,
    QueueInUse,
    QueueNotFound,
    StorageError,
    UnsafeDirectory,
    VersionMismatch,
)
from tests.unit.memory.children import Line, child

if TYPE_CHECKING:
    from .conftest import OpenStore

LARGE = b'"%b"' % (b"x" * 10_000)


def _keys(store: JsonStore) -> list[str]:
    return [record.key for record in store.scan() if record.value is not None]


# --- the contract --------------------------------------------------------------------------------


def test_it_is_a_store_that_wakes(store: JsonStore) -> None:
    """It fulfils both contracts, and shows its state."""
    assert isinstance(store, TaskStore)
    assert isinstance(store, Waits)
    store.put("a", b"1")
    assert "[never, version 1, " in repr(store)
    store.close()
    assert repr(store).endswith("[closed]>")


def test_records_are_there(store: JsonStore) -> None:
    """What was put is given back with its version; what was not, is not there."""
    assert store.put("a", b'{"n":1}') == 1
    assert store.put("a", b"\x00") == 2
    assert store.get("a") == Record("a", 2, b"\x00")
    assert store.get("b") is None


def test_all_or_none(store: JsonStore) -> None:
    """A compare-and-set makes all its writes, or none where one record is not as expected."""
    assert store.compare_and_set([]) == []
    assert store.compare_and_set([Write("a", 0, b"1"), Write("b", 0, b"2")]) == [1, 2]
    assert store.compare_and_set([Write("a", 1, b"3"), Write("b", 1, None)]) is None
    assert store.compare_and_set([Write("a", 1, b"3"), Write("b", 0, b"4")]) is None
    assert store.compare_and_set([Write("a", 1, b"3"), Write("b", 2, None), Write("c", 0, b"")]) == [3, 4, 5]
    assert list(store.scan()) == [Record("a", 3, b"3"), Record("c", 5, b"")]
    assert store.compare_and_set([Write("b", 4, b"1")]) is None  # removed: as if it never was
    assert store.compare_and_set([Write("b", 0, b"1")]) == [6]


def test_a_scan_tells_what_changed(store: JsonStore) -> None:
    """After a version: what was written since, removals too, by version."""
    for n in range(1000):
        store.put(f"{n}", b"%d" % n)
    store.compare_and_set([Write("5", 6, None)])
    assert [record.version for record in store.scan()] == [*range(1, 6), *range(7, 1001), 1001]
    assert list(store.scan(999)) == [Record("999", 1000, b"999"), Record("5", 1001, None)]
    assert list(store.scan(1001)) == []


# --- several processes ---------------------------------------------------------------------------


def test_others_see_what_was_written(store: JsonStore, path: Path) -> None:
    """Two processes that open the same file see each other's writes at once, in one order."""

    def work(line: Line) -> None:
        with JsonStore(path, fsync="never") as other:
            line.say(other.get("a"))
            line.say(other.put("b", b"2"))
            line.hear()
            line.say(other.get("a"))

    store.put("a", b"1")
    with child(work) as process:
        assert process.hear() == repr(Record("a", 1, b"1"))
        assert process.hear() == "2"
        assert store.get("b") == Record("b", 2, b"2")
        assert store.put("a", b"3") == 3
        process.say()
        assert process.hear() == repr(Record("a", 3, b"3"))
        assert process.join() == 0


def test_writes_of_several_processes_exclude_each_other(store: JsonStore) -> None:
    """Of all who count up one record by compare-and-set none loses a step, though the log is written anew."""

    def count(_: Line) -> None:
        done = 0
        while done < 100:
            record = store.get("n")  # in a forked child: it opens the file anew
            version, value = (record.version, int(record.value or b"0")) if record else (0, 0)
            done += store.compare_and_set([Write("n", version, b"%d" % (value + 1))]) is not None

    with child(count) as one, child(count) as two:
        while store.compare_and_set([Write("large", 0, LARGE)]) is None:
            pass
        for _ in range(10):
            store.compact()
        assert (one.join(), two.join()) == (0, 0)
    record = store.get("n")
    assert record is not None
    assert record.value == b"200"


def test_threads_share_a_store(store: JsonStore) -> None:
    """Calls of several threads are calls one after the other."""

    def work(name: str) -> None:
        for n in range(50):
            store.put(f"{name}{n}", b"%d" % n)
            assert store.get(f"{name}{n}") is not None

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_keys(store)) == 200


def test_a_pickled_store_opens_the_same_file(store: JsonStore) -> None:
    """Where it is unpickled, with the same policy."""
    store.put("a", b"1")
    with pickle.loads(pickle.dumps(store)) as other:
        assert (other.path, other.fsync, _keys(other)) == (store.path, "never", ["a"])


def test_use_in_a_signal_handler_is_refused(store: JsonStore) -> None:
    """In the middle of another call of the same thread it can neither wait nor run: it is told so."""
    with pytest.raises(StorageError, match="signal handler or finalizer"):
        store._turn.run(store.get, "a")
    assert store.get("a") is None


def test_a_removed_lock_file_is_made_again(store: JsonStore, open_store: OpenStore, path: Path) -> None:
    """Whoever removes the lock file does not part those who use the log."""
    other = open_store()
    os.unlink(f"{path}.lock")
    assert store.put("a", b"1") == 1
    assert other.put("b", b"2") == 2
    assert _keys(store) == _keys(open_store()) == ["a", "b"]


# --- written anew --------------------------------------------------------------------------------


def test_what_is_of_no_use_goes(store: JsonStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is bounded by what is there, and versions go on."""
    monkeypatch.setattr(log, "FLOOR", 10_000)
    for n in range(1, 1001):
        assert store.put(f"{n % 10}", b"%d" % n) == n
    assert path.stat().st_size < 12_000
    assert len(store._log.index.since(0)) == 10
    assert sorted(store._log.index.lines())[0].version > 990


def test_others_follow(store: JsonStore, open_store: OpenStore) -> None:
    """Whoever knew the old file knows the new one without reading it, and which records were removed."""
    other = open_store()
    for n in range(10):
        store.put(f"{n}", b"%d" % n)
    assert len(_keys(other)) == 10
    store.compare_and_set([Write("3", 4, None)])
    store.compact()
    store.put("new", b"1")
    assert [(record.key, record.version) for record in other.scan(10)] == [("3", 11), ("new", 12)]
    assert all(other.get(key) == store.get(key) for key in _keys(store))


def test_who_missed_it_begins_anew(store: JsonStore, open_store: OpenStore) -> None:
    """Whoever asks from before removals that are forgotten by now is told to begin anew."""
    other = open_store()
    store.put("a", b"1")
    store.put("b", b"2")
    assert _keys(other) == ["a", "b"]
    store.compare_and_set([Write("a", 1, None)])
    store.compact()
    store.compact()
    with pytest.raises(Forgotten):
        other.scan(2)
    assert list(other.scan()) == [Record("b", 2, b"2"), Record("", 3, None)]
    assert list(other.scan(3)) == []


def test_a_scan_goes_on_though_the_log_is_written_anew(store: JsonStore) -> None:
    """What was not given yet is found in the new file."""
    for n in range(600):
        store.put(f"{n}", b"%d" % n)
    records = iter(store.scan())
    first = next(records)
    store.put("0", b"again")
    store.compact()
    rest = list(records)
    assert first == Record("0", 1, b"0")
    assert [record.key for record in rest] == [*map(str, range(1, 600)), "0"]


# --- damage --------------------------------------------------------------------------------------


def test_a_torn_end_is_cut_off(store: JsonStore, open_store: OpenStore, path: Path) -> None:
    """What a writer left that was killed is not seen, and goes with the next write; nobody is alarmed."""
    store.put("a", b"1")
    with path.open("ab") as file:
        file.write(b'{"v":2,"to":3,"key":"b","json":1,"crc":')
    assert _keys(store) == _keys(open_store()) == ["a"]
    store.put("b", b"2")
    assert _keys(open_store()) == ["a", "b"]
    assert not Path(f"{path}.corrupt").exists()


def test_damage_is_set_aside(open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged line goes to a file of its own, is told once, and counted; all others stay."""
    writer = open_store()
    for key in "abc":
        writer.put(key, b'"%b"' % key.encode())
    writer.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"b"', b'"B"')
    path.write_bytes(b"".join(lines))

    store = open_store()
    assert _keys(store) == ["a", "c"]
    assert Path(f"{path}.corrupt").read_bytes() == lines[3]
    assert store.set_aside == open_store().set_aside == 1
    assert "1 damaged lines set aside" in repr(store)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path}: 1 damaged lines were set aside in {path}.corrupt; every other record is kept"
    )


def test_nobody_waits_for_who_reads_the_damage(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A FIFO where damage is to be set aside holds up nobody: it is told, and the records are there."""
    with open_store() as store:
        store.put("a", b"1")
    with path.open("ab") as file:
        file.write(b"damage\n")
    os.mkfifo(f"{path}.corrupt")
    assert open_store().get("a") == Record("a", 1, b"1")
    assert "cannot be set aside" in caplog.text


def test_damage_under_an_open_store(store: JsonStore, path: Path) -> None:
    """A line that is damaged after it was read: the write before it counts, and who asks begins anew."""
    store.put("a", b"1")
    store.put("a", b"2")
    content = path.read_bytes().replace(b'"json":2', b'"json":3')
    with path.open("r+b") as file:
        file.write(content)
    assert store.get("a") == Record("a", 1, b"1")
    with pytest.raises(Forgotten):
        store.scan(2)
    assert store.put("b", b"1") > 2


def test_a_file_that_lost_its_end(store: JsonStore, path: Path) -> None:
    """What is not there any more is not there; versions go on, and who asks begins anew."""
    store.put("a", b"1")
    size = path.stat().st_size
    store.put("b", b"2")
    os.truncate(path, size)
    assert _keys(store) == ["a"]
    with pytest.raises(Forgotten):
        store.scan(2)
    assert store.put("b", b"3") > 2


# --- what it refuses -----------------------------------------------------------------------------


def test_it_is_made_only_if_asked(path: Path, tmp_path: Path) -> None:
    """Without ``create`` a file that is not there is an error, and nothing is made."""
    with pytest.raises(QueueNotFound, match="there is no file"):
        JsonStore(path, create=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match=r"its directory does not exist"):
        JsonStore(path / "below")


def test_a_path_may_be_bytes(path: Path, tmp_path: Path) -> None:
    """As everywhere in Python; the files beside it have its name."""
    name: Any = os.fsencode(path)
    JsonStore(name).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, f"{path.name}.lock"]


def test_an_empty_file_is_none_yet(open_store: OpenStore, path: Path) -> None:
    """A file of ``mktemp`` becomes a log."""
    path.touch(0o600)
    assert open_store().put("a", b"1") == 1


@pytest.mark.parametrize("content", [b"\n", b"id,name\n1,one\n", b'{"an":"object"}\n', b"\x7fELF\x00", b"x"])
def test_a_stranger_is_left_alone(path: Path, tmp_path: Path, content: bytes) -> None:
    """A file that is no log is refused, and nothing is changed in it or made beside it."""
    path.write_bytes(content)
    with pytest.raises(CorruptQueue, match="is not a queue: it begins with"):
        JsonStore(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_version_is_refused(open_store: OpenStore, path: Path) -> None:
    """A log of another format is not misread."""
    from ipcq.backends.json.journal import Head

    path.write_bytes(Head("5f0c", version=2).encode())
    path.chmod(0o600)
    with pytest.raises(VersionMismatch, match=r"format 2; this version of ipcq reads format 1"):
        open_store()


def test_what_is_not_safe_is_refused(open_store: OpenStore, path: Path, tmp_path: Path) -> None:
    """A symbolic link, a directory, a pipe, and a file that others may write to; its own is 0600."""
    open_store().close()
    assert path.stat().st_mode & 0o777 == 0o600
    link, directory, fifo = tmp_path / "link", tmp_path / "directory", tmp_path / "fifo"
    link.symlink_to(path)
    directory.mkdir()
    os.mkfifo(fifo)
    with pytest.raises(UnsafeDirectory, match="is a symbolic link"):
        JsonStore(link)
    for other in (directory, fifo):
        with pytest.raises(CorruptQueue, match="is not a regular file"):
            JsonStore(other)
    path.chmod(0o622)
    with pytest.raises(UnsafeDirectory, match=r"can be written to by other users \(mode 622\)"):
        open_store()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a file away")
def test_another_users_file_is_refused(open_store: OpenStore, path: Path) -> None:
    """Even by root: who owns it may put anything there."""
    open_store().close()
    os.chown(path, 12345, -1)
    with pytest.raises(UnsafeDirectory, match="belongs to user 12345"):
        open_store()


def test_an_unknown_policy_is_refused(path: Path) -> None:
    """The error names those that there are."""
    with pytest.raises(ValueError, match=r"'always', 'interval', 'never', not 'sometimes'"):
        JsonStore(path, fsync="sometimes")


def test_after_its_end_it_is_closed(
    store: JsonStore, open_store: OpenStore, path: Path, tmp_path: Path
) -> None:
    """A closed handle and a removed file are told apart from a new one."""
    other, third = open_store(), open_store()
    other.close()
    other.close()
    with pytest.raises(QueueClosed, match="this handle was closed"):
        other.get("a")
    store.put("a", b"1")
    with pytest.raises(QueueInUse, match=r"other processes or handles attached; .*force=True"):
        store.destroy()
    store.destroy(force=True)
    assert list(tmp_path.iterdir()) == []
    for call in (lambda: third.get("a"), lambda: third.put("a", b"1")):
        with pytest.raises(QueueClosed, match="was removed; open it again"):
            call()
    assert _keys(open_store()) == []
    with pytest.raises(QueueClosed, match="was replaced by another queue"):
        third.get("a")


def test_it_can_be_read_with_other_tools(store: JsonStore, path: Path) -> None:
    """Every line of the file is a JSON object."""
    store.put("a", b'{"n":1}')
    store.put("b", b"\xff")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert rows[0] == rows[1]
    assert rows[0]["ipcq"] == "json"
    assert rows[2]["json"] == {"n": 1}
