"""Layers around handlers, ready-made: ``Worker(..., layers=[Retry()])``."""

from .breaker import CircuitBreaker
from .rate import RateLimit
from .retry import Retry

__all__ = ["CircuitBreaker", "RateLimit", "Retry"]
