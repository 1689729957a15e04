"""Arguments and results of every size."""

from __future__ import annotations

from ...codecs import get_codec
from ...status import Status
from ..acts import finish, seen, take, work
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal
from ..scene import Scene

# Around what backends store in place, in one piece, or beside: bytes.
SIZES = (0, 1, 100, 256, 4096, 64 << 10, 256 << 10, (256 << 10) + 1, 1 << 20, 4 << 20)


def pattern(size: int) -> bytes:
    """Bytes of which no two neighbourhoods look alike."""
    return b"".join(n.to_bytes(4, "big") for n in range(1 + size // 4))[:size]


def arguments_of_every_size(scene: Scene) -> None:
    """Arguments from 0 bytes to 4 MiB come to a worker in another process as they were pushed."""
    there = scene.elsewhere()
    for size in SIZES:
        scene.backend.push(pattern(size))
        expect(there.do(work, 1) == [pattern(size)], f"{size} bytes came as others")


def results_of_every_size(scene: Scene) -> None:
    """Results from 0 bytes to 4 MiB come back from another process as they were returned."""
    there = scene.elsewhere()
    for size in SIZES:
        task_id = scene.backend.push(size)
        there.do(take)
        there.do(finish, task_id, pattern(size))
        result = scene.backend.wait(task_id, PATIENCE)
        expect(result.value == pattern(size), f"{size} bytes came back as others")


def of_every_size_at_once(scene: Scene) -> None:
    """Payloads of all sizes lie beside each other, and none is mistaken for another."""
    ids = scene.backend.push_bulk([pattern(size) for size in SIZES])
    there = scene.elsewhere()
    for size, task_id in zip(SIZES, ids, strict=True):
        expect(there.do(seen, task_id).args == pattern(size), f"the task of {size} bytes has others")
    there.do(work, len(ids))
    sizes = {result.task_id: len(result.unwrap()) for result in scene.backend.wait_for(ids, PATIENCE)}
    expect_equal(sizes, dict(zip(ids, SIZES, strict=True)), "sizes of the results")


def a_task_names_its_codec(scene: Scene) -> None:
    """Each task names the codec of its payload, and that codec reads it."""
    task_id = scene.backend.push({"a": 1})
    scene.elsewhere().do(work, 1)
    task = scene.backend.fetch_by_id(task_id)
    expect(task is not None and task.codec, "the task names no codec")
    if task is not None:
        codec = get_codec(task.codec)
        expect_equal(codec.decode(codec.encode(task.args)), {"a": 1}, "the arguments, there and back")
        expect_equal(task.status, Status.DONE, "its status")


CHECKS = [
    *proves("TaskSink", arguments_of_every_size),
    *proves("WaitForCompletion", results_of_every_size),
    *proves("WaitForCompletion", of_every_size_at_once, uses=["FetchById"], slow=True),
    *proves("Codec", a_task_names_its_codec, uses=["FetchById"]),
]
