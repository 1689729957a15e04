"""The command line: what may be written, and what ``--help`` says."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from ..urls import VARIABLE
from .exits import UsageError

__all__ = ["parse"]

_MOST_WORKERS = 1024

_MAIN = """\
usage: ipcq map MODULE:FUNCTION [ITEM ...]  call a function for each item
       ipcq serve URL ENDPOINT              put a queue behind a socket
       ipcq keygen NAME                     keys for a socket that others reach
       ipcq metrics URL [--serve HOST:PORT] figures of a queue for Prometheus
       ipcq gc [--force]                    remove queues that nobody uses
       ipcq --version | --help | COMMAND --help

ipcq splits work across processes. Kill any of them: nothing is lost.

    items --> queue in shared memory --> workers --> one JSON line an item
                        ^                   |
                        +-------------------+ killed: its item runs again

examples:
  ipcq map os.path:getsize *                     the size of each file here
  ipcq map os.path:getsize --glob '**/*.py'      of each Python file below
  find . -name '*.jpg' | ipcq map thumbs:make    make() of ./thumbs.py
  ipcq map thumbs:make -n 4 a.jpg b.jpg >out.jsonl
"""

_MAP = """\
Call FUNCTION(item) for each item, in several processes, and write one JSON
line an item to standard output:

    {"item": "a.jpg", "value": ...}    what the function returned
    {"item": "b.jpg", "error": {...}}  what it raised, or what killed its worker

Items are the arguments, the files that match --glob (quote it), or else the
lines of standard input, which may go on for ever. Each is given as a str.
MODULE is looked for in the current directory first. What the function prints
goes to standard error; with --logs so does what it logs, both with the item.
"""

_MAP_END = """\
A worker that is killed costs one retry of the one item it ran; an item that
kills three workers is reported as an error, and the rest goes on. An item that
starts with a dash goes after --.

