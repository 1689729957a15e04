"""A backend of plain functions: one fetches tasks, one takes them in, one hears how they ended."""

from .backend import FetchingBackend, FunctionBackend, PushingBackend
from .source import Ack, Fetch, GiveBack, Push

__all__ = ["Ack", "Fetch", "FetchingBackend", "FunctionBackend", "GiveBack", "Push", "PushingBackend"]
