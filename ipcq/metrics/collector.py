"""The figures of a queue among those of a program that uses prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .families import Family, families

__all__ = ["Collector"]


class Collector:
    """What a registry of prometheus_client takes: ``REGISTRY.register(Collector(backend))``.

    Args:
        backend: one with the capability `Metrics`.

    Raises:
        ImportError: prometheus_client is missing.
    """

    def __init__(self, backend: Any) -> None:
        try:
            from prometheus_client import core
        except ImportError as error:
            raise ImportError(
                "ipcq.metrics.Collector needs prometheus_client: pip install 'ipcq[prometheus]'"
            ) from error
        self._core: Any = core
        self._backend = backend

    def __repr__(self) -> str:
        return f"<Collector of {self._backend!r}>"

    def describe(self) -> list[Any]:
        """Nothing, so that registering reads no queue."""
        return []

    def collect(self) -> Iterator[Any]:
        """The figures, now."""
        queue = str(getattr(self._backend, "queue", ""))
        for family in families(self._backend):
            yield self._metric(family, queue)

    def _metric(self, family: Family, queue: str) -> Any:
        if family.histogram is not None:
            metric = self._core.HistogramMetricFamily(family.name, family.told, labels=["queue"])
            metric.add_metric([queue], family.buckets, family.histogram.sum)
            return metric
        kind = self._core.CounterMetricFamily if family.counter else self._core.GaugeMetricFamily
        labels = ["queue", family.label] if family.label else ["queue"]
        metric = kind(family.name, family.told, labels=labels)
        for value, figure in family.samples.items():
            metric.add_metric([queue, value][: len(labels)], figure)
        return metric
