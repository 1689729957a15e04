"""Compiles the memory backend's core, where that can be. What ships is in setup.cfg.

The same ``.py`` files are compiled; the ``.pxd`` files beside them say which types their names have.
This happens in a copy under ``build/``, with one file more: the constants, for the C compiler to see.
What was compiled lies beside a stamp that names its sources: `mode.py` uses none without it.

    IPCQ_PURE=1               do not compile
    IPCQ_REQUIRE_COMPILED=1   fail where it cannot be compiled, instead of installing without
"""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

PACKAGE = "ipcq.backends.memory"
SOURCE = Path("ipcq/backends/memory")
COMPILED = "_compiled"  # where the compiled modules go, so that they can be left aside at run time
MODULES = [
    "machine", "bits", "slots", "chains", "ready", "delay", "index", "arena", "draft", "measure", "core",
    "accept", "deliver", "finish", "amend", "collect", "recover", "rebuild", "lockword",
    "sections", "exchange",
]  # fmt: skip
STAMP = f"{sys.implementation.cache_tag}.sources"
SHARED = "_shared"  # what Cython would else put into each module
# What gives nothing gives 0 when compiled: an error is told by -1, and checking that costs nothing.
BARE_RETURN = re.compile(r"^( +)return$", re.MULTILINE)
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # the types are those of the .pxd
    "overflowcheck": True,  # a word that would wrap is an OverflowError, as it is uncompiled
    "boundscheck": True,  # a damaged link is an IndexError, as it is uncompiled
    "wraparound": False,
    "cdivision": True,
    "embedsignature": False,
    "show_performance_hints": False,
}


class Compile(build_ext):
    """All modules are compiled, or none is."""

    def run(self) -> None:
        """Translate, compile, and say so when it does not work."""
        in_place = self.inplace or getattr(self, "editable_mode", False)
        places = {Path(self.build_lib) / SOURCE, *([SOURCE] if in_place else [])}
        for place in places:
            forget(place)
        try:
            if os.environ.get("IPCQ_PURE") == "1":
                raise CompileError("IPCQ_PURE is set")
            self.parallel = self.parallel or os.cpu_count() or 1
            translate(self.extensions, Path(self.build_temp, "sources"))
            for place in places:
                (place / COMPILED).mkdir(parents=True, exist_ok=True)
            super().run()
        except Exception as error:
            for place in places:
                forget(place)
            # Nothing here depends on this interpreter and machine: the wheel's name then says so.
            self.extensions = self.distribution.ext_modules = []
            reason = f"{type(error).__name__}: {shorten(str(error))}"
            if os.environ.get("IPCQ_REQUIRE_COMPILED") == "1":
                wanted = f"ipcq was not compiled, which IPCQ_REQUIRE_COMPILED asks for: {reason}"
                raise CompileError(wanted) from error
            self.warn(f"ipcq is not compiled, it will run as Python: {reason}")
        else:
            for place in places:
                stamp(place / COMPILED)


def shorten(text: str) -> str:
    """One line; of a long one, as a compiler's command is, both ends."""
    text = " ".join(text.split())
    return text if len(text) < 200 else f"{text[:80]} ... {text[-80:]}"


class Wheel(bdist_wheel):
    """Its name is known once it is known whether it can be compiled."""

    def run(self) -> None:
        """Compile first."""
        self.run_command("build_ext")
        self.root_is_pure = not self.distribution.has_ext_modules()
        super().run()


def forget(place: Path) -> None:
    """Remove what was compiled for this interpreter; others may share the sources."""
    (place / COMPILED / STAMP).unlink(missing_ok=True)
    for path in (place / COMPILED).glob(f"*{EXTENSION_SUFFIXES[0]}"):
        path.unlink()


def stamp(place: Path) -> None:
    """Write down what `mode.py` compares: of which sources the modules in ``place`` were made."""
    lines = [f"{zlib.crc32(path.read_bytes())} {path.name}\n" for path in sources()]
    (place / STAMP).write_text("".join(lines), encoding="utf-8")


def translate(extensions: list[Extension], place: Path) -> None:
    """Make C files of the sources in a copy of them, and let the extensions consist of those."""
    from Cython.Build import cythonize

    copy(place)
    names = {extension.name.rpartition(".")[2]: extension for extension in extensions}
    todo = [
        Extension(f"{PACKAGE}.{name}", [str(SOURCE / name) + suffix])
        for name in names
        for suffix in [".c" if name == SHARED else ".pyx" if name == "machine" else ".py"]
    ]
    with chdir(place):  # tracebacks then tell a file's place in the package, not that of the copy
        done = cythonize(
            todo,
            nthreads=os.cpu_count() or 1,
            compiler_directives=DIRECTIVES,
            shared_utility_qualified_name=f"{PACKAGE}.{SHARED}",
            include_path=["."],
            show_all_warnings=False,
            quiet=True,
        )
    for extension in done:
        names[extension.name.rpartition(".")[2]].sources = [str(place / name) for name in extension.sources]


@contextmanager
def chdir(place: Path) -> Iterator[None]:
    """Work in ``place`` for a while."""
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def copy(place: Path) -> None:
    """Copy what is compiled to ``place``, with the constants beside it."""
    shutil.rmtree(place, ignore_errors=True)
    (place / SOURCE).mkdir(parents=True)
    for package in (SOURCE, *SOURCE.parents):
        if package != Path():
            (place / package / "__init__.py").touch()
    for path in sources():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = BARE_RETURN.sub(r"\1return 0", text)
        (place / path).write_text(text, encoding="utf-8")
    (place / SOURCE / "machine.py").unlink()
    (place / SOURCE / "constants.pxd").write_text(constants(), encoding="utf-8")


def sources() -> list[Path]:
    """The files that the compiled modules are made of."""
    names = [SOURCE / f"{name}.py" for name in (*MODULES, "layout")]
    return sorted([*names, *SOURCE.glob("*.pxd"), *SOURCE.glob("*.pyx"), *SOURCE.glob("*.h")])


def constants() -> str:
    """Every number of the layout and of the modules, as C constants of 64 bits."""
    known: dict[str, Any] = runpy.run_path(str(SOURCE / "layout.py"))
    found = {name: value for name, value in known.items() if name.isupper() and isinstance(value, int)}
    for module in MODULES:
        for node in ast.parse((SOURCE / f"{module}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                value = eval(ast.unparse(node.value), dict(found)) if name.isupper() else None
                if isinstance(value, int) and found.setdefault(name, value) != value:
                    raise ValueError(f"{module}.py: {name} is {found[name]} elsewhere")
    # A compound literal: the compiler sees the number, and `NAME = ...` at import does no harm.
    macros = [f"    #define IPCQ_{name} ((uint64_t){{{value}u}})" for name, value in found.items()]
    names = [f'    uint64_t {name} "IPCQ_{name}"' for name in found]
    head = ["from libc.stdint cimport uint64_t", "", "cdef extern from *:", '    """']
    return "\n".join([*head, *macros, '    """', *names, ""])


def extension(name: str) -> Extension:
    """One compiled module; its sources are found by `translate`."""
    return Extension(
        f"{PACKAGE}.{COMPILED}.{name}",
        [str(SOURCE / f"{name}.py")] if name != SHARED else [],
        include_dirs=[str(SOURCE)],  # _atomic.h
        # With -O2 this takes twice as long, and nothing runs faster.
        extra_compile_args=["-O1", "-g0", "-Wno-unused-function"],
    )


setup(
    ext_modules=[extension(name) for name in (SHARED, *MODULES)],
    cmdclass={"build_ext": Compile, "bdist_wheel": Wheel},
)
