"""Who may look into whom: the map of rooms, kept by reading every import."""

import ast
from pathlib import Path

import pytest

import navigator_lab

ROOT = Path(navigator_lab.__file__).parent
FREE = {"types", "errors"}
MAY_LOOK = {
    "types": {"types"},
    "errors": {"errors"},
    "formats": {*FREE, "formats"},
    "sources": {*FREE, "sources"},
    "triton": {*FREE, "triton"},
    "runners": {*FREE, "runners", "formats"},
    "stages": {*FREE, "stages", "triton"},
    "catalog": {*FREE, "catalog"},
    "plan": {*FREE, "catalog", "stages"},
    "engine": {*FREE, "engine", "catalog"},
    "choose": {*FREE, "choose"},
    "views": {*FREE, "views"},
    "testing": {*FREE, "catalog"},
    "predecessor": {*FREE, "predecessor"},
    "session": {
        *FREE, "session", "sources", "formats", "runners", "stages", "triton", "catalog", "plan",
        "engine", "choose", "views", "environments",
    },
    "environments": {*FREE, "engine", "triton"},
    "demo": {*FREE},
    "doctor": {*FREE, "catalog", "engine", "environments"},
    "lab": {*FREE},
    "cli": {*FREE, "cli", "views", "session", "catalog", "engine", "sources", "demo", "doctor", "lab",
            "navigator_lab", "triton", "environments"},
    "ui": {*FREE, "ui", "views", "session", "demo"},
    "__init__": {*FREE, "session", "ui", "environments"},
}  # fmt: skip
ENGINE_IS_BLIND_TO = (
    "torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorflow", "keras", "jax", "numpy",
)  # fmt: skip
FILES = sorted(p for p in ROOT.rglob("*.py") if "backends" not in p.parts)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def looks(path: Path):
    """(line, room) of every import of ours in a file."""
    package = ["navigator_lab", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = [*base, *(node.module or "").split(".")]
            whole = [part for part in whole if part]
            if whole == ["navigator_lab"]:
                names = [f"navigator_lab.{a.name}" for a in node.names]
            else:
                names = [".".join(whole)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "navigator_lab":
                yield node.lineno, parts[1] if len(parts) > 1 else "navigator_lab"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_looks_only_where_it_may(path):
    room = room_of(path)
    allowed = MAY_LOOK[room]
    wrong = [
        f"line {line}: {room} -> {seen}"
        for line, seen in looks(path)
        if seen not in allowed and not seen.startswith("__")
    ]
    assert not wrong


def test_the_engine_names_no_framework():
    for path in sorted((ROOT / "engine").glob("*.py")):
        tree = ast.parse(path.read_text())
        words = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        words |= {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import)
                  for a in n.names}  # fmt: skip
        words |= {n.module.split(".")[0] for n in ast.walk(tree)
                  if isinstance(n, ast.ImportFrom) and n.module}  # fmt: skip
        assert not words & set(ENGINE_IS_BLIND_TO), path


def test_every_room_is_on_the_map():
    text = navigator_lab.__doc__
    for entry in ROOT.iterdir():
        if entry.name.startswith(("_", ".")):
            continue
        if entry.is_dir() or entry.suffix == ".py":
            assert f"`{entry.stem}`" in text, entry.name


def test_a_runner_has_the_family_in_plots_that_it_declares():
    """Views know no catalog: they keep the names of our runners, which this holds together."""
    from navigator_lab.catalog import Catalog
    from navigator_lab.views.theme import family

    said = {name: one.family for name, one in Catalog.installed().runners.items()}
    shown = {name: family("", name) for name in said}
    assert shown == said
