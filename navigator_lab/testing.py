"""A toy format and runner in numpy alone, and contract tests for those who write plug-ins.

``plugins=["navigator_lab.testing"]`` brings the toy into a session: a python callable `Affine` can
then be built as ``toy`` in fp32 and fp16 and run by ``toy``. With it the whole machine (plan, keys,
store, workers, comparison, choice, package) is exercised without any framework.

`EdgeContract` and `RunnerContract` are test classes: a plug-in's tests are a subclass and a few
fixtures. They check what the rest of the house relies on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .types import samples as stored
from .types.codec import encode
from .types.outcome import Product
from .types.plugin import (
    At,
    Edge,
    Format,
    Opening,
    Plain,
    Reading,
    Runner,
    action,
    edge,
    option,
    runner,
)
from .types.signature import Signature
from .types.target import CPU, Target, Variant


class Affine:
    """``y = x @ weight + bias``, as a python callable: the toy's model.

    ``x`` has the shape ``(batch, inputs)``, ``y`` ``(batch, outputs)``.
    """

    def __init__(self, inputs: int = 4, outputs: int = 3, seed: int = 0) -> None:
        import numpy as np

        draw = np.random.default_rng(seed)
        self.weight = draw.normal(size=(inputs, outputs)).astype(np.float32)
        self.bias = draw.normal(size=outputs).astype(np.float32)

    def __call__(self, x: Any) -> Any:
        return x @ self.weight + self.bias


TOY = Format("toy", "toy.npz", "weights of an affine map, in numpy's own file", family="Toy")


@edge("python", "toy", "fp32", needs=("numpy",))
def build(at: At, model: Product, samples: Product) -> None:
    """Take the weights out of an `Affine`."""
    import pickle

    import numpy as np

    affine = pickle.loads((model.path / "callable.pkl").read_bytes())  # noqa: S301 -- our own model
    np.savez(at.out / TOY.filename, weight=affine.weight, bias=affine.bias)


@dataclass(frozen=True, slots=True)
class Largest:
    """Which weights count most: their names, the largest first."""

    names: tuple[str, ...]


@action("toy-ranking", needs=("numpy",))
def rank(at: At, model: Product, samples: Product) -> Largest:
    """Order the weights by their largest value."""
    import numpy as np

    with np.load(model.path / TOY.filename) as file:
        size = {name: float(np.abs(value).max()) for name, value in file.items()}
    return Largest(tuple(sorted(size, key=size.__getitem__, reverse=True)))


@dataclass(frozen=True, slots=True)
class HalfOptions:
    """What is rounded."""

    keep: int = option(0, "so many of the largest weights keep their precision")


@edge(
    "toy",
    "toy",
    ("fp32", "fp16"),
    needs=("numpy",),
    name="toy:fp16<-toy",
    options=HalfOptions,
    reads=(Reading("ranking", "toy-ranking", when=lambda options: options.keep > 0),),
)
def halve(at: At, model: Product, samples: Product, ranking: Product | None = None) -> None:
    """Round the weights to half precision."""
    import numpy as np

    options = at.options or HalfOptions()
    kept = ranking.read(Largest).names[: options.keep] if ranking is not None else ()
    with np.load(model.path / TOY.filename) as file:
        half = {k: v if k in kept else v.astype(np.float16) for k, v in file.items()}
    np.savez(at.out / TOY.filename, **half)


@dataclass(frozen=True, slots=True)
class ToyOptions:
    """How it is computed."""

    order: str = option("C", "how the weights lie in memory", choices=("C", "F"))


@runner(
    "toy",
    "toy",
    precisions=("fp32", "fp16"),
    needs=("numpy",),
    family="Toy",
    options=ToyOptions,
)
@contextmanager
def toy(model: Product, opening: Opening) -> Iterator[Plain]:
    """Multiply and add."""
    import numpy as np

    with np.load(model.path / TOY.filename) as file:
        order = (opening.options or ToyOptions()).order
        weight, bias = (file[k].astype(np.float32, order) for k in ("weight", "bias"))
    names = [spec.name for spec in opening.signature.inputs]
    yield Plain(lambda feeds: {"output": feeds[names[0]] @ weight + bias})


def samples_product(folder: Path, feeds: list[dict[str, Any]], signature: Signature) -> Product:
    """Samples as a stage gets them; every feed has a batch of one."""
    folder.mkdir(parents=True, exist_ok=True)
    stored.write(folder, feeds)
    return product(folder, encode(signature))


def product(folder: Path, value: Any = None) -> Product:
    """A folder as a product; its digest is none, as no store holds it."""
    files = {
        p.relative_to(folder).as_posix(): p.stat().st_size
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    return Product("0" * 64, folder, value, files)


def at(
    out: Path, about: Any, options: Any = None, runners: Any = None, plugins: Sequence[str] = ()
) -> At:
    """An `At` for calling an action directly, with all installed plug-ins and ``plugins``."""
    from .catalog import Catalog

    catalog = Catalog.installed(plugins)
    out.mkdir(parents=True, exist_ok=True)
    return At(out, about, options, catalog.formats, {**catalog.runners, **(runners or {})})


class EdgeContract:
    """What every edge must keep. Subclass it with fixtures ``edge``, ``source_model`` (a
    `Product`) and ``source_samples`` (a `Product`), and the names of ``plugins`` that aren't
    installed; pytest collects the rest."""

    plugins: tuple[str, ...] = ()

    def test_names_what_it_needs(self, edge: Edge) -> None:
        """Versions of what it imports must enter the key."""
        assert edge.action.needs

    def test_options_have_defaults_and_help(self, edge: Edge) -> None:
        """A form and a help page are made of them."""
        if edge.action.options is not None:
            made = edge.action.options()
            fields = type(made).__dataclass_fields__.values()
            assert all(f.metadata.get("help") for f in fields)

    def test_builds_every_pair(
        self, edge: Edge, source_model: Product, source_samples: Product, tmp_path: Path
    ) -> None:
        """Each pair gives the format's file, and a value that JSON can say."""
        for _, variant in edge.pairs:
            out = tmp_path / str(variant).replace(":", "-")
            options = edge.action.options() if edge.action.options else None
            where = at(out, variant, options, plugins=self.plugins)
            value = edge.action.fn(where, model=source_model, samples=source_samples)
            json.dumps(encode(value))
            assert (out / where.formats[variant.format].filename).exists()


