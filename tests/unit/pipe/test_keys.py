"""Sockets that other machines can reach: who may connect, and what the others are told."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from ipcq import MemoryStorage, Pipe, StorageError, UnsafeDirectory
from ipcq.backends.pipe import Server, keyfiles, make_keys
from ipcq.backends.pipe import client as client_module
from ipcq.backends.pipe.keyfiles import KeyFiles, read_key
from ipcq.cli import main

PATIENCE = 20.0
Opening = Callable[..., Pipe]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with the keys of a server, a client and a stranger; the server knows the client's."""
    (tmp_path / "clients").mkdir(0o700)
    for name in ("server", "client", "stranger"):
        make_keys(tmp_path / name)
    (tmp_path / "client.key").rename(tmp_path / "clients" / "client.key")
    return tmp_path


@pytest.fixture
def server(queue: MemoryStorage, keys: Path) -> Iterator[Server]:
    """One that can be reached from everywhere, by that client."""
    clients = keys / "clients"
    with Pipe.serve(queue, "tcp://0.0.0.0:*", keys=keys / "server.key_secret", clients=clients) as serving:
        yield serving


@pytest.fixture
def opened(server: Server, keys: Path) -> Opening:
    """Opens a client."""

    def connect(own: str = "client", of: str = "server") -> Pipe:
        return Pipe(server.endpoint, keys=keys / f"{own}.key_secret", server=keys / f"{of}.key")

    return connect


def test_a_client_that_is_known(opened: Opening) -> None:
    """It is served, and so is its copy in another process."""
    with opened() as client:
        task_id = client.push("task")
        assert "secret" not in repr(client)
        with pickle.loads(pickle.dumps(client)) as copy:
            assert copy.fetch_by_id(task_id).args == "task"


def test_no_secret_travels(opened: Opening, keys: Path) -> None:
    """A pickled client names the files of its keys."""
    with opened() as client:
        secret = (keys / "client.key_secret").read_text().split('"')[-2]
        assert len(secret) == 40
        assert secret.encode() not in pickle.dumps(client)


