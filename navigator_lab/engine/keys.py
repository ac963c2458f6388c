"""The facts a result depends on, kept readable so that a miss explains itself."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..types.codec import digest, encode
from ..types.plugin import Action, Host, alternatives
from ..types.step import Step

OURS = "navigator_lab"
_PARSING = threading.Lock()


def facts(
    step: Step,
    actions: Iterable[Action],
    inputs: Mapping[str, str],
    host: Host,
    versions: Callable[[str], str | None],
    codes: Codes,
) -> dict[str, Any]:
    """All that the step's result depends on, as plain JSON data.

    ``actions`` are the step's own and those of the plug-ins it uses; ``inputs`` are content digests.
    """
    actions = tuple(actions)
    packages = {}
    for need in sorted({n for a in actions for n in a.needs}):
        for name, _ in alternatives(need):
            if version := versions(name):
                packages[name] = version  # of two that are there, either may be imported
    known = {
        "action": step.action,
        "about": None if step.about is None else str(step.about),
        "options": encode(step.options),
        "run_options": encode(step.run_options),
        "inputs": dict(inputs),
        "code": {a.name: codes.of(a.fn) for a in actions},
        "packages": packages,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    if any(a.hardware for a in actions):
        known["hardware"] = encode(host)
    return known


def key(known: Mapping[str, Any]) -> str:
    """sha256 of the facts."""
    return digest(known)


class Memo(Protocol):
    """Remembers a text about a file, as long as the file doesn't change."""

    def get(self, path: Path, kind: str = ...) -> str | None:
        """What was noted."""

    def put(self, path: Path, said: str, kind: str = ...) -> None:
        """Note it."""


class Codes:
    """The code that functions rest on. Files are parsed once and then remembered by ``memo``."""

    def __init__(self, memo: Memo | None = None) -> None:
        self._memo = memo
        self._kind = "code " + ".".join(platform.python_version_tuple()[:2])
        self._files: dict[tuple[str, Path], tuple[str, tuple[str, ...]]] = {}
        self._of: dict[Callable[..., Any], str] = {}
        self._paths: dict[str, Path | None] = {}

    def of(self, fn: Callable[..., Any]) -> str:
        """A digest of a function's file and of what that imports of the same package.

        As a syntax tree without docstrings: comments, layout and help texts don't count.
        """
        if fn not in self._of:
            seal = hashlib.sha256()
            for module, sealed in sorted(self._closure(inspect.unwrap(fn).__module__).items()):
                seal.update(f"{module}:{sealed}\n".encode())
            self._of[fn] = seal.hexdigest()
        return self._of[fn]

    def _closure(self, name: str) -> dict[str, str]:
        root = name.partition(".")[0]
        found: dict[str, str] = {}
        waiting = [name]
        while waiting:
            here = waiting.pop()
            if here in found:
                continue
            if here not in self._paths:
                self._paths[here] = _file_of(here)
            path = self._paths[here]
            if path is None:
                continue
            found[here], imports = self._file(here, path)
            waiting += [m for m in imports if m.partition(".")[0] in (root, OURS)]
        return found

    def _file(self, module: str, path: Path) -> tuple[str, tuple[str, ...]]:
        known = self._files.get((module, path))
        if known is None:
            kind = f"{self._kind} {module}"
            said = self._memo.get(path, kind) if self._memo else None
            if said is None:
                tree = _parsed(path.read_bytes())
                imports = _imports(tree, module, path)
                said = "\n".join((_sealed(tree), *imports))
                if self._memo:
                    self._memo.put(path, said, kind)
            sealed, *names = said.split("\n")
            known = self._files[module, path] = (sealed, tuple(names))
        return known


def _file_of(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__))
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _parsed(source: bytes) -> ast.Module:
    """A syntax tree. CPython 3.11 counts its depth for all threads together: two that parse at once
    may fail with a SystemError, which says nothing of the source."""
    for _ in range(10):
        try:
            with _PARSING:
                return ast.parse(source)
        except SystemError:
            continue  # somebody else's thread, as a notebook's that compiles a cell
    return ast.parse(source)


def _sealed(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _imports(tree: ast.Module, module: str, path: Path) -> list[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: dict[str, None] = {}
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base]) if base else ".".join(up)
            found |= dict.fromkeys([base, *(f"{base}.{a.name}" for a in node.names)])
    return list(found)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but what stands under ``if TYPE_CHECKING``."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> tuple[str, ...]:
    """Why a step runs again, in words: ``options.opset: 17 -> 20``, ``never run``."""
    if old is None:
        return ("never run",)
    return tuple(_walk("", old, new)) or ("its result is no longer in the store",)


def _walk(path: str, a: Any, b: Any) -> Iterator[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in sorted({*a, *b} - {"is"}):
            yield from _walk(f"{path}.{name}" if path else name, a.get(name), b.get(name))
    elif a != b:
        yield f"{path}: {_short(a)} -> {_short(b)}"


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    if len(text) == 64 and not text.strip("0123456789abcdef"):
        return text[:8]
    return text if len(text) <= 60 else text[:57] + "…"
