"""The precision mixer: one variant with more and more of its most sensitive nodes in fp32.

Each setting is a target like any other; what they share (the export, the sensitivity of the nodes,
the reference's answers) is made once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from ..formats.onnx.ranking import RANKING, Sensitivity
from ..types.plugin import options_known
from ..types.step import Step
from ..types.target import Target, settings
from ..views import mixer
from . import packaging

if TYPE_CHECKING:
    from ..catalog import Catalog
    from .studied import Studied

KEEP = (0, 2, 5, 10, 20)


def mix(session: Studied, target: Any, keep: Iterable[int], wanted: dict[str, Any]) -> mixer.Info:
    """Run a target with each number of nodes kept in fp32, and show them beside each other.

    Raises:
        RequestError: it can't be built so, or a number that can't be; before any work.
    """
    session.run(targets=asked(target, keep), **wanted)
    return mixer.info(session, str(target))


def sensitivity(session: Studied, target: Any) -> Sensitivity:
    """The ranking that a mix goes by: from the store, or measured now.

    Raises:
        RequestError: it can't be mixed; or a run is under way.
        PackageError: the ranking can't be made.
    """
    if session.job is not None and not session.job.done:
        raise RequestError("a run of this session is under way", "await it, or lab.cancel()")
    (name,) = asked(target, [1])
    _, (route,) = session._plan({"targets": [name], "until": "convert"}, keep=False)
    if route.unavailable is not None:
        raise RequestError(f"{name}: {route.unavailable.reason}", route.unavailable.remedy)
    step = next(made for one in route.builds for key, made in one.inputs if key == RANKING)
    assert isinstance(step, Step)
    return packaging.settled(session.engine, step).read(Sensitivity)


def asked(target: Any, keep: Iterable[int]) -> list[str]:
    """The targets of a mix, by name.

    Raises:
        RequestError: no target, or a number that can't be.
    """
    try:
        parsed = Target.parse(str(target))
        numbers = sorted({int(n) for n in keep})
    except (TypeError, ValueError) as error:
        raise RequestError(str(error), "lab.mix('onnx:int8@ort-cpu', keep=[0, 2, 5])") from error
    if not numbers or numbers[0] < 0:
        raise RequestError(f"keep={numbers} can't be", "give numbers of nodes, 0 or more")
    return [str(setting(parsed, n)) for n in numbers]


def mixable(catalog: Catalog, target: Target) -> bool:
    """Does what builds a target have the option? An edge to its variant, or to the one before it."""
    known = {
        after
        for edge in catalog.edges
        if mixer.OPTION in options_known(edge.action.options)
        for _, after in edge.pairs
    }
    built = target.plain.variant
    before = {
        b for edge in catalog.edges for b, after in edge.pairs if after == built and b != after
    }
    return built in known or bool(before & known)


def setting(target: Target, keep: int) -> Target:
    """The target with so many nodes in fp32; none is the plain one."""
    others = {name: value for name, value in target.settings if name != mixer.OPTION}
    more = {mixer.OPTION: keep} if keep else {}
    return replace(target, settings=settings({**others, **more}))
