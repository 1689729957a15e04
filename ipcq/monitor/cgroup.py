"""Where the control group of this process is described, if it has one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "control_files", "read"]

ROOT = Path("/")
_MOUNTS = "sys/fs/cgroup"


def control_files(controller: str, name: str, root: Path = ROOT) -> Iterator[Path]:
    """Every file ``name`` that applies to this process, from its own group outwards.

    In a container, the path that the kernel tells may be the host's; then only the outermost
    directory, which is the container's own, is there.

    Args:
        controller: of version 1, such as ``memory``; empty for version 2.
        root: other than ``/`` in tests.
    """
    path = group_path(read(root / "proc/self/cgroup"), controller)
    if path is None:
        return
    for mount in _mounts(controller, root):
        group = mount / path.strip("/")
        for directory in (group, *group.parents):
            if not directory.is_relative_to(mount):
                break
            if (directory / name).is_file():
                yield directory / name


def group_path(text: str, controller: str) -> str | None:
    """The path in ``/proc/self/cgroup``; lines are ``number:controller,controller:path``."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):  # version 2 has an empty list
            return path
    return None


def _mounts(controller: str, root: Path) -> list[Path]:
    base = root / _MOUNTS
    names = (controller, "cpu,cpuacct") if controller == "cpu" else (controller or "unified",)
    found = [base / name for name in names if (base / name).is_dir()]
    return found[:1] if controller or found else [base]


def read(path: Path) -> str:
    """The text of a file, empty where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