def test_keys_of_the_environment(server: Server, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those are used where none are given; one alone is an error that names both."""
    monkeypatch.setenv("IPCQ_KEYS", str(keys / "client.key_secret"))
    with pytest.raises(ValueError, match="IPCQ_SERVER_KEY"):
        Pipe(server.endpoint)
    monkeypatch.setenv("IPCQ_SERVER_KEY", str(keys / "server.key"))
    with Pipe(server.endpoint) as client:
        assert client.queue


def test_a_client_that_is_not_known(opened: Opening) -> None:
    """It is told at once that its key is not among the clients'."""
    with pytest.raises(StorageError, match="not among its clients"):
        opened("stranger")


@pytest.mark.slow
def test_a_client_that_comes_to_be_known(opened: Opening, keys: Path) -> None:
    """A server reads new keys while it runs."""
    (keys / "stranger.key").rename(keys / "clients" / "stranger.key")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with opened("stranger") as client:
                assert client.push("task")
                return
        except StorageError:
            pass
    raise AssertionError("its key was not read")


def test_another_server_than_expected(opened: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to it; the error says that the handshake failed."""
    monkeypatch.setattr(client_module, "_FIRST_PATIENCE", 0.3)
    with pytest.raises(StorageError, match="handshake failed"):
        opened(of="stranger")


def test_a_client_without_keys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not served; the server counts it, and goes on."""
    monkeypatch.setattr(client_module, "_FIRST_PATIENCE", 0.3)
    with pytest.raises(StorageError, match="handshake failed"):
        Pipe(server.endpoint.replace("0.0.0.0", "127.0.0.1"))
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(server.endpoint)
        while not server.refusals.counts["connections"]:
            plain.poll(20)


def test_without_keys_only_this_machine(queue: MemoryStorage) -> None:
    """Serving and connecting without are refused, and the way out is named."""
    for place in ("0.0.0.0:*", "192.0.2.1:7777", "example.org:7777"):
        with pytest.raises(StorageError, match="ipcq keygen"):
            Pipe.serve(queue, f"tcp://{place}")
        with pytest.raises(StorageError, match="ipcq keygen"):
            Pipe(f"tcp://{place}")


def test_keys_that_cannot_be_used(queue: MemoryStorage, keys: Path, private_directory: Path) -> None:
    """Each is an error that says what is wrong with it, before anything is served."""

    def serve(keys: Path | None, clients: Path | None, endpoint: str = "tcp://127.0.0.1:*") -> Server:
        return Pipe.serve(queue, endpoint, keys=keys, clients=clients)

    own, clients = keys / "server.key_secret", keys / "clients"
    with pytest.raises(ValueError, match="give both"):
        serve(own, None)
    with pytest.raises(ValueError, match="needs no keys"):
        serve(own, clients, f"ipc://{private_directory}/socket")
    with pytest.raises(StorageError, match="no-such-file"):
        serve(keys / "no-such-file", clients)
    with pytest.raises(StorageError, match="no-such-directory"):
        serve(own, keys / "no-such-directory")
    os.chmod(keys / "server.key", 0o600)
    with pytest.raises(StorageError, match="no secret key"):
        serve(keys / "server.key", clients)
    os.chmod(clients, 0o777)
    with pytest.raises(UnsafeDirectory, match="chmod 700"):
        serve(own, clients)
    os.chmod(own, 0o644)
    with pytest.raises(UnsafeDirectory, match="chmod 600"):
        serve(own, clients)


def test_keygen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The secret is its owner's alone; what is there is not overwritten; it says where each file belongs."""
    name = str(tmp_path / "me")
    assert main(["keygen", name]) == 0
    assert "IPCQ_SERVER_KEY" in capsys.readouterr().out
    secret = tmp_path / "me.key_secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    before = secret.read_text()
    assert main(["keygen", name]) == 2
    assert "there already" in capsys.readouterr().err
    assert secret.read_text() == before
    secret.unlink()
    assert main(["keygen", name]) == 2
    assert not secret.exists()


def test_keys_are_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of both cannot be written, neither is there; a link is not followed."""
    outside = tmp_path / "outside"
    (tmp_path / "me.key").symlink_to(outside)
    with pytest.raises(FileExistsError):
        make_keys(tmp_path / "me")
    (tmp_path / "other.key_secret").symlink_to(outside)
    with pytest.raises(FileExistsError):
        make_keys(tmp_path / "other")
    written, write = list[Path](), keyfiles._write

    def write_one(path: Path, text: str, mode: int) -> None:
        if written:
            raise OSError("no space")
        written.append(path)
        write(path, text, mode)

    monkeypatch.setattr(keyfiles, "_write", write_one)
    with pytest.raises(OSError, match="no space"):
        make_keys(tmp_path / "third")
    assert written
    assert sorted(each.name for each in tmp_path.iterdir()) == ["me.key", "other.key_secret"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no public key"),
        ("curve\n    public-key = ", "no public key"),
        ('curve\n    public-key = "short"\n', "no public key"),
        (f'curve\n    public-key = "{"~" * 40}"\n', "no key"),
        ("x" * 5000, "no public key"),
        ("\0\xff", "no public key"),
    ],
)
def test_a_file_that_is_no_key(keys: Path, text: str, told: str) -> None:
    """Half-written, of something else, or huge: the error says which file it is."""
    damaged = keys / "damaged.key"
    damaged.write_text(text)
    with pytest.raises(StorageError, match=f"damaged.*{told}"):
        read_key(str(damaged), secret=False)


def test_files_that_are_not_ours_alone(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others can write, or belongs to them, has no key; nor have a FIFO and a directory."""
    public, secret = str(keys / "server.key"), str(keys / "server.key_secret")
    os.chmod(public, 0o666)
    with pytest.raises(UnsafeDirectory, match="others can write"):
        read_key(public, secret=False)
    os.mkfifo(keys / "fifo", 0o600)
    for name in ("fifo", "clients"):
        with pytest.raises(StorageError, match="no file"):
            read_key(str(keys / name), secret=False)
    first, other = (Path(f"{keys / name}.key_secret").read_text() for name in ("server", "client"))
    Path(secret).write_text(first.replace(first.split('"')[-2], other.split('"')[-2]))
    with pytest.raises(StorageError, match="not that of its public key"):
        read_key(secret, secret=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    status = os.stat_result((0o100644, 1, 1, 1, 4_000_001, 0, 1, 0, 0, 0))
    with pytest.raises(UnsafeDirectory, match="belongs to user 4000001"):
        keyfiles._check_owner(public, status)


def test_a_directory_that_changes_while_it_is_read(keys: Path) -> None:
    """Half a key is none until it is whole; what was wrong is told once; what is gone lets nobody in."""
    clients = keys / "clients"
    files, whole = KeyFiles(str(clients)), (keys / "stranger.key").read_text()
    assert files.look(0.0) == []
    (first,) = files.keys
    half = clients / "half.key"
    half.write_text(whole[:-20])
    (clients / "dangling.key").symlink_to(keys / "nowhere")
    (clients / "note.txt").write_text("no key")
    assert ["half.key" in each for each in files.look(0.0)] == [True]
    assert files.look(0.0) == []
    half.write_text(whole)
    assert files.look(0.0) == []
    assert len(files.keys) == 2
    os.chmod(half, 0o666)
    assert ["others can write" in each for each in files.look(0.0)] == [True]
    assert files.keys == {first}
    clients.rename(keys / "away")
    assert ["nobody is let in" in each for each in files.look(0.0)] == [True]
    assert (files.keys, files.look(0.0)) == (frozenset(), [])
    (keys / "away").rename(clients)
    files.look(0.0)
    assert files.keys == {first}
    os.chmod(clients, 0o770)
    files.look(0.0)
    assert files.keys == frozenset()


def test_files_are_read_when_they_changed(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of thousands costs a look at each, not more; of a fresh one a second look is certain."""
    files, read = KeyFiles(str(keys / "clients")), []

    def note(path: str, *, secret: bool) -> keyfiles.Pair:
        read.append(path)
        return read_key(path, secret=secret)

    monkeypatch.setattr(keyfiles, "read_key", note)
    now = time.time()
    for moment in (now, now, now + 10, now + 11):
        files.look(moment)
    assert len(read) == 2
    monkeypatch.setattr(keyfiles, "_MOST_FILES", 0)
    assert "more than 0 keys" in files.look(now)[0]


@pytest.mark.slow
def test_a_server_whose_clients_are_gone(server: Server, opened: Opening, keys: Path) -> None:
    """It serves who is there, lets nobody in, and reads the keys when they are back."""
    with opened() as client:
        (keys / "clients").rename(keys / "away")
        while not server.refusals.counts["keys"]:
            client.push("served")
        with pytest.raises(StorageError, match="not among its clients"):
            opened()
        (keys / "away").rename(keys / "clients")
        while not server._keys._clients.keys:  # type: ignore[union-attr] # it has some
            client.push("served")
        with opened() as again:
            assert again.push("served")
