"""Small torch models of many kinds, and products made of them without the engine."""

from __future__ import annotations

import itertools
import math
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch
from torch import nn

from navigator_lab.formats import aoti, torch_export, torch_module, torchscript
from navigator_lab.runners import (
    aoti as aoti_runner,
)
from navigator_lab.runners import (
    torch_compile,
    torch_eager,
)
from navigator_lab.runners import (
    torch_export as export_runner,
)
from navigator_lab.runners import (
    torchscript as jit_runner,
)
from navigator_lab.types import codec
from navigator_lab.types import samples as sampling
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, Edge, Opening, options_of
from navigator_lab.types.signature import Axis, Signature, TensorSpec
from navigator_lab.types.target import Target, Variant

EDGES = [
    value
    for module in (torch_module, torchscript, torch_export, aoti)
    for value in vars(module).values()
    if isinstance(value, Edge)
]
RUNNERS = {
    one.name: one
    for one in (
        torch_eager.eager,
        torch_eager.eager_graphs,
        torch_compile.compile,
        torch_compile.compile_graphs,
        jit_runner.jit,
        export_runner.export,
        aoti_runner.aoti,
        aoti_runner.aoti_cuda,
    )
}


@dataclass
class Made:
    """A source and its samples, as products in a folder."""

    folder: Path
    source: Product
    samples: Product
    signature: Signature
    feeds: list[dict[str, np.ndarray]]

    def edge(self, source: Variant, target: Variant) -> Edge:
        return next(e for e in EDGES if (source, target) in e.pairs)

    def build(self, *way: str, options: dict[str, Any] | None = None) -> Product:
        """Through variants, the first being the source: ``build("torch:fp32", "torchscript:fp32")``."""
        product = self.source
        variants = [Variant.parse(text) for text in way]
        for i, (before, after) in enumerate(itertools.pairwise(variants)):
            out = self.folder / f"{len(list(self.folder.iterdir()))}-{after}".replace(":", "-")
            out.mkdir()
            found = self.edge(before, after)
            last = i == len(variants) - 2
            given = options_of(found.action.options, options if last else None)
            at = At(out, after, given, {}, RUNNERS)
            value = found.action.fn(at, model=product, samples=self.samples)
            product = Product("x", out, codec.encode(value))
        return product

    def opening(self, target: str, **facts: Any) -> Opening:
        return Opening(Target.parse(target), facts.pop("signature", self.signature), **facts)

    def answers(self, product: Product, target: str, *batches: int, **facts: Any) -> list[Any]:
        """Outputs of a target at these batches or, if none are named, at 1 and 3 and of each sample."""
        opening = self.opening(target, **facts)
        if not self.signature.batched:
            feeds = self.feeds
        else:
            feeds = [sampling.batch_of(self.feeds, self.signature, b) for b in batches or (1, 3)]
            feeds += [] if batches else self.feeds
        with RUNNERS[opening.target.runner].action.fn(product, opening) as running:
            return [running.get(running.run(running.put(one))) for one in feeds]


def made(
    folder: Path,
    module: nn.Module,
    feeds: list[dict[str, np.ndarray]],
    inputs: dict[str, tuple[int | str, ...]],
    outputs: dict[str, tuple[int | str, ...]],
    call: Any = None,
    axes: tuple[Axis, ...] = (Axis("batch", 1, 2, 8),),
) -> Made:
    """Products of a module and its samples; dtypes are found by running it."""
    source, where = folder / "source", folder / "samples"
    source.mkdir()
    where.mkdir()
    torch.save(module.eval(), source / "model.pt", pickle_module=cloudpickle)
    sampling.write(where, feeds)
    call = call or {"args": [{"input": name} for name in inputs], "kwargs": {}}
    specs = tuple(TensorSpec(n, feeds[0][n].dtype.name, s) for n, s in inputs.items())
    bare = Signature(specs, (), axes, call)
    whole = Made(folder, Product("s", source), Product("d", where), bare, feeds)
    found = whole.answers(whole.source, "torch:fp32@eager-cpu", 1)[0]
    assert list(found) == list(outputs), list(found)
    whole.signature = Signature(
        specs, tuple(TensorSpec(n, found[n].dtype.name, s) for n, s in outputs.items()), axes, call
    )
    whole.samples = Product("d", where, codec.encode(whole.signature))
    return whole


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x):
        return self.b(torch.relu(self.n(self.a(x))).mean((2, 3)))


