"""The precision mixer: one variant with more and more of its most sensitive nodes in fp32.

Each setting is a target like any other; what they share (the export, the sensitivity of the nodes,
the reference's answers) is made once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from ..types.target import Target, settings
from ..views import mixer

if TYPE_CHECKING:
    from .session import Session

KEEP = (0, 2, 5, 10, 20)


def mix(session: Session, target: Any, keep: Iterable[int], wanted: dict[str, Any]) -> mixer.Info:
    """Run a target with each number of nodes kept in fp32, and show them beside each other.

    Raises:
        RequestError: it can't be built so, or a number that can't be; before any work.
    """
    parsed = Target.parse(str(target))
    numbers = sorted({int(n) for n in keep})
    if not numbers or numbers[0] < 0:
        raise RequestError(f"keep={numbers} can't be", "give numbers of nodes, 0 or more")
    texts = [str(setting(parsed, n)) for n in numbers]
    session.run(targets=texts, **wanted)
    return mixer.info(session, str(parsed))


def setting(target: Target, keep: int) -> Target:
    """The target with so many nodes in fp32; none is the plain one."""
    others = {name: value for name, value in target.settings if name != mixer.OPTION}
    more = {mixer.OPTION: keep} if keep else {}
    return replace(target, settings=settings({**others, **more}))
