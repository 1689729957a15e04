from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from ipcq.backends.memory.namespace import queue_directory, queue_names
from ipcq.directory import base_directory, check_private
from ipcq.errors import QueueNotFound, StorageError, UnsafeDirectory
from ipcq.task import Queue

NAME = Queue("thumbs")
ROOT = os.geteuid() == 0
OTHER_USER = 12345


@pytest.fixture
def base(private_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base directory that does not exist yet."""
    base = private_directory / "base"
    monkeypatch.setenv("IPCQ_DIR", str(base))
    return base


def test_the_environment_chooses_the_directory(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPCQ_DIR is taken as it is, made absolute."""
    assert base_directory() == str(base)
    monkeypatch.setenv("IPCQ_DIR", "here")
    assert base_directory() == os.path.join(os.getcwd(), "here")


def test_by_default_each_user_has_a_directory_in_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPCQ_DIR, or with an empty one, the name has the user's id."""
    monkeypatch.setenv("IPCQ_DIR", "")
    monkeypatch.setattr(os.path, "isdir", lambda path: True)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert base_directory() == f"/dev/shm/ipcq-{os.geteuid()}"


def test_without_shared_memory_it_is_a_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /dev/shm is missing or closed, queues live with the temporary files."""
    monkeypatch.delenv("IPCQ_DIR")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert base_directory() == os.path.join(tempfile.gettempdir(), f"ipcq-{os.geteuid()}")


def test_directories_are_made_for_their_owner_only(base: Path) -> None:
    """Both levels have mode 0700, and making them twice is fine."""
    for _ in range(2):
        path = queue_directory(NAME, create=True)
    assert path == str(base / NAME)
    for directory in (base, base / NAME):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_missing_queue_is_said_so(base: Path) -> None:
    """Without ``create`` nothing is made, and the error names queue and place."""
    with pytest.raises(QueueNotFound, match=r"'thumbs' in .*base"):
        queue_directory(NAME, create=False)
    assert not base.exists()
    base.mkdir(mode=0o700)
    with pytest.raises(QueueNotFound):
        queue_directory(NAME, create=False)


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o702, 0o720, 0o777, 0o1777])
def test_a_directory_open_to_others_is_refused(base: Path, mode: int) -> None:
    """Any bit for group or others is one too many; the message has the mode and the way out."""
    base.mkdir()
    base.chmod(mode)
    with pytest.raises(UnsafeDirectory, match=rf"mode {mode:o}\).*IPCQ_DIR"):
        queue_directory(NAME, create=True)


def test_an_open_queue_directory_is_refused_too(base: Path) -> None:
    """The inner directory is checked as the outer one."""
    (base / NAME).mkdir(parents=True)
    base.chmod(0o700)
    (base / NAME).chmod(0o755)
    with pytest.raises(UnsafeDirectory, match="thumbs"):
        queue_directory(NAME, create=True)


@pytest.mark.skipif(not ROOT, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(base: Path) -> None:
    """Who owns a directory can put anything there."""
    base.mkdir(mode=0o700)
    os.chown(base, OTHER_USER, -1)
    with pytest.raises(UnsafeDirectory, match=f"belongs to user {OTHER_USER}"):
        queue_directory(NAME, create=True)


def test_a_symbolic_link_is_refused(base: Path, private_directory: Path) -> None:
    """A link could lead to any place at the next look."""
    target = private_directory / "target"
    target.mkdir(mode=0o700)
    base.symlink_to(target)
    with pytest.raises(UnsafeDirectory, match="symbolic link"):
        queue_directory(NAME, create=True)


def test_a_file_in_place_of_the_directory_is_refused(base: Path) -> None:
    """It is an UnsafeDirectory as well, not a NotADirectoryError."""
    base.touch()
    with pytest.raises(UnsafeDirectory, match="not a directory"):
        queue_directory(NAME, create=True)


def test_a_missing_parent_is_not_made(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped IPCQ_DIR is an error that says what is missing."""
    monkeypatch.setenv("IPCQ_DIR", str(base / "a" / "b"))
    with pytest.raises(StorageError, match="parent directory does not exist"):
        queue_directory(NAME, create=True)


def test_a_file_as_parent_is_an_error(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system says comes with the advice."""
    base.touch()
    monkeypatch.setenv("IPCQ_DIR", str(base / "a"))
    with pytest.raises(StorageError, match="IPCQ_DIR"):
        queue_directory(NAME, create=True)
    with pytest.raises(UnsafeDirectory, match="cannot look at"):
        check_private(str(base / "a"))


def test_queues_are_listed_by_name(base: Path) -> None:
    """Sorted; what cannot be a queue's name is left out; no directory is no queue."""
    assert queue_names() == []
    for name in ("b", "a"):
        queue_directory(Queue(name), create=True)
    (base / ".hidden").mkdir()
    (base / "with space").mkdir()
    assert queue_names() == ["a", "b"]


def test_a_base_that_is_not_private_lists_nothing(base: Path) -> None:
    """Names in a directory of somebody else are not to be trusted."""
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(UnsafeDirectory):
        queue_names()
