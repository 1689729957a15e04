"""Layers around handlers, ready-made: ``Worker(..., layers=[Retry()])``."""

from .retry import Retry

__all__ = ["Retry"]
