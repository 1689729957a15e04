"""How a worker sends: never held up for long, and nothing lost without a word."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcq import TaskId, UnsafeDirectory
from ipcq.logs import address
from ipcq.logs.channel import Channel, Channels, Patience
from ipcq.logs.messages import Dropped, Origin, Output, dump_output, load
from ipcq.testing import FakeClock

ORIGIN = Origin(TaskId.new(), "w-0", "thumbs")
LINE = dump_output(ORIGIN, "stdout", "x" * 1000)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel that does not wait, and the receiver's end of it."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.setblocking(False)
    patience = Patience(FakeClock(0))
    patience.spent(1.0)
    channel = Channel(near, patience)
    yield channel, far
    channel.close()
    far.close()


def _received(far: socket.socket) -> list[object]:
    found: list[object] = []
    try:
        while data := far.recv(1 << 17):
            found.append(load(data))
    except BlockingIOError:
        pass
    return found


def test_what_there_is_no_room_for_is_counted_and_told(ends: tuple[Channel, socket.socket]) -> None:
    """How many, in the place where they are missing."""
    channel, far = ends
    while not channel.dropped:
        channel.send(ORIGIN, LINE)
    channel.send(ORIGIN, LINE)
    assert channel.dropped == 2
    assert all(isinstance(found, Output) for found in _received(far))

    channel.send(ORIGIN, LINE)
    assert channel.dropped == 0
    assert _received(far) == [Dropped(ORIGIN, 2), load(LINE)]


def test_the_end_of_a_run_tells_too(ends: tuple[Channel, socket.socket]) -> None:
    """Though nothing more is sent."""
    channel, far = ends
    while not channel.dropped:
        channel.send(ORIGIN, LINE)
    channel.settle()
    assert channel.dropped == 1  # there still is no room
    _received(far)
    channel.settle()
    assert _received(far) == [Dropped(ORIGIN, 1)]
    while not channel.dropped:
        channel.send(ORIGIN, LINE)
    _received(far)
    channel.close()
    assert _received(far) == [Dropped(ORIGIN, 1)]


def test_one_that_is_gone_costs_nothing(ends: tuple[Channel, socket.socket]) -> None:
    """It is noticed by the next message, and nothing is sent after that."""
    channel, far = ends
    far.close()
    channel.send(ORIGIN, LINE)
    assert channel.gone
    channel.send(ORIGIN, LINE)
    channel.close()
    channel.send(ORIGIN, LINE)


def test_one_that_a_handler_closed_fails_no_other_run() -> None:
    """As `os.closerange` does."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        channel = Channel(near)
        os.close(near.fileno())
        channel.send(ORIGIN, LINE)
        channel.close()
        assert channel.gone


def test_a_message_that_is_too_long_for_the_system_is_one_that_is_dropped() -> None:
    """The others go on."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    channel = Channel(near)
    channel.send(ORIGIN, b"x" * 50_000)
    assert (channel.dropped, channel.gone) == (1, False)
    channel.send(ORIGIN, dump_output(ORIGIN, "stdout", "x"))
    far.setblocking(False)
    assert len(_received(far)) == 2
    channel.close()
    far.close()


def test_patience_is_bounded() -> None:
    """A tenth of a second, then a fiftieth of the time; never more than that tenth at once."""
    clock = FakeClock(0)
    patience = Patience(clock)
    assert patience.left() == pytest.approx(0.1)
    patience.spent(0.1)
    assert patience.left() == pytest.approx(0.0)
    clock.advance(1)
    assert patience.left() == pytest.approx(0.02)
    clock.advance(1000)
    assert patience.left() == pytest.approx(0.1)


def test_a_full_receiver_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as patience lasts; what finds room meanwhile is sent."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel, waits = Channel(near), list[float]()

    def make_room(_: socket.socket, seconds: float) -> None:
        waits.append(seconds)
        far.setblocking(False)
        _received(far)

    monkeypatch.setattr("ipcq.logs.channel._wait_for_room", make_room)
    while not waits:
        channel.send(ORIGIN, LINE)
    assert channel.dropped == 0
    assert 0 < waits[0] <= 0.1
    channel.close()
    far.close()


# --- where a receiver is reached ------------------------------------------------------------------


def _names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory / ".logs"))


def test_a_receiver_is_reached_by_its_name(private_directory: Path) -> None:
    """For its user alone; one that has ended is reached no more."""
    path, listener = address.listen()
    name = os.path.basename(path)
    assert address.is_name(name)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(private_directory / ".logs").st_mode & 0o777 == 0o700
    channels = Channels()
    assert channels.get(name) is channels.get(name) is not None
    address.remove(path)
    listener.close()
    assert address.connect(name) is None
    channels.close()


def test_the_next_receiver_removes_what_killed_ones_left(private_directory: Path) -> None:
    """And none that lives, nor one that is being made."""
    dead, listener = address.listen()
    listener.close()
    lives, other = address.listen()
    assert _names(private_directory) == [os.path.basename(lives)]
    unfinished = Path(f"{dead}.new")
    unfinished.touch()
    address.sweep()
    assert _names(private_directory) == sorted([os.path.basename(lives), unfinished.name])
    os.utime(unfinished, (0, 0))
    assert address.sweep() == 1
    other.close()


def test_a_long_directory_does_no_harm(private_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address has 108 bytes, a path more."""
    deep = private_directory / ("x" * 120)
    deep.mkdir(0o700)
    monkeypatch.setenv("IPCQ_DIR", str(deep))
    path, listener = address.listen()
    channel = address.connect(os.path.basename(path))
    assert channel is not None
    channel.close()
    listener.close()
    address.sweep()
    assert _names(deep) == []


def test_others_must_not_reach_it(private_directory: Path) -> None:
    """A directory that is open to others is refused, by the receiver with an error, by workers in silence."""
    path, listener = address.listen()
    os.chmod(private_directory / ".logs", 0o755)
    with pytest.raises(UnsafeDirectory):
        address.listen()
    assert address.connect(os.path.basename(path)) is None
    assert address.sweep() == 0
    listener.close()


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a" * 31, "A" * 32, "a" * 32 + "\n", "/" + "a" * 31, 7, None]
)
def test_only_names_are_names(name: object) -> None:
    """Metadata come from anybody who can push: they lead nowhere else."""
    assert not address.is_name(name)


def test_a_worker_keeps_few_sockets() -> None:
    """One to each of the last receivers that its tasks named."""
    made = [address.listen() for _ in range(10)]
    channels = Channels()
    names = [os.path.basename(path) for path, _ in made]
    first = channels.get(names[0])
    for name in names:
        channels.get(name)
    assert repr(channels) == "<Channels: 8>"
    assert first is not None
    assert first.gone
    second = channels.get(names[2])
    assert second is not None
    second.runs = 1
    for name in names:
        channels.get(name)
    assert (second.gone, repr(channels)) == (False, "<Channels: 8>")
    channels.close()
    for _, listener in made:
        listener.close()