def cnn(folder: Path) -> Made:
    torch.manual_seed(0)
    feeds = [{"x": floats(1, 3, 8, 8, seed=i)} for i in range(3)]
    return made(folder, Cnn(), feeds, {"x": ("batch", 3, 8, 8)}, {"output": ("batch", 5)})


class Bert(nn.Module):
    """Two integer inputs, a sequence of any length up to 32."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, 16), nn.Embedding(32, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("ids", torch.arange(32))

    def forward(self, input_ids, attention_mask):
        x = self.words(input_ids) + self.places(self.ids[: input_ids.shape[1]])
        hidden = self.body(x, src_key_padding_mask=attention_mask == 0)
        return {"hidden": hidden, "pooled": hidden[:, 0].tanh()}


def bert(folder: Path) -> Made:
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    feeds = []
    for length in (5, 9, 5):
        mask = np.ones((1, length), np.int64)
        mask[0, -1] = 0
        feeds.append(
            {"input_ids": draw.integers(0, 50, (1, length)), "attention_mask": mask},
        )
    shape = ("batch", "sequence")
    return made(
        folder,
        Bert(),
        feeds,
        {"input_ids": shape, "attention_mask": shape},
        {"hidden": (*shape, 16), "pooled": ("batch", 16)},
        {"args": [], "kwargs": {n: {"input": n} for n in ("input_ids", "attention_mask")}},
        (Axis("batch", 1, 2, 8), Axis("sequence", 1, 8, 32)),
    )


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x, state: tuple[torch.Tensor, torch.Tensor]):
        y, after = self.lstm(x, state)
        return y, after


def lstm(folder: Path) -> Made:
    """A nested input and output, whose state has its batch on axis 1."""
    torch.manual_seed(0)
    feeds = [
        {"x": floats(1, 7, 4, seed=i), "h": floats(1, 1, 6, seed=9), "c": floats(1, 1, 6, seed=i)}
        for i in range(2)
    ]
    state = (1, "batch", 6)
    return made(
        folder,
        Recurrent(),
        feeds,
        {"x": ("batch", 7, 4), "h": state, "c": state},
        {"output_0": ("batch", 7, 6), "output_1.0": state, "output_1.1": state},
        {"args": [{"input": "x"}, {"tuple": [{"input": "h"}, {"input": "c"}]}], "kwargs": {}},
    )


Found = namedtuple("Found", "boxes scores count")


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Cnn()

    def forward(self, image):
        x = self.body(image)
        scores = x.sigmoid()
        return Found(x.unsqueeze(1).expand(-1, 4, -1), scores, (scores > 0.5).sum(1))


def detector(folder: Path) -> Made:
    torch.manual_seed(0)
    feeds = [{"image": floats(1, 3, 8, 8, seed=i)} for i in range(2)]
    return made(
        folder,
        Detector(),
        feeds,
        {"image": ("batch", 3, 8, 8)},
        {"boxes": ("batch", 4, 5), "scores": ("batch", 5), "count": ("batch",)},
    )


class Turned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 3)

    def forward(self, x):
        return self.a(x).t()


def turned(folder: Path) -> Made:
    """The output's batch is its last axis."""
    torch.manual_seed(0)
    feeds = [{"x": floats(1, 4, seed=i)} for i in range(2)]
    return made(folder, Turned(), feeds, {"x": ("batch", 4)}, {"output": (3, "batch")})


