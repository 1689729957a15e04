"""Imported by multiprocessing's fork server alone, before it forks: importing this does it.

A service manager, or ``timeout``, sends SIGTERM to a whole group. The fork server would die of
it, the kernel would kill the workers with their parent, and they could not finish what they run.
So it ignores SIGTERM, as it does SIGINT by itself, which its Monitor had blocked until then; it ends
when all who use it are gone. What it forks starts with the default action again, and nothing blocked.

Imports what workers need, too, so that each of them starts with it.
"""

from __future__ import annotations

import os
import signal

from . import child

__all__ = ["child"]

_SERVER = os.getpid()


def _default_in_children() -> None:
    if os.getppid() == _SERVER:  # not in what these fork in turn
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.register_at_fork(after_in_child=_default_in_children)
