"""What the machine and the control groups allow and tell."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from ipcq.monitor.cgroup import control_files, group_path
from ipcq.monitor.cpus import quota, usable_cpus
from ipcq.monitor.oom import MemoryKills, count

V2 = "0::/app/web\n"
V1 = "4:memory:/app\n3:cpuset:/\n2:cpu,cpuacct:/app\n0::/\n"


def _tree(root: Path, group: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": group, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_path_of_a_group_is_found_by_its_controller() -> None:
    """Version 1 lists controllers, version 2 an empty name."""
    assert group_path(V1, "cpu") == "/app"
    assert group_path(V1, "cpuset") == "/"
    assert group_path(V2, "") == "/app/web"
    assert group_path(V2, "cpu") is None


def test_outer_groups_apply_too(tmp_path: Path) -> None:
    """All files from the own group up to the mount point are found, inner ones first."""
    names = ["sys/fs/cgroup/app/web/cpu.max", "sys/fs/cgroup/cpu.max"]
    root = _tree(tmp_path, V2, dict.fromkeys(names, "max 100000"))

    assert list(control_files("", "cpu.max", root)) == [tmp_path / name for name in names]


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        (V2, {}, math.inf),
        (V2, {"app/web/cpu.max": "max 100000\n"}, math.inf),
        (V2, {"app/web/cpu.max": "max 100000\n", "app/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"app/web/cpu.max": "400000 100000\n", "cpu.max": "200000 100000\n"}, 2),
        (V2, {"cpu.max": "garbage\n"}, math.inf),
        (V1, {"cpu/app/cpu.cfs_quota_us": "-1\n", "cpu/app/cpu.cfs_period_us": "100000\n"}, math.inf),
        (V1, {"cpu/app/cpu.cfs_quota_us": "50000\n", "cpu/app/cpu.cfs_period_us": "100000\n"}, 0.5),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "300000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 3),
        ("", {}, math.inf),
    ],
)
def test_the_strictest_cpu_quota_counts(
    tmp_path: Path, group: str, files: dict[str, str], expected: float
) -> None:
    """Both versions of control groups, own and outer ones; what cannot be read is no limit."""
    root = _tree(tmp_path, group, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})

    assert quota(root) == expected


def test_there_is_at_least_one_usable_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a CPU are rounded up, and the processes' binding is respected."""
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
    for allowed, expected in ((0.2, 1), (1.5, 2), (math.inf, 8)):
        monkeypatch.setattr("ipcq.monitor.cpus.quota", lambda allowed=allowed: allowed)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        assert usable_cpus() == expected


def test_the_number_of_memory_kills_is_read() -> None:
    """The line of both versions, and of the whole machine's statistics."""
    assert count("low 0\noom 3\noom_kill 2\noom_group_kill 0\n") == 2
    assert count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n") == 7
    assert count("") == count("oom_kill ?\n") == 0


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (V2, "sys/fs/cgroup/app/web/memory.events"),
        (V1, "sys/fs/cgroup/memory/app/memory.oom_control"),
        ("", "proc/vmstat"),
    ],
)
def test_a_memory_kill_is_noticed_once(tmp_path: Path, group: str, name: str) -> None:
    """Only what was counted since the last look counts."""
    kills = MemoryKills(_tree(tmp_path, group, {name: "oom_kill 5\n"}))
    assert not kills.grew()
    (tmp_path / name).write_text("oom_kill 6\n")

    assert [kills.grew(), kills.grew()] == [True, False]


def test_without_any_counter_there_are_no_memory_kills(tmp_path: Path) -> None:
    """A system that does not count is no error."""
    assert not MemoryKills(_tree(tmp_path, "", {})).grew()