class Branching(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x - 10


def branching(folder: Path) -> Made:
    feeds = [{"x": np.full((1, 4), value, np.float32)} for value in (1, -1)]
    return made(folder, Branching(), feeds, {"x": ("batch", 4)}, {"output": ("batch", 4)})


class Mixed(nn.Module):
    """Bools, integers and doubles; a constant argument; a nested dict; an answer of rank 0."""

    def forward(self, batch: dict[str, torch.Tensor], ids, *, scale: float = 1.0):
        x = torch.where(batch["keep"], batch["x"], torch.zeros_like(batch["x"]))
        return x * scale, ids + 1, (x.sum() + ids.sum())


def mixed(folder: Path) -> Made:
    feeds = [
        {
            "x": floats(3, seed=i).astype(np.float64),
            "keep": np.array([True, False, True]),
            "ids": np.array([i, 2, 3], np.int64),
        }
        for i in range(2)
    ]
    return made(
        folder,
        Mixed(),
        feeds,
        {"x": (3,), "keep": (3,), "ids": (3,)},
        {"output_0": (3,), "output_1": (3,), "output_2": ()},
        {
            "args": [{"dict": {"x": {"input": "x"}, "keep": {"input": "keep"}}}, {"input": "ids"}],
            "kwargs": {"scale": {"constant": math.pi}},
        },
        (),
    )


class OwnDtype(nn.Module):
    """Makes an fp32 tensor in its forward, which a conversion of the module can't see."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.register_buffer("shift", torch.tensor([1, 2, 3]))

    def forward(self, x):
        return self.a(x + torch.ones(4)) + self.shift


def own_dtype(folder: Path) -> Made:
    torch.manual_seed(0)
    feeds = [{"x": floats(1, 4, seed=i)} for i in range(2)]
    return made(folder, OwnDtype(), feeds, {"x": ("batch", 4)}, {"output": ("batch", 3)})


class OneSize(nn.Module):
    """Fits only even batches and 1: an export sees that, a trace holds the batch it was made with."""

    def forward(self, x):
        if x.shape[0] > 1:
            return x.reshape(x.shape[0] // 2, 2, 4).flatten(0, 1) * 2
        return x * 2


def one_size(folder: Path) -> Made:
    feeds = [{"x": floats(1, 4, seed=i)} for i in range(2)]
    return made(folder, OneSize(), feeds, {"x": ("batch", 4)}, {"output": ("batch", 4)})


class Held(nn.Module):
    """Makes a list of its batch's length in Python: a trace holds the two of its example."""

    def forward(self, x):
        return torch.cat([x[i : i + 1] for i in range(int(x.shape[0]))]) + torch.zeros(
            [int(n) for n in x.shape]
        )


def held(folder: Path) -> Made:
    feeds = [{"x": floats(1, 4, seed=i)} for i in range(2)]
    return made(folder, Held(), feeds, {"x": ("batch", 4)}, {"output": ("batch", 4)})


class Cached(nn.Module):
    """The mask is one longer than the past: two sizes of which one follows from the other."""

    def forward(self, token, past, mask):
        whole = torch.cat([past, token], 1)
        return (whole * mask).sum(1)


def cached(folder: Path) -> Made:
    feeds = [
        {"token": floats(1, 1), "past": floats(1, n), "mask": np.ones((1, n + 1), np.float32)}
        for n in (4, 6)
    ]
    return made(
        folder,
        Cached(),
        feeds,
        {"token": ("batch", 1), "past": ("batch", "past"), "mask": ("batch", "total")},
        {"output": ("batch",)},
        axes=(Axis("batch", 1, 2, 8), Axis("past", 4, 4, 6), Axis("total", 5, 5, 7)),
    )


class Counter(nn.Module):
    """Adds how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x + self.calls


def counter(folder: Path) -> Made:
    feeds = [{"x": floats(1, 4, seed=i)} for i in range(2)]
    return made(folder, Counter(), feeds, {"x": ("batch", 4)}, {"output": ("batch", 4)})


class Writer(nn.Module):
    """Writes into its own input and gives it back."""

    def forward(self, x):
        x += 1
        return x


def writer(folder: Path) -> Made:
    feeds = [{"x": floats(1, 4, seed=i)} for i in range(2)]
    return made(folder, Writer(), feeds, {"x": ("batch", 4)}, {"output": ("batch", 4)})


ALL = {
    one.__name__: one
    for one in (
        cnn,
        bert,
        lstm,
        detector,
        turned,
        branching,
        mixed,
        own_dtype,
        writer,
        counter,
        cached,
        held,
    )
}


def same(got: list[Any], wanted: list[Any], tolerance: float = 1e-5) -> None:
    for mine, theirs in zip(got, wanted, strict=True):
        assert list(mine) == list(theirs)
        for name, array in theirs.items():
            assert mine[name].dtype == array.dtype, name
            assert mine[name].shape == array.shape, name
            np.testing.assert_allclose(
                mine[name], array, rtol=tolerance, atol=tolerance, err_msg=name
            )
