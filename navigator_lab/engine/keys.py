"""The facts a result depends on, kept readable so that a miss explains itself."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..types.codec import digest, encode
from ..types.plugin import Action, Host
from ..types.step import Step

OURS = "navigator_lab"


def facts(
    step: Step,
    actions: Iterable[Action],
    inputs: Mapping[str, str],
    host: Host,
    versions: Callable[[str], str | None],
) -> dict[str, Any]:
    """All that the step's result depends on, as plain JSON data.

    ``actions`` are the step's own and those of the plug-ins it uses; ``inputs`` are content digests.
    """
    actions = tuple(actions)
    packages = {}
    for need in sorted({n for a in actions for n in a.needs}):
        for name in need.split("|"):
            if version := versions(name):
                packages[name] = version
                break
    known = {
        "action": step.action,
        "about": None if step.about is None else str(step.about),
        "options": encode(step.options),
        "run_options": encode(step.run_options),
        "inputs": dict(inputs),
        "code": {a.name: code_of(a.fn) for a in actions},
        "packages": packages,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    if any(a.hardware for a in actions):
        known["hardware"] = encode(host)
    return known


def key(known: Mapping[str, Any]) -> str:
    """sha256 of the facts."""
    return digest(known)


@cache
def code_of(fn: Callable[..., Any]) -> str:
    """The code that a function rests on: its file and what that imports of the same package.

    As a syntax tree without docstrings: comments, layout and help texts don't count.
    """
    name = inspect.unwrap(fn).__module__
    seal = hashlib.sha256()
    for module, path in sorted(_closure(name).items()):
        seal.update(f"{module}:{_tree_digest(path)}\n".encode())
    return seal.hexdigest()


@cache
def _closure(name: str) -> dict[str, Path]:
    root = name.partition(".")[0]
    found: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        here = waiting.pop()
        path = _file_of(here)
        if here in found or path is None:
            continue
        found[here] = path
        waiting += [m for m in _imports(here, path) if m.partition(".")[0] in (root, OURS)]
    return found


@cache
def _file_of(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__))
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


@cache
def _tree_digest(path: Path) -> str:
    tree = _parsed(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = body[0] if body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _imports(module: str, path: Path) -> tuple[str, ...]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    for node in _running(_parsed(path)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base]) if base else ".".join(up)
            found += [base, *(f"{base}.{a.name}" for a in node.names)]
    return tuple(found)


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
