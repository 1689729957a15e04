"""Any backend behind ZeroMQ sockets."""

from .client import Pipe
from .keyfiles import make_keys
from .server import Server

__all__ = ["Pipe", "Server", "make_keys"]