class RunnerContract:
    """What every runner must keep. Subclass it with fixtures ``runner``, ``variant``, ``model``
    and ``samples`` (`Product`)."""

    def test_gives_the_signatures_outputs_at_every_batch(
        self, runner: Runner, variant: Variant, model: Product, samples: Product, tmp_path: Path
    ) -> None:
        """Names and batch sizes as the signature says, alone and together."""
        signature = samples.read(Signature)
        feeds = stored.read(samples.path)
        target = Target(variant.format, variant.precision, runner.name, CPU)
        where = at(tmp_path / "out", target, runners={runner.name: runner})
        with where.open(model, target, signature) as running:
            for size in (1, 2) if signature.batched else (1,):
                fed = stored.batch_of(feeds, signature, size)
                got = running.get(running.run(running.put(fed)))
                assert list(got) == [spec.name for spec in signature.outputs]
                for spec in signature.outputs:
                    if spec.batch_axis is not None:
                        assert got[spec.name].shape[spec.batch_axis] == size

    def test_answers_do_not_change_afterwards(
        self, runner: Runner, variant: Variant, model: Product, samples: Product, tmp_path: Path
    ) -> None:
        """What `get` gave must not be overwritten by the next call."""
        import numpy as np

        signature = samples.read(Signature)
        feeds = stored.read(samples.path)
        target = Target(variant.format, variant.precision, runner.name, CPU)
        where = at(tmp_path / "out", target, runners={runner.name: runner})
        with where.open(model, target, signature) as running:
            first = running.get(running.run(running.put(dict(feeds[0]))))
            kept = {name: np.array(value) for name, value in first.items()}
            running.get(running.run(running.put(dict(feeds[-1]))))
            for name, value in kept.items():
                np.testing.assert_array_equal(first[name], value)


__all__ = ["TOY", "Affine", "EdgeContract", "RunnerContract", "at", "option", "product"]
