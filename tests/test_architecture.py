"""The rooms of the house: who may import whom, and how large a room may be."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parent.parent
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "ipcq").rglob("*.py"))
}

# Level of each room; a room imports from lower levels only; values and contracts (1, 2) may use each other.
LEVELS = {
    **dict.fromkeys(["errors"], 0),
    **dict.fromkeys(["task", "status", "result", "worker_died", "codec", "layer"], 1),
    **dict.fromkeys(["pacing", "polling", "directory"], 1),
    **dict.fromkeys(["sink", "backend", "expose", "codecs", "tracing"], 2),
    **dict.fromkeys(["backends", "layers", "limits", "metrics", "logs"], 3),
    **dict.fromkeys(["worker", "feeding"], 4),
    **dict.fromkeys(["monitor", "urls"], 5),
    **dict.fromkeys(["executor", "aio", "testing"], 6),
    **dict.fromkeys(["cli", "joblib", "tasks"], 7),
    **dict.fromkeys(["", "__main__"], 8),
}
CONTRACTS = 2

# The same inside the memory backend; what is named in neither line is the adapter.
PURE = {"layout", "words", "machine", "bits", "chains", "ready", "delay", "index", "arena", "slots"} | {
    "draft", "measure", "core", "accept", "deliver", "finish", "amend", "collect", "recover", "rebuild",
    "audit", "lockword",
}  # fmt: skip
SYSTEM = {"mode", "lock", "wordguard", "futex", "liveness", "blobs", "mappings", "namespace"} | {
    "settings", "segment", "opening",
}  # fmt: skip

# The same inside the backend of stores: what follows from records alone.
STORE_PURE = {"contract", "keys", "plain", "record", "moves", "order", "sums", "members", "index", "settings"}

# The same inside the pipe: what travels.
PIPE_PURE = {"heads", "frames", "asked", "wire", "failures"}

# What a pure module may use: nothing that asks the operating system, and no clock.
CALCULATING = {
    "__future__",
    "collections",
    "collections.abc",
    "dataclasses",
    "enum",
    "math",
    "operator",
    "typing",
    "zlib",
}
READING = {"binascii", "json", "re"}  # bytes to values
OF_EXTRAS = {
    "ipcq.joblib": {"joblib"},
    "ipcq.metrics.collector": {"prometheus_client"},
    "ipcq.tracing.otel": {"opentelemetry"},
}  # what a module is for, and nobody else imports
POSIX_ONLY = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}


def _imports(name: str) -> set[str]:
    """Every module that ``name`` imports when it runs, inside functions too."""
    found = set()
    for node in _running(ast.parse(SOURCES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(name, node)
            inner = {f"{base}.{alias.name}" for alias in node.names} & set(SOURCES)
            found |= inner if len(inner) == len(node.names) else inner | {base}
    return found


def _running(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    found = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        found.append(node)
        todo.extend(ast.iter_child_nodes(node))
    return found


def _absolute(name: str, node: ast.ImportFrom) -> str:
    package = name if SOURCES[name].name == "__init__.py" else name.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return ".".join(filter(None, [package if node.level else "", node.module]))


IMPORTS = {name: _imports(name) for name in SOURCES}


def _own(name: str) -> set[str]:
    return IMPORTS[name] & set(SOURCES)


def _room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def _may_import(name: str, target: str) -> bool:
    level, below = LEVELS[_room(name)], LEVELS[_room(target)]
    return below < level or below == level <= CONTRACTS or _room(name) == _room(target)


def test_a_room_imports_only_from_lower_levels() -> None:
    """Nothing reaches up, and nothing reaches across but values and contracts."""
    wrong = [
        f"{name} imports {target}"
        for name in SOURCES
        for target in _own(name)
        if not _may_import(name, target)
    ]
    assert wrong == []


def test_there_is_no_import_cycle() -> None:
    """The modules can be put into an order in which each comes after what it imports."""
    TopologicalSorter({name: _own(name) for name in SOURCES}).prepare()


def test_a_worker_knows_no_concrete_backend() -> None:
    """Workers speak to the contracts; backends can be added without touching them."""
    wrong = {
        name: {target for target in _own(name) if _room(target) == "backends"}
        for name in SOURCES
        if _room(name) == "worker"
    }
    assert wrong
    assert not any(wrong.values()), wrong


MEMORY = [name for name in SOURCES if name.startswith("ipcq.backends.memory.")]


def test_inside_the_memory_backend_algorithms_are_pure() -> None:
    """Pure algorithms import only each other; system calls import those; the adapter imports both."""
    wrong = {}
    for name in MEMORY:
        inside = {target.rpartition(".")[2] for target in _own(name) if target in MEMORY}
        module = name.rpartition(".")[2]
        if module in PURE:
            wrong[name] = inside - PURE | IMPORTS[name] - set(SOURCES) - CALCULATING
        elif module in SYSTEM:
            wrong[name] = inside - PURE - SYSTEM
    assert {name.rpartition(".")[2] for name in wrong} == PURE | SYSTEM
    assert not any(wrong.values()), wrong


# The same inside the json backend.
JSON = [name for name in SOURCES if name.startswith("ipcq.backends.json.")]
JSON_PURE = {"journal", "index"}
JSON_SYSTEM = {"logfile", "anew", "sync", "turn", "watch"}


def test_inside_the_json_backend_algorithms_are_pure() -> None:
    """Bytes and offsets know no file; the operating system's part knows no store."""
    wrong = {}
    for name in JSON:
        inside = {target.rpartition(".")[2] for target in _own(name) if target in JSON}
        module = name.rpartition(".")[2]
        if module in JSON_PURE:
            wrong[name] = inside - JSON_PURE | IMPORTS[name] - set(SOURCES) - CALCULATING - READING
        elif module in JSON_SYSTEM:
            wrong[name] = inside - JSON_PURE - JSON_SYSTEM
    assert {name.rpartition(".")[2] for name in wrong} == JSON_PURE | JSON_SYSTEM
    assert not any(wrong.values()), wrong


