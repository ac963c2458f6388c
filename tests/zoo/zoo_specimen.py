"""What the zoo is made of: a model, inputs that move its outputs, and what is known of it.

Not here: the models themselves (`zoo_torch`, `zoo_onnx`, `zoo_wheels`), and what is asserted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Specimen:
    """One model of the zoo.

    Attributes:
        make: gives the model, as a user would hold it.
        samples: gives its samples, as a user would write them.
        explore: further arguments of ``explore``.
        inputs, outputs: what the signature must say, as ``name -> shape`` with axis names as
            strings; a named axis other than ``batch`` is written ``"*"``, as its name is free.
            Empty: not looked at.
        stateful: the same call twice gives two answers.
        still: names of outputs that rightly do not move with the samples.
        refused: what the message says if `explore` must refuse it.
        package: the distribution that carries it, when it is not made here.
    """

    name: str
    make: Callable[[], Any]
    samples: Callable[[], Any]
    explore: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    stateful: bool = False
    still: tuple[str, ...] = ()
    refused: str = ""
    package: str = ""

    def __str__(self) -> str:
        return self.name


def collector() -> tuple[dict[str, Specimen], Callable[..., Callable[[Any], Any]]]:
    """A dict of specimens, and a decorator that adds one: ``@add(samples, inputs=…)`` on ``make``."""
    found: dict[str, Specimen] = {}

    def add(samples: Callable[[], Any], **facts: Any) -> Callable[[Any], Any]:
        def wrap(make: Any) -> Any:
            name = facts.pop("name", make.__name__)
            found[name] = Specimen(name, make, samples, **facts)
            return make

        return wrap

    return found, add
