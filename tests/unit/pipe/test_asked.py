"""What clients ask, right or wrong: the server looks at each field before it does anything."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipcq import MemoryStorage, Pipe, StorageError
from ipcq.backends.pipe import Server
from ipcq.backends.pipe.asked import ASKED, Kind, check_request
from ipcq.backends.pipe.desk import Desk
from ipcq.backends.pipe.frames import MOST_BLOBS, FrameError, Outcome, Request, Verb

from .stranger import ID, PARTS, stranger

LEASE = [0, 1, 1, 0]
RIGHT: list[Any] = [
    *(None, True, 0, 1, 3, 7, 5.0, "", "worker", "other", ID, b"\x80", b""),
    *([], ["layer"], [1, 2], LEASE, PARTS, [PARTS], [1 << 62] * 2),
    *([1.5, -7, 3, 0, 2.5, False, b"\x81\xa1a\x01"], [[0.0, 8, 1, 2, 60, True, b""]] * 2),
    *([[ID, LEASE]], ["Error", "text", "", b"\x80"], [1, 2, 3, 4], [[99999, -9, 0, False]]),
    *([[ID, LEASE, 1, 2.5]], [[ID, LEASE, 1, None]]),
    *([1, "limit", 2], [[1, "limit", 2]]),
    *([None, 1, 10, None], [3, 2, 1000, "worker"], [3, 5]),
]
"""Values of which each kind of field takes some: a verb with another kind adds one."""

WRONG = st.recursive(
    st.sampled_from([math.nan, math.inf, -math.inf, -1.5, 1e300, b"short", b"\0" * 16])
    | st.sampled_from([-1, 10**18, (1 << 64) - 1, -(1 << 63)])
    | st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)


def _right(kind: Kind) -> st.SearchStrategy[Any]:
    found = [value for value in RIGHT if kind.fits(value)]
    assert found, f"no value of RIGHT is {kind.told}"
    return st.sampled_from(found)


@st.composite
def _damaged(draw: st.DrawFn, value: Any) -> Any:
    """Something else, or a list of which one part is something else."""
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(_damaged(value[at])), *value[at + 1 :]]
    return draw(WRONG)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Verb, Any, list[bytes]]:
    """What could be asked, with up to two things wrong."""
    verb = draw(st.sampled_from(Verb))
    body: Any = [draw(_right(kind)) for kind in ASKED[verb].fields.values()]
    for _ in range(draw(st.integers(0, 2)) if body else 0):
        at = draw(st.integers(0, len(body) - 1))
        body[at] = draw(_damaged(body[at]))
    if not draw(st.integers(0, 20)):
        body = draw(WRONG)
    fewest, most = ASKED[verb].payloads
    count = draw(st.integers(fewest, min(most, 2)) | st.integers(0, 3))
    return verb, body, [b"\x01"] * count


@pytest.fixture
def server(queue: MemoryStorage, private_directory: Path) -> Iterator[Server]:
    """One whose queue has a task."""
    queue.push("there")
    with Pipe.serve(queue, f"ipc://{private_directory}/socket") as serving:
        yield serving


def test_each_verb_says_what_it_is_asked_with(queue: MemoryStorage) -> None:
    """A verb that does not cannot be asked for; who answers it takes those fields, by these names."""
    assert set(ASKED) == set(Verb)
    desk = Desk(queue, "msgpack", 10.0)
    found = {**desk._handlers, **desk._with_payload, **desk._of_client}
    assert set(found) == set(Verb)
    for verb, asked in ASKED.items():
        names = list(inspect.signature(found[verb]).parameters)
        before = ["blobs"] if verb in desk._with_payload else ["client"] if verb in desk._of_client else []
        assert names == [*before, *asked.fields], verb.name
        assert (asked.payloads > (0, 0)) == (verb in desk._with_payload), verb.name
        assert asked.payloads[1] <= MOST_BLOBS
        for kind in asked.fields.values():
            _right(kind)


@given(requests())
def test_whatever_is_asked_is_right_or_one_error(request: tuple[Verb, Any, list[bytes]]) -> None:
    """There is no request of which looking at it raises anything else."""
    try:
        values = check_request(Request(1, *request))
    except FrameError as error:
        told = str(error)
    else:
        told = request[0].name
        assert all(kind.fits(v) for kind, v in zip(ASKED[request[0]].fields.values(), values, strict=True))
    assert request[0].name in told
    assert len(told) < 1000


def test_whatever_is_asked_is_answered(
    server: Server, queue: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it ends a turn of the server, or stores what makes no sense."""
    with stranger(server.endpoint) as asking:

        @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
        @given(requests())
        def ask(request: tuple[Verb, Any, list[bytes]]) -> None:
            asking.send(*request)
            while asking.hear().outcome is Outcome.WELCOME:
                pass

        with caplog.at_level(logging.ERROR):
            ask()
        assert not caplog.records
    with Pipe(server.endpoint) as honest:
        assert honest.fetch_by_id(honest.push("served")) is not None
        for task in honest.list_tasks().items:
            assert 0 <= task.run_at < 1e11
            assert -7 <= task.priority <= 8
            assert task.id > 0
            assert task.timeout is None or 0 < task.timeout <= 1e9
            assert task.codec == "msgpack"
            task.args  # noqa: B018 - it can be decoded


