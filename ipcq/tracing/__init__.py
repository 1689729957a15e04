"""Traces that go on from who pushes a task to who runs it, as W3C Trace Context: ``metadata=inject()``.

The worker's side is the layer `ipcq.layers.Tracing`; spans by OpenTelemetry are in `ipcq.tracing.otel`.
"""

from .carrying import current, extract, inject, use
from .context import TraceContext

__all__ = ["TraceContext", "current", "extract", "inject", "use"]
