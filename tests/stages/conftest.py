"""A bench for single stages: products on disk, and a runner that calls plain functions on arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navigator_lab.types import samples as of_samples
from navigator_lab.types.codec import canonical, decode, encode
from navigator_lab.types.measure import Outputs
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import Action, At, options_of, runner
from navigator_lab.types.samples import Case
from navigator_lab.types.signature import Axis, Signature, TensorSpec
from navigator_lab.types.target import Target

Arrays = dict[str, np.ndarray]


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        self.turns = 0
        self.opened: list[Any] = []
        self._functions: dict[str, Any] = {}
        bench = self

        @runner("toy", "toy", reference=True)
        @contextmanager
        def toy(model: Product, opening: Any) -> Iterator[Any]:
            bench.opened.append(opening)
            made = bench._functions[model.digest]
            yield made() if isinstance(made, type) else made

        self.runner = toy

    def folder(self) -> Path:
        folder = self.root / str(len(list(self.root.iterdir())))
        folder.mkdir()
        return folder

    def model(self, function: Callable[[Arrays], Arrays] | type) -> Product:
        folder = self.folder()
        self._functions[folder.name] = function
        return Product(folder.name, folder)

    def samples(self, samples: list[Arrays], signature: Signature) -> Product:
        folder = self.folder()
        of_samples.write(folder, samples)
        return Product(folder.name, folder, encode(signature))

    def outputs(
        self, alone: list[Arrays], cases: list[Case] | None = None, **facts: Any
    ) -> Product:
        """An answers product made by hand: one case a sample unless said otherwise."""
        folder = self.folder()
        flat = {f"{i}/{k}": np.asarray(v) for i, one in enumerate(alone) for k, v in one.items()}
        np.savez(folder / "outputs.npz", **flat)
        cases = cases or [Case((i,)) for i in range(len(alone))]
        value = Outputs(tuple(cases), tuple(alone[0]), **facts)
        return Product(folder.name, folder, encode(value))

    def do(
        self,
        action: Action,
        target: str = "toy:fp32@toy-cpu",
        options: Any = None,
        **inputs: Product,
    ) -> tuple[Any, Product]:
        """Run an action as a worker would; its value, and its product."""
        out = self.folder()
        at = At(
            out,
            Target.parse(target),
            options_of(action.options, options),
            {},
            {"toy": self.runner},
            _say=lambda text, share: self.said.append(text),
            _turn=self._turn,
        )
        value = action.fn(at, **inputs)
        plain = encode(value)
        assert canonical(decode(type(value), plain)) == canonical(value)
        files = {p.name: p.stat().st_size for p in out.iterdir()}
        return value, Product(out.name, out, plain, files)

    def _turn(self) -> None:
        self.turns += 1


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def signature(
    inputs: dict[str, tuple[str, tuple[int | str, ...]]],
    outputs: dict[str, tuple[str, tuple[int | str, ...]]],
    most: int = 64,
) -> Signature:
    named = [TensorSpec(k, *v) for k, v in inputs.items()]
    made = [TensorSpec(k, *v) for k, v in outputs.items()]
    axes = (Axis("batch", 1, 4, most),) if any("batch" in s.shape for s in named) else ()
    return Signature(tuple(named), tuple(made), axes)


LINEAR = signature({"x": ("float32", ("batch", 8))}, {"y": ("float32", ("batch", 3))})


@pytest.fixture
def linear() -> Signature:
    return LINEAR


@pytest.fixture
def sign() -> Callable[..., Signature]:
    return signature


@pytest.fixture
def rows() -> list[Arrays]:
    draw = np.random.default_rng(0)
    return [{"x": draw.normal(size=(1, 8)).astype(np.float32)} for _ in range(6)]


WEIGHTS = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)


@pytest.fixture
def multiply() -> Callable[[Arrays], Arrays]:
    return lambda feeds: {"y": feeds["x"] @ WEIGHTS}
