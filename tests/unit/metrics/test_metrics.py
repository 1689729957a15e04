"""The figures of a queue as Prometheus reads them."""

from __future__ import annotations

import re
import subprocess
import sys
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ipcq import Histogram, MemoryStorage, Statistic, StatType, Worker
from ipcq.metrics import Collector, exposition


class Counted:
    """A backend of others that counts little, with a name that needs care."""

    queue = 'a"b\\c'

    def queue_stats(self, queue: str | None = None) -> list[Statistic]:
        return [
            Statistic("PENDING_JOBS", StatType.NUMBER, 3),
            Statistic("TASKS_DONE", StatType.NUMBER, 1 << 40),
            Statistic("P50_RUN_TIME", StatType.DECIMAL, 2.5e-05),
            Statistic("SUCCESS_RATE", StatType.PERCENTAGE, 50.0),
        ]


def test_the_text_is_what_prometheus_reads() -> None:
    """Help, type and figures of each name; what a backend does not count is left out."""
    assert exposition(Counted()) == (
        "# HELP ipcq_tasks Tasks in each status now.\n"
        "# TYPE ipcq_tasks gauge\n"
        'ipcq_tasks{queue="a\\"b\\\\c",status="pending"} 3\n'
        "# HELP ipcq_tasks_done_total Tasks that came to DONE.\n"
        "# TYPE ipcq_tasks_done_total counter\n"
        'ipcq_tasks_done_total{queue="a\\"b\\\\c"} 1099511627776\n'
        "# HELP ipcq_run_seconds How long runs took.\n"
        "# TYPE ipcq_run_seconds gauge\n"
        'ipcq_run_seconds{queue="a\\"b\\\\c",quantile="0.5"} 2.5e-05\n'
    )


def test_the_figures_are_those_of_the_queue(queue: MemoryStorage) -> None:
    """Whatever process counted them."""
    queue.push_bulk([1, 2, "three"])
    Worker("worker", queue, lambda n: n + 1).run(until_empty=True)
    queue.push(4)
    lines = exposition(queue).splitlines()
    label = f'queue="{queue.queue}"'
    for line in (
        f'ipcq_tasks{{{label},status="pending"}} 1',
        f'ipcq_tasks{{{label},status="done"}} 2',
        f"ipcq_backlog_tasks{{{label}}} 1",
        f"ipcq_tasks_done_total{{{label}}} 2",
        f"ipcq_tasks_killed_total{{{label}}} 1",
        f"ipcq_failed_runs_total{{{label}}} 1",
        f'ipcq_run_duration_seconds_bucket{{{label},le="+Inf"}} 3',
        f"ipcq_wait_duration_seconds_count{{{label}}} 3",
    ):
        assert line in lines


def test_a_histogram_is_what_prometheus_reads() -> None:
    """Buckets with their bounds, how many there are, and their sum."""

    class Timed(Counted):
        def queue_histograms(self, queue: str | None = None) -> dict[str, Histogram]:
            return {"RUN_TIME": Histogram(((0.000064, 1), (2.0, 3), (inf, 4)), 7.5)}

    label = 'queue="a\\"b\\\\c"'
    assert exposition(Timed()).removeprefix(exposition(Counted())) == (
        "# HELP ipcq_run_duration_seconds How long runs took.\n"
        "# TYPE ipcq_run_duration_seconds histogram\n"
        f'ipcq_run_duration_seconds_bucket{{{label},le="6.4e-05"}} 1\n'
        f'ipcq_run_duration_seconds_bucket{{{label},le="2.0"}} 3\n'
        f'ipcq_run_duration_seconds_bucket{{{label},le="+Inf"}} 4\n'
        f"ipcq_run_duration_seconds_count{{{label}}} 4\n"
        f"ipcq_run_duration_seconds_sum{{{label}}} 7.5\n"
    )


def test_the_page_lists_what_there_is(queue: MemoryStorage) -> None:
    """docs/observability.md has a row for each name, with its type, in the order of the text."""
    page = (Path(__file__).parents[3] / "docs/observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(ipcq_\w+)` \| [^|]*\| (\w+) \|", page, re.M)
    assert rows == re.findall(r"^# TYPE (\S+) (\S+)$", exposition(queue), re.M)


def test_a_collector_gives_the_same(queue: MemoryStorage) -> None:
    """prometheus_client writes the figures of the text, read when it is asked."""
    client: Any = pytest.importorskip("prometheus_client", reason="pip install 'ipcq[prometheus]'")
    parser: Any = pytest.importorskip("prometheus_client.parser")
    registry = client.CollectorRegistry()
    registry.register(Collector(queue))
    queue.push_bulk([0, 1])
    Worker("worker", queue, lambda n: 1 // n).run(until_empty=True)
    queue.push(1)

    def samples(text: str) -> list[Any]:
        found = parser.text_string_to_metric_families(text)
        return sorted((s.name, sorted(s.labels.items()), s.value) for f in found for s in f.samples)

    theirs, ours = samples(client.generate_latest(registry).decode()), samples(exposition(queue))
    assert theirs == ours
    assert ("ipcq_backlog_tasks", [("queue", queue.queue)], 1.0) in ours


def test_the_error_without_the_extra_names_it() -> None:
    """Whoever lacks prometheus_client is told what to install; the text needs nothing."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from ipcq.metrics import Collector, exposition\n"
        "try: Collector(None)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'ipcq[prometheus]'" in done.stdout, done.stderr
