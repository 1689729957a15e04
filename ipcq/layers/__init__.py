"""Layers around handlers, ready-made: ``Worker(..., layers=[Tracing(), Retry()])``."""

from .breaker import CircuitBreaker
from .concurrency import ConcurrencyLimit
from .rate import RateLimit
from .retry import Retry
from .tracing import Tracing

__all__ = ["CircuitBreaker", "ConcurrencyLimit", "RateLimit", "Retry", "Tracing"]
