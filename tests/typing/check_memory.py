"""What the memory backend, the worker and the monitor are to a type checker. Never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipcq import (
    Backend,
    Cancel,
    ConfigExt,
    Expose,
    FetchById,
    Histograms,
    ListAllTasks,
    ListQueues,
    ListTasks,
    ListWorkers,
    MemoryStorage,
    Metrics,
    Monitor,
    Queue,
    RegisterWorker,
    Reschedule,
    ResumeAbandoned,
    ResumeById,
    TaskSink,
    Update,
    Vacuum,
    WaitForCompletion,
    WeakTaskSink,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type


def memory_has_every_capability_of_this_version(storage: MemoryStorage) -> None:
    _backend: Backend = storage
    _config: ConfigExt = storage
    _sink: TaskSink = storage
    _fetch: FetchById = storage
    _register: RegisterWorker = storage
    _resume: ResumeAbandoned = storage
    _wait: WaitForCompletion = storage
    _vacuum: Vacuum = storage
    _tasks: ListTasks = storage
    _workers: ListWorkers = storage
    _queues: ListQueues = storage
    _all: ListAllTasks = storage
    _metrics: Metrics = storage
    _histograms: Histograms = storage
    _exposed: Expose = storage
    _weak: WeakTaskSink = storage
    _cancel: Cancel = storage
    _update: Update = storage
    _reschedule: Reschedule = storage
    _again: ResumeById = storage
    assert_type(storage.queue, Queue)


def a_monitor_takes_a_plain_function(storage: MemoryStorage) -> None:
    def handler(number: int) -> int:
        return number

    with MemoryStorage("name", capacity=10, ephemeral=True) as queue, Monitor(queue, handler, workers=2):
        queue.push(1)
