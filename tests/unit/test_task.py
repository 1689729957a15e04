"""Task, TaskId and Queue."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import CodecError, Queue, Status, Task, TaskId

IDS = st.integers(1, (1 << 128) - 1).map(TaskId)


@pytest.mark.parametrize("name", ["a", "thumbs", "A-Z_0.9", "-", "x" * 128])
def test_a_queue_name_is_a_str(name: str) -> None:
    """A valid name equals the str it was made from."""
    assert Queue(name) == name
    assert isinstance(Queue(name), str)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "ü", "x" * 129, "a\n", "a\0", 7, None, b"a"])
def test_a_bad_queue_name_is_refused(name: object) -> None:
    """Whatever could not be a file's name everywhere is a ValueError that says what may be used."""
    with pytest.raises(ValueError, match="is not a queue name: use 1 to 128 of"):
        Queue(name)  # type: ignore[arg-type]


def test_an_id_is_a_uuid_of_version_7_of_this_moment() -> None:
    """Its text is a UUID's, with version, variant and time as RFC 9562 puts them."""
    before = time.time()
    made = TaskId.new()
    after = time.time()

    as_uuid = uuid.UUID(str(made))
    assert as_uuid.int == made
    assert as_uuid.version == 7
    assert as_uuid.variant == uuid.RFC_4122
    assert before - 0.001 <= made.timestamp <= after


def test_ids_are_unique_and_ordered_by_time() -> None:
    """Of many ids made in a row none repeats, and each later moment has the larger id and text."""
    first = [TaskId.new() for _ in range(2000)]
    time.sleep(0.001)
    second = [TaskId.new() for _ in range(2000)]

    assert len({*first, *second}) == 4000
    assert max(first) < min(second)
    assert max(map(str, first)) < min(map(str, second))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_ids_are_unique_after_fork() -> None:
    """A forked child makes other ids than its parent."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, b"".join(TaskId.new().to_bytes(16, "big") for _ in range(200)))
        os._exit(0)
    here = {TaskId.new() for _ in range(200)}
    os.waitpid(child, 0)
    there = os.read(reader, 16 * 200)
    os.close(reader)
    os.close(writer)

    ids = {int.from_bytes(there[at : at + 16], "big") for at in range(0, len(there), 16)}
    assert len(ids) == 200
    assert not ids & here


@given(IDS)
def test_an_id_survives_every_form(made: TaskId) -> None:
    """Text, number, UUID and pickle all lead back to the same id."""
    for form in (str(made), f"{made}", int(made), uuid.UUID(int=made), made):
        assert TaskId.parse(form) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert repr(made) == f"TaskId('{made}')"
    assert len(str(made)) == 36


@pytest.mark.parametrize("text", ["", "x" * 36, "1234", 0, -1, 1 << 128, True, None, 1.5, b"a" * 36])
def test_what_is_no_id_is_refused(text: object) -> None:
    """`TaskId.parse` raises ValueError for everything else, with an example of an id."""
    with pytest.raises(ValueError, match=r"is not a task id: expected 36 characters such as \w{8}-"):
        TaskId.parse(text)  # type: ignore[arg-type]


def test_a_task_takes_its_parts() -> None:
    """`Task.of` sets the parts it is given, and the defaults of the others."""
    task = Task.of({"n": 1}, priority=3, max_attempts=5)

    assert task.args == {"n": 1}
    assert (task.priority, task.max_attempts, task.max_deaths) == (3, 5, 2)
    assert task.status is Status.PENDING
    assert Task.of(1).id != Task.of(1).id


def test_an_unknown_part_is_refused() -> None:
    """A misspelt part is a TypeError, not a part that does nothing."""
    with pytest.raises(TypeError, match="prioritee"):
        Task.of(1, prioritee=3)


def test_arguments_are_decoded_once_and_when_read() -> None:
    """A payload is decoded by the first look at `args`, and only then."""
    seen: list[bytes | memoryview] = []

    def decode(data: bytes | memoryview) -> int:
        seen.append(data)
        return 42

    task: Task[int] = Task(TaskId.new(), payload=b"x", _decode=decode)
    assert not seen
    assert (task.args, task.args) == (42, 42)
    assert seen == [b"x"]


def test_a_damaged_payload_fails_only_who_reads_it() -> None:
    """A task whose payload cannot be decoded can be looked at; its `args` raise CodecError."""

    def decode(data: bytes | memoryview) -> int:
        raise CodecError("not msgpack")

    task: Task[int] = Task(TaskId.new(), payload=b"x", _decode=decode)
    assert str(task.id) in repr(task)
    for _ in range(2):
        with pytest.raises(CodecError, match="not msgpack"):
            _ = task.args


def test_a_payload_that_was_not_read_is_no_none() -> None:
    """A listing may leave payloads out; asking for such a task's `args` says so."""
    task: Task[int] = Task(TaskId.new(), _decode=lambda data: 0)

    with pytest.raises(CodecError, match="was not read"):
        _ = task.args


def test_arguments_can_be_set() -> None:
    """Arguments that are set replace those that were read, and the payload with them."""
    task: Task[str] = Task(TaskId.new(), payload=b"read", _decode=lambda data: bytes(data).decode())
    task.args = "set"
    assert (task.args, task.payload) == ("set", None)
