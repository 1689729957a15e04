from __future__ import annotations

import os
from pathlib import Path

import pytest

from ipcq import QueueInUse, StorageError, UnsafeDirectory
from ipcq.backends.pipe.endpoints import check_codec, check_directory, check_endpoint, holding


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("", "is no endpoint"),
        ("ipc://", "is no endpoint"),
        ("inproc://a", "is no endpoint"),
        ("ipc://a", "absolute"),
        ("ipc:///" + "a" * 107, "107 bytes"),
        ("tcp://127.0.0.1", "PORT"),
        ("tcp://:5000", "PORT"),
        ("tcp://127.0.0.1:http", "PORT"),
        ("tcp://127.0.0.1:70000", "PORT"),
    ],
)
def test_what_is_no_endpoint(endpoint: str, told: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=told):
        check_endpoint(endpoint)


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.168.1.2", "localhost", "[::]", "example.org"])
def test_other_machines_need_keys(host: str) -> None:
    """What is not surely this machine only is refused, with the reason."""
    with pytest.raises(StorageError, match=r"from other machines.*without keys"):
        check_endpoint(f"tcp://{host}:5000")


@pytest.mark.parametrize(
    "endpoint", ["ipc:///run/a", "tcp://127.0.0.1:5000", "tcp://127.1.2.3:*", "tcp://[::1]:5000"]
)
def test_what_is_this_machine_only(endpoint: str) -> None:
    """Paths and loopback addresses are accepted."""
    assert check_endpoint(endpoint) == endpoint


def test_pickle_is_for_paths_only() -> None:
    """Whoever may use the path is this user; whoever may use a port is not."""
    check_codec("ipc:///run/a", "pickle")
    check_codec("tcp://127.0.0.1:5000", "msgpack")
    with pytest.raises(StorageError, match="pickle"):
        check_codec("tcp://127.0.0.1:5000", "pickle")


def test_a_directory_of_everybody(private_directory: Path) -> None:
    """A socket where others can put one of theirs is refused, and so is none at all."""
    open_to_all = private_directory / "open"
    open_to_all.mkdir()
    os.chmod(open_to_all, 0o777)
    with pytest.raises(UnsafeDirectory, match="others could use"):
        check_directory(f"ipc://{open_to_all}/socket")
    with pytest.raises(StorageError, match="there is no directory"):
        check_directory(f"ipc://{private_directory}/none/socket")


def test_one_server_for_each_path(private_directory: Path) -> None:
    """A second one is refused as long as the first is there, in the same process, too."""
    endpoint = f"ipc://{private_directory}/socket"
    with holding(endpoint):
        with pytest.raises(QueueInUse, match="a live server is at"), holding(endpoint):
            pass
        with holding(f"ipc://{private_directory}/other"):
            pass
    with holding(endpoint):
        pass
