"""How far runs are, behind a socket: few messages, and no handler that waits for a server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ipcq import MemoryStorage, Pipe, Progress
from ipcq.backends.pipe import channels, working
from ipcq.backends.pipe.frames import Verb

from .serving import kill, serving


def test_ten_thousand_calls_are_few_messages(
    queue: MemoryStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told last goes with the heartbeat."""
    sent: list[Verb] = []
    begin = channels.Channel.begin

    def counted(self: channels.Channel, verb: Verb, *args: object, **options: object) -> None:
        sent.append(verb)
        begin(self, verb, *args, **options)  # type: ignore[arg-type] # passed on as it came

    endpoint = f"ipc://{tmp_path}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as pipe, pipe.register_worker("w") as lease:
        pipe.push(1)
        task = next(pipe.poll(lease))
        assert task is not None
        monkeypatch.setattr(channels.Channel, "begin", counted)
        for n in range(10_000):
            lease.progress(task, Progress(n, 9_999))
        assert sent.count(Verb.TELL) < 100
        lease.heartbeat()
        seen = queue.fetch_by_id(task.id)
        assert seen is not None
        assert seen.progress == Progress(9_999, 9_999)
        lease.finish(task, None)


@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then only the heartbeat asks; the next server is told what was told last."""
    monkeypatch.setattr(working, "_TELL_PATIENCE", 0.1)
    endpoint, url = f"ipc://{tmp_path}/socket", f"json://{tmp_path}/queue"
    with serving(url, endpoint) as server, Pipe(endpoint) as pipe:
        lease = pipe.register_worker("w")
        task_id = pipe.push(1)
        task = next(pipe.poll(lease))
        assert task is not None
        lease.progress(task, Progress(1))
        kill(server)
        time.sleep(0.3)  # the pace is over: it would be passed on
        lease.progress(task, Progress(2))
        begin = time.monotonic()
        for n in range(1000):
            lease.progress(task, Progress(n))
        assert time.monotonic() - begin < 5
        with serving(url, endpoint):
            lease.heartbeat()
            seen = pipe.fetch_by_id(task_id)
            assert seen is not None
            assert seen.progress == Progress(999)
            lease.finish(task, "done")
            lease.close()
