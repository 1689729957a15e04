"""``ipcq gc``: removes what nobody needs any more."""

from __future__ import annotations

import sys

from .exits import OK

__all__ = ["run"]


def run(*, force: bool = False) -> int:
    """Remove queues that nobody is attached to; tell what was removed and what was kept, and why.

    Args:
        force: remove those with unfinished tasks too.
    """
    from ..backends.memory import gc
    from ..backends.store.limiting import sweep_limits
    from ..executor.sharing import sweep
    from ..logs.address import sweep as sweep_receivers

    found = gc(force=force)
    for queue in found:
        print(f"{'removed' if queue.removed else 'kept'} {queue.name}: {queue.reason}")
    shared = sweep()
    if shared:
        print(f"removed {shared} shared objects: nobody has them")
    receivers = sweep_receivers()
    if receivers:
        print(f"removed {receivers} receivers of logs: their processes are gone")
    limits = sweep_limits()
    if limits:
        print(f"removed {limits} files of limits: nobody uses them")
    if not (found or shared or receivers or limits):
        print("ipcq: there are no queues", file=sys.stderr)
    return OK
