"""Any backend behind ZeroMQ sockets."""

from .client import Pipe
from .server import Server

__all__ = ["Pipe", "Server"]