@pytest.mark.parametrize(
    ("verb", "at", "value", "told"),
    [
        (Verb.PUSH, 1, [[math.nan, *PARTS[1:]]], "run_at"),
        (Verb.PUSH, 1, [[0.0, 10**18, *PARTS[2:]]], "priority"),
        (Verb.PUSH, 1, [[*PARTS[:4], -1.0, *PARTS[5:]]], "timeout"),
        (Verb.PUSH, 0, b"five!", "ids of 16 bytes"),
        (Verb.PUSH, 0, b"\0" * 16, "ids"),
        (Verb.PUSH, 0, ID * 2, "2 ids"),
        (Verb.PUSH, 1, [PARTS] * 3, "3 rows"),
        (Verb.PUSH, 1, [[*PARTS[:6], b"\x91\x01"]], "metadata is a map"),
        (Verb.PUSH, 2, -1, "wait"),
        (Verb.PUSH, 2, True, "wait"),
    ],
)
def test_what_is_wrong_is_told(server: Server, verb: Verb, at: int, value: Any, told: str) -> None:
    """The error names the field, and what it should have been; nothing is stored."""
    body = [ID, [PARTS], 0.0]
    body[at] = value
    with stranger(server.endpoint) as asking:
        with pytest.raises(StorageError, match=told):
            asking.ask(verb, *body, blobs=[b"\x01"])
        assert asking.ask(Verb.CHECK_STATUS, ID) == []


def test_a_verb_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be asked for."""
    monkeypatch.delitem(ASKED, Verb.HELLO)
    with pytest.raises(FrameError, match="HELLO cannot be asked for"):
        check_request(Request(1, Verb.HELLO))


def test_metadata_and_details_are_maps(server: Server) -> None:
    """What is packed inside a field is looked at, too."""
    with stranger(server.endpoint) as asking, pytest.raises(StorageError, match="are a map"):
        asking.ask(Verb.END_RUN, ID, ["Error", "", "", b"\x91\x01"], 1, 0.0)


def test_an_answer_that_changes_nothing_is_not_kept(server: Server) -> None:
    """Where its answer was lost it is asked once more; what changes something is answered as before."""
    with stranger(server.endpoint) as asking:
        asking.ask(Verb.LIST_ALL_TASKS, None)
        assert server._peers._kept == 0
        asking.ask(Verb.PUSH, ID, [PARTS], 0.0, blobs=[b"\x01"])
        assert server._peers._kept > 0
        asking.ask(Verb.GLOBAL_STATS)
        assert server._peers._kept == 0
