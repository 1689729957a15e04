"""Streams into backends: `pipe_to`."""

from .piped import Piped, pipe_to

__all__ = ["Piped", "pipe_to"]
