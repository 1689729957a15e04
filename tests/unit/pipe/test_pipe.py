"""A server and its clients: what the contract does not ask of every backend."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from ipcq import (
    CustomBackend,
    DuplicateTask,
    LeaseLost,
    MemoryStorage,
    NotSupported,
    Pipe,
    PushError,
    QueueClosed,
    QueueInUse,
    Status,
    StorageError,
    Task,
    TaskId,
    TaskNotFound,
    WaitTimeout,
    Worker,
)
from ipcq.backend import TaskStream
from ipcq.backends.liveness import own_identity
from ipcq.backends.pipe import channels as channels_module
from ipcq.backends.pipe.frames import Request, Verb, write_request
from ipcq.backends.pipe.server import Server

PATIENCE = 20.0


@pytest.fixture
def endpoint(private_directory: Path) -> str:
    """Where the server is."""
    return f"ipc://{private_directory}/socket"


@pytest.fixture
def server(queue: MemoryStorage, endpoint: str) -> Iterator[Server]:
    """One over an empty queue."""
    with Pipe.serve(queue, endpoint) as serving:
        yield serving


@pytest.fixture
def pipe(server: Server, endpoint: str) -> Iterator[Pipe]:
    """A client of it."""
    with Pipe(endpoint) as client:
        yield client


def test_both_sides_show_their_state(pipe: Pipe, server: Server) -> None:
    """What they are connected to, and what goes on, is in their text."""
    assert repr(pipe) == f"<Pipe to 'queue-0' at {pipe.endpoint!r} [open]>"
    assert "[1 sockets, 0 wait]" in repr(server)
    pipe.close()
    assert repr(pipe).endswith("[closed]>")
    server.close()
    assert repr(server).endswith("[not serving]>")


def test_one_server_for_each_path(queue: MemoryStorage, pipe: Pipe, endpoint: str) -> None:
    """A second one is refused, and the first one's clients do not notice."""
    with pytest.raises(QueueInUse), Pipe.serve(queue, endpoint):
        pass
    assert pipe.push(1)