def test_inside_the_backend_of_stores_decisions_are_pure() -> None:
    """Records, moves and the index ask neither a store nor the operating system nor a clock."""
    inside = {name.rpartition(".")[2]: name for name in SOURCES if name.startswith("ipcq.backends.store.")}
    assert set(inside) >= STORE_PURE
    may_use = CALCULATING | {"base64", "hashlib", "heapq", "json"}
    wrong = {}
    for module in STORE_PURE:
        name = inside[module]
        near = {t.rpartition(".")[2] for t in _own(name) if t.startswith("ipcq.backends.store.")}
        wrong[module] = near - STORE_PURE | IMPORTS[name] - set(SOURCES) - may_use
    assert not any(wrong.values()), wrong


def test_inside_the_pipe_messages_are_pure() -> None:
    """What travels knows no socket, no clock and no operating system."""
    wrong = {}
    for module in PIPE_PURE:
        name = f"ipcq.backends.pipe.{module}"
        near = {t.rpartition(".")[2] for t in _own(name) if t.startswith("ipcq.backends.pipe.")}
        wrong[name] = near - PIPE_PURE | IMPORTS[name] - set(SOURCES) - CALCULATING - {"msgpack", "struct"}
    assert not any(wrong.values()), wrong


def test_values_and_contracts_import_on_every_platform() -> None:
    """They use no module that only POSIX has, so that Windows gets to the error that refuses it."""
    low = [name for name in SOURCES if LEVELS[_room(name)] <= CONTRACTS]
    assert [
        f"{name} imports {IMPORTS[name] & POSIX_ONLY}" for name in low if IMPORTS[name] & POSIX_ONLY
    ] == []


def test_only_declared_packages_are_imported() -> None:
    """What is imported is in the standard library, in ipcq, or a run-time dependency."""
    known = sys.stdlib_module_names | {"ipcq", "msgpack", "psutil", "tqdm", "zmq"}
    wrong = [
        f"{name} imports {target}"
        for name in SOURCES
        for target in IMPORTS[name]
        if target.partition(".")[0] not in known | OF_EXTRAS.get(name, set())
    ]
    assert wrong == []


def test_files_are_small() -> None:
    """Nine files of ten have 370 lines or less."""
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES.values()]
    print(f"files: {len(lines)}, median {median(lines):.0f}, p90 {quantiles(lines, n=10)[-1]:.0f} lines")
    assert quantiles(lines, n=10)[-1] <= 370


def test_functions_are_small() -> None:
    """Half of all function bodies have 5 lines or less, nine of ten have 20 or less."""
    lines = [
        _body_lines(node)
        for path in SOURCES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    print(f"functions: {len(lines)}, median {median(lines)}, p90 {quantiles(lines, n=10)[-1]:.0f} lines")
    assert median(lines) <= 5
    assert quantiles(lines, n=10)[-1] <= 20


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
