"""How far runs are, in shared memory."""

from __future__ import annotations

import pytest

from ipcq import LeaseLost, MemoryStorage, Status, TaskId
from ipcq.backends.memory.layout import M_PROGRESS, META_WORDS, PROGRESS_TOLD, TOLD, WORD_MASK
from ipcq.backends.memory.progress import progress_of, progress_word
from ipcq.task import Progress


@pytest.mark.parametrize(
    "told", [Progress(0), Progress(0, 0), Progress(3, 10), Progress(1 << 24, 1 << 40), Progress(0.5, 0.25)]
)
def test_two_numbers_fit_into_a_word(told: Progress) -> None:
    """What 32 bits hold comes back as it was; the rest to seven digits."""
    word = progress_word(told)
    assert PROGRESS_TOLD <= word <= WORD_MASK
    assert progress_of(word) == told


def test_seven_digits_are_kept() -> None:
    """And more is never done than there is because of that."""
    done = progress_of(progress_word(Progress.of(123_456_789, 123_456_789.5)))
    assert done is not None
    assert done == pytest.approx((123_456_789, 123_456_789.5), rel=1e-7)
    assert str(progress_of(progress_word(Progress.of(-0.0, 1e38)))) == "0/1e+38"


def test_a_word_that_nobody_told_is_nothing() -> None:
    """Neither the number in an order that has that place at other times, nor garbage, is progress."""
    assert progress_of(0) is None
    assert progress_of((1 << 62) - 1) is None
    assert progress_of(WORD_MASK) is None
    assert progress_of(PROGRESS_TOLD | 0x7F80_0000) is None


def test_many_runs_of_many_workers(queue: MemoryStorage) -> None:
    """What all of them told, and nothing of those that are only held, or are not theirs any more."""
    ids = queue.push_bulk(range(9))
    leases = [queue.register_worker(f"w{n}") for n in range(3)]
    streams = [queue.poll(lease, prefetch=2) for lease in leases]
    tasks = [next(stream) for stream in streams]
    assert queue.running_progress() == (0, {})
    expected: dict[TaskId, Progress] = {}
    for n, (lease, task) in enumerate(zip(leases, tasks, strict=True)):
        assert task is not None
        lease.progress(task, Progress(n, 3))
        expected[task.id] = Progress(n, 3)
    since, found = queue.running_progress()
    assert found == expected
    assert queue.running_progress(since) == (since, {})
    first = tasks[0]
    assert first is not None
    leases[0].finish(first, None)
    assert queue.running_progress(-1) == (since, {i: told for i, told in expected.items() if i != first.id})
    with pytest.raises(LeaseLost):
        leases[0].finish(first, None)
    leases[0].progress(first, Progress(1))  # is no error
    assert queue.running_progress(since) == (since, {})
    assert queue.check_status(ids)[first.id] is Status.DONE
    for stream, lease in zip(streams, leases, strict=True):
        stream.close()
        lease.close()
    assert tasks[1] is not None
    leases[1].progress(tasks[1], Progress(1))
    assert queue.running_progress(-1) == (since, {})


def test_the_counter_goes_on_past_its_end(queue: MemoryStorage) -> None:
    """Whatever is in it."""
    words = queue._connection.words
    words[TOLD] = WORD_MASK
    queue.push(1)
    with queue.register_worker("w") as lease:
        task = next(queue.poll(lease))
        assert task is not None
        lease.progress(task, Progress(1))
        assert queue.running_progress(WORD_MASK) == (0, {task.id: Progress(1)})


def test_what_is_shown_is_read_as_one_word(queue: MemoryStorage) -> None:
    """A listing shows the word as it is, not as a copy of its bytes was."""
    task_id = queue.push(1)
    with queue.register_worker("w") as lease:
        task = next(queue.poll(lease))
        assert task is not None
        assert task.lease is not None
        words, at = queue._connection.words, queue._connection.core.meta_at
        slot = queue._reader.find(task_id)
        assert slot is not None
        words[at + task.lease.slot * META_WORDS + M_PROGRESS] = progress_word(Progress(2, 3))
        assert queue._reader.task(slot).progress == Progress(2, 3)
        words[at + task.lease.slot * META_WORDS + M_PROGRESS] = 77  # its end is being stored
        assert queue._reader.task(slot).progress is None