def test_nobody_is_there(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening waits for a server for a moment, and says so when there is none."""
    monkeypatch.setattr("ipcq.backends.pipe.client._FIRST_PATIENCE", 0.1)
    with pytest.raises(StorageError, match="no server answered"):
        Pipe(endpoint)


def test_a_backend_that_cannot_be_served(endpoint: str) -> None:
    """One of functions has not what the other side needs."""
    with pytest.raises(NotSupported, match=r"Pipe\.serve"):
        Pipe.serve(CustomBackend(fetch=lambda: None, ack=lambda task, result: None), endpoint)


def test_pickle_over_tcp(make_queue: Any) -> None:
    """A queue with the codec pickle is not served to a network."""
    with pytest.raises(StorageError, match="pickle"):
        Pipe.serve(make_queue(codec="pickle"), "tcp://127.0.0.1:*")


def test_pickle_over_a_path(make_queue: Any, endpoint: str) -> None:
    """Over a path it is, and the server decodes nothing of it."""
    with Pipe.serve(make_queue(codec="pickle"), endpoint), Pipe(endpoint) as client:
        client.push({1, 2})
        with client.register_worker("worker") as lease:
            task = next(client.poll(lease))
            assert task is not None
            assert task.args == {1, 2}


def test_what_nobody_can_have_written(server: Server, pipe: Pipe, endpoint: str) -> None:
    """It is counted and dropped; requests that make no sense are refused; others are served meanwhile."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.connect(endpoint)
        for frames in ([b"", b""], [b"\xc1"], [b"\x91" * 10_000], [b"x"] * 2000):
            stranger.send_multipart(frames)
        bodies = [None, [], [1], ["x"] * 9, [b"x"], {"a": 1}]
        number = 0
        for verb in Verb:
            for body in bodies:
                number += 1
                stranger.send_multipart(write_request(Request(number, verb, body)))
                assert stranger.poll(round(PATIENCE * 1000))
                stranger.recv_multipart()
    assert pipe.push("served")
    assert server.refusals.counts["malformed messages"] == 4


def test_a_request_that_comes_twice_is_done_once(server: Server, pipe: Pipe, endpoint: str) -> None:
    """The second one gets the answer of the first."""
    pipe.push_bulk([1, 2])
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.linger = 0
        client.connect(endpoint)
        request = write_request(Request(1, Verb.VACUUM, [0, [3]]))
        answers = []
        for _ in range(2):
            client.send_multipart(request)
            assert client.poll(round(PATIENCE * 1000))
            answers.append(client.recv_multipart())
            with pipe.register_worker("worker") as lease:  # what a second vacuum would remove
                task = next(pipe.poll(lease))
                assert task is not None
                lease.finish(task, None)
    assert answers[0] == answers[1]
    assert pipe.list_tasks().total == 2


def test_it_can_be_pickled(pipe: Pipe) -> None:
    """What is unpickled is another connection to the same queue."""
    with pickle.loads(pickle.dumps(pipe)) as again:
        task_id = again.push(1)
    assert pipe.fetch_by_id(task_id) is not None


def _push_and_leave(pipe: Pipe) -> None:
    pipe.push("child")


def test_a_forked_child_connects_anew(pipe: Pipe) -> None:
    """The child pushes, the parent goes on, and neither disturbs the other."""
    pipe.push("before")
    process = multiprocessing.get_context("fork").Process(target=_push_and_leave, args=(pipe,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    pipe.push("after")
    assert [task.args for task in pipe.list_tasks().items] == ["after", "child", "before"]


def test_a_lease_is_not_inherited(pipe: Pipe) -> None:
    """A forked child cannot end its parent's task."""
    pipe.push(1)
    with pipe.register_worker("worker") as lease:
        task = next(pipe.poll(lease))
        assert task is not None
        child = os.fork()
        if not child:
            status = 1
            try:
                lease.finish(task, "child")
            except LeaseLost:
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        lease.finish(task, "parent")
    assert pipe.wait(task.id, PATIENCE).unwrap() == "parent"


def test_closing_ends_a_wait(pipe: Pipe) -> None:
    """Who waits in another thread is told that the pipe was closed."""
    waiting = pipe.wait_for([pipe.push(1)], PATIENCE)
    told: list[BaseException] = []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        try:
            next(waiting)
        except BaseException as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait(PATIENCE)
    pipe.close()
    thread.join(PATIENCE)
    assert [type(error) for error in told] == [QueueClosed]


def test_too_much_for_one_message(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload over the bound is refused where it is pushed."""
    monkeypatch.setattr("ipcq.backends.pipe.frames.LARGEST_SMALL", 10)
    monkeypatch.setattr("ipcq.backends.pipe.frames.LARGEST_BLOB", 1000)
    with pytest.raises(PushError, match="payload of"):
        pipe.push(b"x" * 2000)
    assert pipe.push(b"x")


@pytest.mark.slow
def test_a_bulk_larger_than_a_message(pipe: Pipe) -> None:
    """It arrives in its order, in as many messages as it needs."""
    ids = pipe.push_bulk(range(1000))
    assert len(set(ids)) == 1000
    worker = Worker("worker", pipe, lambda args: args)
    worker.run(until_empty=True)
    assert [result.value for result in pipe.wait_for(ids, PATIENCE)] == list(range(1000))


# --- a server that ends ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_new_server_is_found(queue: MemoryStorage, endpoint: str) -> None:
    """Clients go on with the next server at the same endpoint, who waits for results among them."""
    with Pipe.serve(queue, endpoint):
        client = Pipe(endpoint)
        first = client.push("first")
        waiting = client.wait_for([first], PATIENCE)
        assert waiting.ready(0.0) == []
    with Pipe.serve(queue, endpoint), client:
        second = client.push("second")
        waiting.add([second])
        Worker("worker", client, lambda args: args).run(until_empty=True)
        assert {result.value for result in waiting} == {"first", "second"}


def test_a_worker_of_an_ended_server(queue: MemoryStorage, endpoint: str) -> None:
    """In the server's own process its task was given back; the worker goes on with the next server."""
    with Pipe.serve(queue, endpoint):
        client = Pipe(endpoint)
        task_id = client.push("task")
        lease = client.register_worker("worker")
        stream = client.poll(lease)
        task = next(stream)
        assert task is not None
    with Pipe.serve(queue, endpoint), client:
        with pytest.raises(LeaseLost):
            lease.finish(task, "late")
        assert not lease.give_back(task)
        assert not lease.postpone(task, 60)
        taken = _next(stream)
        assert (taken.id, taken.deaths) == (task_id, 0)
        lease.finish(taken, "in time")
        assert client.wait(task_id, PATIENCE).unwrap() == "in time"


def test_an_acknowledgement_that_was_lost(
    queue: MemoryStorage, server: Server, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that was stored by a server which ended before it said so is stored once, and succeeds."""
    told: list[Any] = []
    answer = channels_module.Channel.answer

    def stored_before(channel: Any, is_over: Any, patience: float = 0.0) -> Any:
        told.append(channel)
        channel._resent = True
        return answer(channel, is_over, PATIENCE)

    tasks = [Task.of(n) for n in range(3)]
    queue.push_all([Task.of(task.args, id=task.id) for task in tasks[:2]])
    monkeypatch.setattr(channels_module.Channel, "answer", stored_before)
    assert pipe.push_all(tasks) == [task.id for task in tasks]
    assert told
    assert [task.args for task in pipe.list_tasks().items] == [2, 1, 0]


def test_an_id_that_is_there_is_refused(pipe: Pipe) -> None:
    """A duplicate that was not sent twice is the caller's."""
    task_id = pipe.push(1, id=TaskId.new())
    with pytest.raises(DuplicateTask):
        pipe.push(1, id=task_id)


_SERVER = """
import sys
from ipcq import MemoryStorage, Pipe
with Pipe.serve(MemoryStorage("killed"), sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.read()
"""


def _start_server(endpoint: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_servers_that_are_killed(endpoint: str) -> None:
    """A client pushes while its server is killed ten times: all that it pushed is there, once, in order."""
    process = _start_server(endpoint)
    pushed: list[TaskId] = []
    stop = threading.Event()
    with MemoryStorage("killed", create=False) as behind, Pipe(endpoint) as client:
        restarted = threading.Event()

        def push() -> None:
            while not stop.is_set():
                pushed.append(client.push(len(pushed)))
                restarted.set()

        thread = threading.Thread(target=push)
        thread.start()
        try:
            for _ in range(10):
                restarted.clear()
                assert restarted.wait(PATIENCE)
                _kill(process)
                process = _start_server(endpoint)
        finally:
            stop.set()
            thread.join(2 * PATIENCE)
            _kill(process)
        assert len(set(pushed)) == len(pushed)
        total = behind.list_tasks().total
        assert total == len(pushed)
        Worker("worker", behind, lambda args: args).run(until_empty=True)
        assert [result.value for result in behind.wait_for(pushed, PATIENCE)] == list(range(len(pushed)))
        behind.destroy(force=True)


# --- workers that cannot be seen ------------------------------------------------------------------


def test_a_silent_worker_of_another_machine(
    queue: MemoryStorage, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time of silence its task is given back, nothing charged, and what it ends late is refused."""
    elsewhere = own_identity()._replace(boot=own_identity().boot ^ 1)
    with Pipe.serve(queue, endpoint, dead_after=0.2), Pipe(endpoint) as client:
        task_id = client.push("task")
        with monkeypatch.context() as patch:
            patch.setattr("ipcq.backends.pipe.working.own_identity", lambda: elsewhere)
            far = client.register_worker("far")
        task = next(client.poll(far))
        assert task is not None
        taken = _take(client, "near")
        assert (taken.id, taken.deaths) == (task_id, 0)
        with pytest.raises(LeaseLost):
            far.finish(task, "late")


@pytest.mark.slow
def test_a_worker_of_another_machine_that_is_heard(
    queue: MemoryStorage, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With heartbeats it keeps its task for longer than its time of silence."""
    elsewhere = own_identity()._replace(boot=own_identity().boot ^ 1)
    monkeypatch.setattr("ipcq.backends.pipe.working.own_identity", lambda: elsewhere)
    with Pipe.serve(queue, endpoint, dead_after=1.0) as server, Pipe(endpoint) as client:
        client.push("task")
        with client.register_worker("far") as far:
            task = next(client.poll(far))
            assert task is not None
            tended, first = 0, server._tended
            while tended < 4:  # housekeepings of the server, each half a second after the one before
                far.heartbeat()
                if server._tended != first:
                    tended, first = tended + 1, server._tended
            far.finish(task, "in time")
        assert client.wait(task.id, PATIENCE).unwrap() == "in time"


def _take(client: Pipe, worker: str) -> Task[Any]:
    return _next(client.poll(worker))


def _next(stream: TaskStream) -> Task[Any]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        task = next(stream)
        if task is not None:
            return task
    raise AssertionError("no task came")


def test_an_answer_that_cannot_travel(
    pipe: Pipe, queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for it is told so, and the server goes on."""
    task_id = queue.push(b"x" * 2000)
    small = queue.push(b"x")
    monkeypatch.setattr("ipcq.backends.pipe.frames.LARGEST_SMALL", 10)
    monkeypatch.setattr("ipcq.backends.pipe.frames.LARGEST_BLOB", 1000)
    with pytest.raises(StorageError, match="payload of"):
        pipe.fetch_by_id(task_id)
    assert pipe.fetch_by_id(small) is not None


def test_a_wait_without_time_finds_what_is_there(pipe: Pipe, queue: MemoryStorage) -> None:
    """Whoever ended the task: one that is done is not late."""
    Worker("near", queue, lambda args: args).run(until_empty=True)
    for worker in (queue, pipe):
        task_id = pipe.push(1)
        Worker("worker", worker, lambda args: args).run(until_empty=True)
        assert pipe.wait(task_id, 0).unwrap() == 1


def test_a_task_that_was_removed_after_a_wait(pipe: Pipe) -> None:
    """A second wait for it finds that there is none."""
    task_id = pipe.push(1)
    with pytest.raises(WaitTimeout):
        pipe.wait(task_id, 0)
    pipe.cancel(task_id)
    pipe.vacuum(statuses=(Status.KILLED,))
    with pytest.raises(TaskNotFound):
        pipe.wait(task_id, 0)
