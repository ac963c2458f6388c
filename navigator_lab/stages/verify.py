"""What the user's own function says of a target.

Two forms. ``fn(outputs, reference)`` gets what the target and the reference answered: a list with
one dict of arrays a sample. ``fn(predict, dataset)`` gets the target itself: ``predict(feeds)``
gives its outputs, ``dataset`` is the list of the samples' feeds. A function whose first parameter
is named ``predict`` (or ``model``, ``predictor``) is taken as the second form; the option ``form``
says it outright.
"""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NavigatorError
from ..types import samples as of_samples
from ..types.measure import Outputs, Verification
from ..types.outcome import Product
from ..types.plugin import At, action, option
from ..types.signature import Signature
from .calls import call, checked
from .infer import FILENAME as OUTPUTS

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

CALLABLE = "callable.pkl"
FORMS = ("auto", "outputs", "predict")
_PREDICTS = ("predict", "predictor", "model")


class MetricError(NavigatorError):
    """The user's function raised, or gave what can't be understood."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What is asked of the metrics."""

    form: str = option("auto", "what the function takes: answers, or the target", choices=FORMS)
    at_least: tuple[tuple[str, float], ...] = option((), "the least a metric may be, by its name")

    def __post_init__(self) -> None:
        pairs = self.at_least.items() if isinstance(self.at_least, Mapping) else self.at_least
        object.__setattr__(self, "at_least", tuple((str(k), float(v)) for k, v in pairs))


def write_metric(folder: Path, function: Callable[..., Any]) -> None:
    """The user's function as a file of ``folder``: code of notebook cells travels with it."""
    import cloudpickle

    (folder / CALLABLE).write_bytes(cloudpickle.dumps(function))


@action("verify", options=VerifyOptions, needs=("cloudpickle",), hardware=True)
def verify(
    at: At,
    metric: Product,
    samples: Product,
    reference: Product | None = None,
    candidate: Product | None = None,
    model: Product | None = None,
) -> Verification:
    """Ask the user's own function whether a target is good."""
    options = at.options or VerifyOptions()
    function = pickle.loads((metric.path / CALLABLE).read_bytes())  # noqa: S301 written by us from the user's own session
    signature = samples.read(Signature)
    with ExitStack() as open_:
        if _form(function, options.form) == "outputs":
            if reference is None or (candidate is None and model is None):
                raise MetricError("a function of (outputs, reference) needs both answers")
            wanted = _answers(reference)
            given = (
                _answers(candidate)
                if candidate is not None
                else _ask_all(at, model, samples, signature)
            )
            arguments: tuple[Any, Any] = (given, wanted)
        else:
            if model is None:
                raise MetricError("a function of (predict, dataset) needs the model")
            running = open_.enter_context(at.open(model, at.about, signature))
            names = [spec.name for spec in signature.outputs]

            def predict(feeds: Arrays) -> Arrays:
                return checked(call(running, feeds), names)[0]

            arguments = (predict, of_samples.read(samples.path))
        try:
            said = function(*arguments)
        except Exception as error:  # the user's code may raise anything; it is raised again
            raise MetricError(
                f"the verify function raised {_raised(error)}",
                "its traceback is below; it gets lists of dicts of numpy arrays by output name"
                if _form(function, options.form) == "outputs"
                else "its traceback is below",
            ) from error
    return understood(said, dict(options.at_least))


def _form(function: Callable[..., Any], form: str) -> str:
    if form != "auto":
        return form
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a callable without a signature, such as some built-ins
        return "outputs"
    return "predict" if names and names[0].lower() in _PREDICTS else "outputs"


def _answers(product: Product) -> list[Arrays]:
    """What was answered to each sample alone, in the order of the samples."""
    import numpy as np

    outputs = product.read(Outputs)
    with np.load(product.path / OUTPUTS, allow_pickle=False) as file:
        return [
            {name: file[f"{i}/{name}"] for name in outputs.names}
            for i, case in enumerate(outputs.cases)
            if case.batch == 1
        ]


def _ask_all(at: At, model: Product | None, samples: Product, signature: Signature) -> list[Arrays]:
    assert model is not None
    names = [spec.name for spec in signature.outputs]
    with at.open(model, at.about, signature) as running:
        feeds = of_samples.read(samples.path)
        return [checked(call(running, one), names)[0] for one in feeds]


def _raised(error: BaseException) -> str:
    """The error and the line of the user's code it came from."""
    at = error.__traceback__.tb_next if error.__traceback__ else None
    last = None
    while at is not None:
        last, at = at, at.tb_next
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if last is None:
        return text
    code = last.tb_frame.f_code
    return f"{text} (in {code.co_name}, line {last.tb_lineno})"


def understood(said: Any, at_least: Mapping[str, float]) -> Verification:
    """A function's answer as a verdict: bool passes or fails, a number is the metric ``value``, a
    dict holds metrics, of which ``passed`` decides. A metric that is NaN, or under its minimum,
    fails.

    Raises:
        MetricError: anything else.
    """
    metrics: dict[str, Any]
    given = _plain(said)
    if isinstance(given, bool):
        passed, metrics = given, {}
    elif isinstance(given, int | float):
        passed, metrics = True, {"value": float(given)}
    elif isinstance(given, Mapping):
        metrics = {str(k): _plain(v) for k, v in given.items()}
        passed = metrics.pop("passed", True)
        if not isinstance(passed, bool):
            raise MetricError(
                f"'passed' is {passed!r}; it decides, so it must be a bool",
                "give a number under another name, and its minimum by at_least",
            )
    else:
        raise MetricError(
            f"the verify function returned {_shown(said)}",
            "return a bool (passes or not), a number, or a dict of numbers, 'passed' among them",
        )
    wrong = [] if passed else ["the verify function says no"]
    for name, value in metrics.items():
        if isinstance(value, str):
            continue
        if not isinstance(value, bool | int | float):
            raise MetricError(
                f"metric {name!r} is {_shown(value)}", "a metric is a number, a bool or a text"
            )
        if isinstance(value, float) and math.isnan(value):
            wrong.append(f"{name} is NaN")
    for name, least in at_least.items():
        if name not in metrics:
            known = ", ".join(metrics) or "none"
            raise MetricError(
                f"at_least asks for {name!r}, and the function gave {known}",
                "a bare number is named 'value'",
            )
        value = metrics[name]
        if isinstance(value, str):
            raise MetricError(f"metric {name!r} is the text {value!r}; at_least needs a number")
        if value < least:
            wrong.append(f"{name} is {value:.6g}, at least {least:g} is asked")
    if wrong:
        return Verification(False, metrics, "; ".join(wrong))
    shown = ", ".join(f"{k} {v:.6g}" if _number(v) else f"{k} {v}" for k, v in metrics.items())
    return Verification(True, metrics, shown or "the verify function says yes")


def _plain(value: Any) -> Any:
    """A numpy or torch scalar as Python's own; everything else as it is."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
