"""For those who test what they do with ipcq, those who write a backend, and those who check one."""

from .check import Check
from .clock import FakeClock
from .crashes import CrashPoint
from .killing import kill_worker
from .kit import cases, check_backend
from .report import CheckResult, Outcome, Report
from .worker import Executed, TestWorker

__all__ = [
    "Check",
    "CheckResult",
    "CrashPoint",
    "Executed",
    "FakeClock",
    "Outcome",
    "Report",
    "TestWorker",
    "cases",
    "check_backend",
    "kill_worker",
]
