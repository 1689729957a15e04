"""For those who write a backend, and those who check one."""

from .check import Check
from .kit import cases, check_backend
from .report import CheckResult, Outcome, Report

__all__ = ["Check", "CheckResult", "Outcome", "Report", "cases", "check_backend"]
