"""The body of ``%%navigator verify``: run as a cell, and the metric that it defines."""

from __future__ import annotations

import ast
from typing import Any

from ...errors import RequestError


def defined(shell: Any, body: str) -> Any:
    """The function named ``metric``, else the last one that the body defines at its top level.

    Raises:
        RequestError: it defines none. What it raises itself comes through.
    """
    try:
        body = shell.transform_cell(body)
        tree = ast.parse(body)
    except SyntaxError as error:
        raise RequestError(f"the cell's body is no Python: {error}") from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    names += [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    if not names:
        raise RequestError(
            "the cell's body defines no function",
            "def metric(outputs, reference): ... that gives a bool, a number or a dict",
        )
    # Known to linecache like a cell of its own: the metric's source can be read and fingerprinted.
    # Not `run_cell`: one within another takes the outer one's value away.
    name = shell.compile.cache(body)
    exec(compile(tree, name, "exec"), shell.user_ns)  # noqa: S102 -- it is the user's own cell
    return shell.user_ns["metric" if "metric" in names else names[-1]]
