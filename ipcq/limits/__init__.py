"""What ends a worker's run, or the worker, from outside: time, memory, idleness."""

from .settings import Limits

__all__ = ["Limits"]
