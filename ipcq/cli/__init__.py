"""The command ``ipcq``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from ..errors import IpcqError
from .descriptors import check_descriptors, silence
from .exits import complain

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    Args:
        arguments: without the command's own name; None takes those of this process.
    """
    if arguments is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Before and after the real work there is nothing to put in order, nor a traceback to show.
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))
    try:
        check_descriptors()
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError as error:
        silence(1)
        return complain(error)
    except (IpcqError, OSError, KeyboardInterrupt) as error:
        return complain(error)
    finally:
        if arguments is None:  # a late Ctrl-C must not spoil what is left: the interpreter's end
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(arguments: Sequence[str]) -> int:
    from .gc import run as collect
    from .keygen import run as generate
    from .map import run as work
    from .metrics import run as measure
    from .parser import parse
    from .serve import run as serve

    try:
        options = parse(arguments)
    except SystemExit as shown:  # help or the version
        return int(shown.code or 0)
    if options.command == "serve":
        return serve(options.url, options.endpoint, options.keys, options.clients)
    if options.command == "metrics":
        return measure(options.url, options.serve)
    if options.command == "keygen":
        return generate(options.name)
    return work(options) if options.command == "map" else collect(force=options.force)
