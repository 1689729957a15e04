"""Compiles the memory backend's core, where that can be. What ships is in setup.cfg.

The same ``.py`` files are compiled; the ``.pxd`` files beside them say which types their names have.
This happens in a copy under ``build/``, with one file more: the constants, for the C compiler to see.

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
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "ipcq.backends.memory"
SOURCE = Path("ipcq/backends/memory")
COPY = Path("build", f"compiled-{sys.implementation.cache_tag}")
COMPILED = "_compiled"  # where the compiled modules go, so that they can be left aside at run time
MODULES = [
    "machine", "bits", "slots", "chains", "ready", "delay", "index", "arena", "core",
    "accept", "deliver", "finish", "collect", "recover", "rebuild", "lockword",
]  # fmt: skip
STAMP = SOURCE / COMPILED / f"{sys.implementation.cache_tag}.sources"  # in place: of what they were made
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
}


class Compile(build_ext):
    """All modules are compiled, or none is."""

    def run(self) -> None:
        """Translate, compile, and say so when it does not work."""
        forget(SOURCE)
        if os.environ.get("IPCQ_PURE") == "1":
            return
        self.parallel = self.parallel or os.cpu_count() or 1
        try:
            translate(self.extensions)
            if self.inplace or getattr(self, "editable_mode", False):
                (SOURCE / COMPILED).mkdir(exist_ok=True)
                STAMP.write_text(f"{checksum()}\n", encoding="utf-8")
            super().run()
        except Exception as error:
            forget(SOURCE)
            forget(Path(self.build_lib) / SOURCE)
            if os.environ.get("IPCQ_REQUIRE_COMPILED") == "1":
                raise
            self.warn(f"not compiled, it will run as Python: {error}")


def forget(place: Path) -> None:
    """Remove what was compiled for this interpreter; others may share the sources."""
    for path in (place / COMPILED).glob(f"*{EXTENSION_SUFFIXES[0]}"):
        path.unlink()
    (place / COMPILED / STAMP.name).unlink(missing_ok=True)


def translate(extensions: list[Extension]) -> None:
    """Make C files of the copied sources, and let the extensions consist of them."""
    from Cython.Build import cythonize

    copy()
    names = {extension.name.rpartition(".")[2]: extension for extension in extensions}
    todo = [
        Extension(f"{PACKAGE}.{name}", [str(COPY / SOURCE / name) + suffix])
        for name in names
        for suffix in [".c" if name == SHARED else ".pyx" if name == "machine" else ".py"]
    ]
    done = cythonize(
        todo,
        nthreads=os.cpu_count() or 1,
        compiler_directives=DIRECTIVES,
        shared_utility_qualified_name=f"{PACKAGE}.{SHARED}",
        include_path=[str(COPY)],
        show_all_warnings=False,
        quiet=True,
    )
    for extension in done:
        names[extension.name.rpartition(".")[2]].sources = extension.sources


def copy() -> None:
    """Copy what is compiled, with the constants beside it."""
    shutil.rmtree(COPY, ignore_errors=True)
    (COPY / SOURCE).mkdir(parents=True)
    for package in (SOURCE, *SOURCE.parents):
        if package != Path():
            (COPY / package / "__init__.py").touch()
    for path in sources():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = BARE_RETURN.sub(r"\1return 0", text)
        (COPY / path).write_text(text, encoding="utf-8")
    (COPY / SOURCE / "machine.py").unlink()
    (COPY / SOURCE / "constants.pxd").write_text(constants(), encoding="utf-8")


def sources() -> list[Path]:
    """The files that the compiled modules are made of."""
    names = [SOURCE / f"{name}.py" for name in (*MODULES, "layout")]
    return sorted([*names, *SOURCE.glob("*.pxd"), *SOURCE.glob("*.pyx"), *SOURCE.glob("*.h")])


def checksum() -> int:
    """What `mode.py` compares: whether a source was changed after it was compiled in place."""
    crc = 0
    for name in MODULES:
        crc = zlib.crc32((SOURCE / f"{name}.py").read_bytes(), crc)
    return zlib.crc32((SOURCE / "layout.py").read_bytes(), crc)


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
        include_dirs=[str(SOURCE)],
        extra_compile_args=["-O2", "-g0", "-Wno-unused-function"],
    )


setup(ext_modules=[extension(name) for name in (SHARED, *MODULES)], cmdclass={"build_ext": Compile})
