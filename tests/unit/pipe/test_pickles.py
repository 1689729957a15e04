"""Pickles do not come out of a socket that others can reach: neither tasks nor results, on neither side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ipcq
from ipcq import CodecError, MemoryStorage, Pipe, StorageError, TaskFailed
from ipcq.backends.pipe import Server
from ipcq.backends.pipe import client as client_module
from ipcq.backends.pipe.channels import Channels, Response
from ipcq.backends.pipe.wire import unpack_task
from ipcq.codecs import PickleCodec

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 20.0


class Bomb:
    """Goes off where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = os.fspath(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "x")


class Disguised(PickleCodec):
    """The same codec by another name."""

    name = "disguised"


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[Bomb]:
    """One that has not gone off at the end."""
    yield Bomb(tmp_path / "gone off")
    assert not (tmp_path / "gone off").exists()


@pytest.fixture
def server(queue: MemoryStorage) -> Iterator[Server]:
    """One on a port of this machine."""
    with Pipe.serve(queue, "tcp://127.0.0.1:*") as serving:
        yield serving


@pytest.mark.parametrize("codec", ["pickle", PickleCodec(), Disguised()])
def test_a_client_cannot_ask_for_it(server: Server, codec: Any) -> None:
    """By name, as an object, or by another name: over tcp it is refused, before anything is sent."""
    with pytest.raises(StorageError, match="codec is pickle"):
        Pipe(server.endpoint, codec=codec)


def test_a_queue_of_pickles_is_not_served(make_queue: MakeQueue) -> None:
    """Over tcp it is refused, with keys and without."""
    with pytest.raises(StorageError, match="codec is pickle"):
        Pipe.serve(make_queue(codec="pickle"), "tcp://127.0.0.1:*")


def test_a_server_that_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client does not believe a server that says that its queue's codec is pickle."""
    told = Response(["queue", {}, "pickle", []], (), False)
    monkeypatch.setattr(Channels, "call", lambda *_args, **_others: told)
    with pytest.raises(StorageError, match="codec is pickle"):
        Pipe(server.endpoint)


def test_a_task_that_says_so(
    server: Server, queue: MemoryStorage, bomb: Bomb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a task or result is said to be a pickle, whoever asks for its value gets an error instead."""
    with Pipe(server.endpoint) as client:
        task_id = client.push_task(ipcq.Task.of("args"))

        def lying(row: Any, blobs: Any, decoding: Any) -> Any:
            return unpack_task([*row[:-1], "pickle"], [PickleCodec().encode(bomb)], decoding)

        monkeypatch.setattr(client_module, "unpack_task", lying)
        task = client.fetch_by_id(task_id)
        assert task is not None
        assert task.codec == "pickle"
        with pytest.raises(CodecError, match="not known here"):
            task.args  # noqa: B018 - reading it decodes it


def test_a_result_that_says_so(
    server: Server, queue: MemoryStorage, bomb: Bomb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody on the server's machine may store pickles in its queue: nobody decodes one unasked."""
    with queue.reopened(PickleCodec()) as beside, Pipe(server.endpoint) as client:
        task_id, pushed = client.push("args"), beside.push(bomb)
        with beside.register_worker("beside") as lease:
            task = next(beside.poll(lease))
            assert task is not None
            lease.finish(task, bomb)
        with pytest.raises(TaskFailed, match="codec"):
            client.wait(task_id, PATIENCE).unwrap()
        found = client.fetch_by_id(pushed)
        assert found is not None
        with pytest.raises(CodecError):
            found.args  # noqa: B018 - reading it decodes it
        with client.register_worker("afar") as lease:
            task = next(client.poll(lease))
            assert task is not None
            with pytest.raises(CodecError):
                task.args  # noqa: B018 - reading it decodes it


def test_bytes_that_a_client_calls_a_task(server: Server, queue: MemoryStorage, bomb: Bomb) -> None:
    """What a client pushes is of the queue's codec, whatever its bytes are."""
    with Pipe(server.endpoint, codec="raw") as client:
        task_id = client.push(PickleCodec().encode(bomb))
        found = queue.fetch_by_id(task_id)
        assert found is not None
        assert found.codec == "msgpack"
        with pytest.raises(CodecError, match="not msgpack"):
            found.args  # noqa: B018 - reading it decodes it