With --queue an interrupted run (Ctrl-C, a kill; with json:// power loss too) is
continued by the same command with --resume: no finished item runs again, and
each line is written once over the runs. Append to the same file for that:

  ipcq map thumbs:make --queue json://q.jsonl a.jpg b.jpg >>out.jsonl
  ipcq map thumbs:make --queue json://q.jsonl a.jpg b.jpg --resume >>out.jsonl

exit status:
  0    all items have a value
  1    some have an error, or the work could not be done
  2    the command is wrong
  130  interrupted by Ctrl-C: what was done so far is written
"""

_SERVE = (
    "Put a queue behind a socket until Ctrl-C or SIGTERM; programs open it as pipe+ENDPOINT. The directory of"
    " a path must be one that only you can use; every user of this machine can connect to a port. Other"
    " machines can with keys (see ipcq keygen); then all is encrypted."
)

_KEYGEN = (
    "Make a pair of keys for one side of a socket, the files NAME.key and NAME.key_secret. The server has a"
    " pair, and each client has one."
)

_METRICS = (
    "Write the figures of a queue as Prometheus reads them, or serve them at http://HOST:PORT/metrics until"
    " Ctrl-C or SIGTERM. They are the queue's own: one such server covers all processes that use it. Whoever"
    " reaches the address can read them."
)

_GC = (
    "Remove queues that nobody is attached to and that hold no unfinished task; tell what was done with each."
)


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as every other error of the command."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ``command`` is ``map``, ``serve``, ``keygen``, ``metrics`` or ``gc``.

    Raises:
        UsageError: it cannot be understood.
        SystemExit: help or the version was asked for, and printed.
    """
    command, *rest = arguments or ["--help"]
    if command == "map":
        return _checked(*_parse_map(rest))
    if command == "serve":
        return _serve().parse_args(rest)
    if command == "keygen":
        return _keygen().parse_args(rest)
    if command == "metrics":
        return _metrics().parse_args(rest)
    if command == "gc":
        return _gc().parse_args(rest)
    if command in ("-h", "--help", "help"):
        print(_MAIN, end="")
        raise SystemExit(0)
    if command in ("-V", "--version"):
        print(f"ipcq {_version()}")
        raise SystemExit(0)
    raise UsageError(
        f"there is no command {command!r}: use map, serve, keygen, metrics or gc; see ipcq --help"
    )


def _parse_map(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read what is before ``--``; what is after it are words as they are."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = _map().parse_intermixed_args(arguments[:end])
    return options, options.words + arguments[end + 1 :]


def _map() -> _Parser:
    parser = _Parser(
        "ipcq map",
        usage="%(prog)s [options] MODULE:FUNCTION [ITEM ...]",
        description=_MAP,
        epilog=_MAP_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command="map")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    add = parser.add_argument
    add(
        "-n",
        "--workers",
        type=_workers,
        metavar="N",
        help="worker processes; default: one for each usable CPU",
    )
    add(
        "--glob", action="append", metavar="PATTERN", help="files as items, ** for any depth; may be repeated"
    )
    add("-0", "--null", action="store_true", help="items on standard input end with NUL (find -print0)")
    add("--unordered", action="store_true", help="write each result as soon as it is there")
    add(
        "--queue",
        metavar="URL",
        default=os.environ.get(VARIABLE) or None,
        help=f"keep the items in memory://NAME or json:///PATH; default: ${VARIABLE}",
    )
    add("--resume", action="store_true", help="go on with the run that was interrupted in that queue")
    add(
        "--logs",
        type=_level,
        metavar="LEVEL",
        help="write what FUNCTION logs (debug, info, warning, error) and prints with its item in front",
    )
    add("-q", "--quiet", action="store_true", help="no progress bar and no summary on standard error")
    return parser


def _serve() -> _Parser:
    parser = _Parser("ipcq serve", description=_SERVE, allow_abbrev=False)
    parser.set_defaults(command="serve")
    parser.add_argument("url", metavar="URL", help="memory://NAME or json:///PATH")
    parser.add_argument(
        "endpoint", metavar="ENDPOINT", help="ipc:///PATH, tcp://127.0.0.1:PORT, or with keys tcp://HOST:PORT"
    )
    parser.add_argument("--keys", metavar="FILE", help="the secret key of this server")
    parser.add_argument(
        "--clients", metavar="DIRECTORY", help="the public keys of all who may connect, a *.key file each"
    )
    return parser


def _keygen() -> _Parser:
    parser = _Parser("ipcq keygen", description=_KEYGEN, allow_abbrev=False)
    parser.set_defaults(command="keygen")
    parser.add_argument("name", metavar="NAME", help="path of the files, without their endings")
    return parser


def _metrics() -> _Parser:
    parser = _Parser("ipcq metrics", description=_METRICS, allow_abbrev=False)
    parser.set_defaults(command="metrics")
    parser.add_argument("url", metavar="URL", help="memory://NAME, json:///PATH or pipe+ENDPOINT")
    parser.add_argument("--serve", metavar="HOST:PORT", help="such as 127.0.0.1:9464")
    return parser


def _gc() -> _Parser:
    parser = _Parser("ipcq gc", description=_GC, allow_abbrev=False)
    parser.set_defaults(command="gc")
    parser.add_argument("--force", action="store_true", help="remove those with unfinished tasks too")
    return parser


def _checked(options: argparse.Namespace, words: list[str]) -> argparse.Namespace:
    """Split the words into function and items."""
    if not words:
        raise UsageError("which function? write ipcq map MODULE:FUNCTION [ITEM ...]; see ipcq map --help")
    options.function, *options.items = words
    _check_name(options.function)
    if options.resume and not options.queue:
        raise UsageError(f"--resume needs the queue of the interrupted run: --queue URL, or {VARIABLE}")
    if options.null and (options.items or options.glob):
        raise UsageError("-0 is about standard input, which is not read when items are given")
    return options


def _check_name(function: str) -> None:
    module, colon, name = function.partition(":")
    if module.endswith(".py") or "/" in module:
        stem = module.removesuffix(".py").strip("./").replace("/", ".")
        raise UsageError(f"{function!r} names a file: give the module, as in {stem}:{name or 'FUNCTION'}")
    if not (module and colon and name):
        raise UsageError(f"{function!r} is not a function: write MODULE:FUNCTION, as in os.path:getsize")


def _workers(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_WORKERS}")
    return number


def _level(text: str) -> int:
    level = logging.getLevelName(text.upper())
    if not isinstance(level, int):
        raise argparse.ArgumentTypeError(f"{text!r} is not debug, info, warning, error or critical")
    return level


def _version() -> str:
    try:
        return version("ipcq")
    except PackageNotFoundError:  # run from its sources
        return "(not installed)"
