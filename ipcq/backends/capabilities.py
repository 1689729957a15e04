"""What a backend that can do all says of itself."""

from __future__ import annotations

__all__ = ["EVERY_CAPABILITY"]

EVERY_CAPABILITY = frozenset(
    [
        "AskWorker",
        "Backend",
        "Cancel",
        "ConfigExt",
        "EndRun",
        "Expose",
        "FetchById",
        "ListAllTasks",
        "ListQueues",
        "ListTasks",
        "ListWorkers",
        "Metrics",
        "RegisterWorker",
        "Reschedule",
        "ResumeAbandoned",
        "ResumeById",
        "TaskSink",
        "Update",
        "Vacuum",
        "WaitForCompletion",
        "WeakTaskSink",
    ]
)
"""Names of the Protocols, as `Backend.capabilities` returns them."""
