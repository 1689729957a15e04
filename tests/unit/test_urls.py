"""Queues by URL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ipcq
from ipcq import ConfigMismatch, JsonStorage, MemoryStorage, Pipe, QueueNotFound, connect


def test_memory() -> None:
    """``memory://NAME`` is the queue of that name in shared memory, whoever made it."""
    with MemoryStorage("urls", capacity=32) as made, connect("memory://urls") as found:
        assert isinstance(found, MemoryStorage)
        assert found.config["capacity"] == 32
        found.push(1)
        assert len(made.list_tasks().items) == 1
        made.destroy(force=True)


def test_options_are_those_of_the_class() -> None:
    """Settings are passed on, and a mismatch is told as ever."""
    with pytest.raises(QueueNotFound):
        connect("memory://nowhere", create=False)
    with connect("memory://urls", capacity=16) as queue:
        assert isinstance(queue, MemoryStorage)
        with pytest.raises(ConfigMismatch):
            connect("memory://urls", capacity=17)
        queue.destroy()
    with pytest.raises(TypeError, match="colour"):
        connect("memory://urls", colour=1)


def test_the_environment_names_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL, ``IPCQ_URL`` is opened; without either, the error names both."""
    monkeypatch.setenv("IPCQ_URL", "memory://by-variable")
    with connect() as queue:
        assert isinstance(queue, MemoryStorage)
        assert queue.queue == "by-variable"
        queue.destroy()
    monkeypatch.setenv("IPCQ_URL", "")
    with pytest.raises(ValueError, match=r"set IPCQ_URL; known: memory://NAME, json:///PATH/FILE\.jsonl"):
        connect()


def test_a_path_is_no_url(tmp_path: Path) -> None:
    """What is not text is a TypeError that says what to pass."""
    not_text: Any = tmp_path / "queue.jsonl"
    with pytest.raises(TypeError, match=r"takes a URL as text, not PosixPath.*known: memory://NAME"):
        connect(not_text)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://host", "is no URL of a queue; known: memory://NAME, json:///PATH/FILE"),
        ("memory:name", "is no URL of a queue"),
        ("name", "is no URL of a queue"),
        ("", "which queue"),
        ("memory://", "lacks the name of a queue: write memory://NAME"),
        ("json://", "lacks the path of a file"),
        ("memory://a/b", "'a/b' is not a queue name"),
        ("memory://a?capacity=5", "settings are no part of a URL"),
        ("json:///a#b", "settings are no part of a URL"),
        ("pipe+tcp://", "lacks the address of a server: write pipe"),
        ("pipe+tcp://127.0.0.1", "write tcp://127.0.0.1:PORT"),
        ("pipe+ipc://path", "the path of a socket is absolute"),
    ],
)
def test_what_is_no_url_is_refused(url: str, told: str) -> None:
    """The error says what is wrong with it, and what there is."""
    with pytest.raises(ValueError, match=told):
        connect(url)


def test_connect_stays_a_function() -> None:
    """``ipcq.connect`` is the function, whatever was imported before it was used."""
    code = "import ipcq.urls, ipcq.cli; from ipcq import connect; import ipcq; print(ipcq.connect is connect)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True\n"
    assert callable(ipcq.connect)


def test_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``json:///PATH`` is the file of that path, ``json://PATH`` one in the current directory."""
    monkeypatch.chdir(tmp_path)
    with connect(f"json://{tmp_path}/a%20b.jsonl", fsync="never") as queue:
        queue.push(1)
    with connect("json://a b.jsonl") as queue:
        assert isinstance(queue, JsonStorage)
        assert len(queue.list_tasks().items) == 1
    assert "a b.jsonl" in os.listdir(tmp_path)


def test_a_queue_behind_a_socket(private_directory: Path) -> None:
    """``pipe+ipc:///PATH`` is the queue that a server has there."""
    with MemoryStorage("urls") as behind, Pipe.serve(behind, f"ipc://{private_directory}/a b"):
        with connect(f"pipe+ipc://{private_directory}/a%20b") as queue:
            assert isinstance(queue, Pipe)
            assert queue.queue == "urls"
        behind.destroy(force=True)
