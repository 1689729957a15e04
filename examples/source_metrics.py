"""Measure every module of this Python's standard library, and show the ten most complex.

    $ python -m examples.source_metrics [DIRECTORY]
    complexity  nesting  lines  functions  module
           321        1   2669          0  lib2to3/tests/data/infinite_recursion.py
           123        8   1109         38  re/_parser.py
    ...
    1,781 modules: 857,247 lines, 685,959 code, ..., 60,497 functions; 9 cannot be parsed

or one JSON line a module: ``ipcq map examples.source_metrics:measure --glob 'DIRECTORY/**/*.py'``.
"""

from __future__ import annotations

import ast
import io
import os
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipcq import MemoryStorage, Monitor

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
BLOCKS = (*LOOPS, ast.If, ast.With, ast.AsyncWith, ast.Try, getattr(ast, "TryStar", ast.Try),
          ast.Match, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)  # fmt: skip
BRANCHES = (*LOOPS, ast.If, ast.IfExp, ast.ExceptHandler, ast.Assert, ast.comprehension, ast.match_case)
LAYOUT = {
    tokenize.ENCODING,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError)
FOREIGN = {"site-packages", "dist-packages"}  # what was installed later
SUMS = ("lines", "code", "comment", "blank", "tokens", "functions")


def measure(path: str) -> dict[str, Any]:
    """The figures of one file; ``error`` instead, where it is no Python of this version."""
    source = Path(path).read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old escape sequence is not ours to complain about
            return count_lines(source) | count_structure(ast.parse(source, path))
    except NO_PYTHON as error:
        return {"error": f"{type(error).__name__}: {error}"}


def count_lines(source: bytes) -> dict[str, int]:
    """Lines with code, with a comment alone, with neither; and tokens."""
    tokens = [t for t in tokenize.tokenize(io.BytesIO(source).readline) if t.type not in LAYOUT]
    code: set[int] = set()
    comment: set[int] = set()
    for token in tokens:
        (comment if token.type == tokenize.COMMENT else code).update(range(token.start[0], token.end[0] + 1))
    lines, alone = len(io.BytesIO(source).readlines()), len(comment - code)
    return {"lines": lines, "code": len(code), "comment": alone, "blank": lines - len(code) - alone,
            "tokens": len(tokens)}  # fmt: skip


def count_structure(tree: ast.Module) -> dict[str, int]:
    """Functions, the deepest nesting of blocks, and the cyclomatic complexity of the worst function."""
    nesting, complexity = 0, {-1: 1}  # -1 is the code outside of all functions
    todo: list[tuple[ast.AST, int, int]] = [(tree, 0, -1)]
    while todo:  # no recursion: generated code nests deeper than Python's stack
        node, depth, function = todo.pop()
        if isinstance(node, FUNCTIONS):
            function = id(node)
            complexity[function] = 1
        nesting = max(nesting, depth)
        complexity[function] += paths(node)
        todo += [(child, depth + deeper, function) for child, deeper in children(node)]
    return {"functions": len(complexity) - 1, "nesting": nesting, "complexity": max(complexity.values())}


def paths(node: ast.AST) -> int:
    """How many ways through a function this node adds."""
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    return isinstance(node, BRANCHES) + (len(node.ifs) if isinstance(node, ast.comprehension) else 0)


def children(node: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes below, and whether each is a block inside this one; an ``elif`` is beside its ``if``."""
    for child in ast.iter_child_nodes(node):
        beside = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        yield child, isinstance(child, BLOCKS) and not beside


def main(directory: str = sysconfig.get_path("stdlib")) -> None:
    """Measure all below ``directory`` in as many processes as there are CPUs."""
    modules = [str(path) for path in sorted(Path(directory).rglob("*.py")) if not FOREIGN & {*path.parts}]
    with MemoryStorage(f"source-metrics-{os.getpid()}", ephemeral=True) as queue:
        with Monitor(queue, measure):
            names = dict(zip(queue.push_bulk(modules), modules, strict=True))
            found = [{"module": names[done.task_id], **done.unwrap()} for done in queue.wait_for(names)]
        queue.destroy()
    show(sorted(found, key=lambda figures: figures["module"]), directory)


def show(found: list[dict[str, Any]], directory: str) -> None:
    """Print the ten most complex modules, and the sums."""
    sound = [figures for figures in found if "error" not in figures]
    print("complexity  nesting  lines  functions  module")
    for f in sorted(sound, key=lambda f: -f["complexity"])[:10]:
        name = os.path.relpath(f["module"], directory)
        print(f"{f['complexity']:10}  {f['nesting']:7}  {f['lines']:5}  {f['functions']:9}  {name}")
    print(f"{len(sound):,} modules:", ", ".join(f"{sum(f[n] for f in sound):,} {n}" for n in SUMS), end="; ")
    print(f"{len(found) - len(sound)} cannot be parsed")


if __name__ == "__main__":
    main(*sys.argv[1:])
