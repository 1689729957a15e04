"""Figures of a queue for Prometheus: `exposition` as text, `Collector` with the extra ``ipcq[prometheus]``.

They are the queue's own (see `Metrics`), read when they are asked for: one place that is scraped covers all
processes of a queue, and none of them takes a figure with it when it is killed.
"""

from .collector import Collector
from .families import Family, families
from .text import CONTENT_TYPE, exposition

__all__ = ["CONTENT_TYPE", "Collector", "Family", "exposition", "families"]
