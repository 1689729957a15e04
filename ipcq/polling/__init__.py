"""When a worker looks for tasks again, where its backend cannot tell by itself.

A strategy is a value: any number of workers, restarted ones too, may be made with the same object, and each
`start` begins anew. What one worker waits with is a `Poller`.
"""

from .poller import Poller
from .strategies import Backoff, Interval, Notify, PollStrategy, Race, Signal, Waiter

__all__ = ["Backoff", "Interval", "Notify", "PollStrategy", "Poller", "Race", "Signal", "Waiter"]
