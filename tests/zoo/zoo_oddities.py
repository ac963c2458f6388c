"""Torch modules that exporters and runtimes get wrong: one trait each, and tiny.

The traits are real users': state in a buffer, a branch on data, an output without a batch, inputs
changed in place, numbers beyond fp16, an input that nobody uses.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from zoo_inputs import crops, digits, snippets
from zoo_specimen import collector
from zoo_torch import Decoder, seeded

TORCH_ODDITIES, add = collector()


def rows(count, width, seed=0, scale=1.0):
    """Rows of pictures as plain features, centred: (1, width) each."""
    flat = torch.from_numpy(digits()[0][seed * 50 : seed * 50 + count]).flatten(1)
    return [(row[None, 20 : 20 + width] - 0.3) * scale for row in flat]


class BatchLast(nn.Module):
    """The batch is the last axis of the output."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 5)

    def forward(self, x):
        return self.linear(x).transpose(0, 1)


@add(
    lambda: rows(6, 16),
    inputs={"x": ("batch", 16)},
    outputs={"": (5, "batch")},
)
def batch_last():
    return seeded(BatchLast).eval()


class Branching(nn.Module):
    """Which weights are used depends on the values: a trace keeps one side only."""

    def __init__(self):
        super().__init__()
        self.dark, self.bright = nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, x):
        if x.mean() > 0:
            return self.bright(x)
        return self.dark(x) * 10


@add(
    lambda: [x + shift for x, shift in zip(rows(8, 16), (-1, 1, -1, 1, -1, 1, -1, 1), strict=True)],
    inputs={"x": (1, 16)},  # a mean over the batch decides, so a batch is not several samples
    outputs={"": (1, 4)},
)
def branching():
    return seeded(Branching).eval()


class Keywords(nn.Module):
    """Keyword inputs, one of them left at its default, and a plain number as an option."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 16)

    def forward(self, x, mask=None, *, bias=None, temperature: float = 2.0):
        y = self.linear(x) / temperature
        if mask is not None:
            y = y * mask
        if bias is not None:
            y = y + bias
        return y


@add(
    lambda: [{"x": x, "bias": x * 2 + 1} for x in rows(6, 16)],
    inputs={"x": ("batch", 16), "bias": ("batch", 16)},
    outputs={"": ("batch", 16)},
)
def keywords():
    return seeded(Keywords).eval()


class Nested(nn.Module):
    """One argument that is a dict of a tensor, a tuple and a list; outputs nested as well."""

    def __init__(self):
        super().__init__()
        self.image, self.extra = nn.Linear(16, 8), nn.Linear(4, 8)

    def forward(self, features):
        left, (middle, right) = features["meta"]
        joint = self.image(features["image"]) + self.extra(left)
        return {"joint": joint, "parts": (middle * 2, [right + joint[:, :4]])}


def _nested():
    made = []
    for image, meta in zip(rows(6, 16), rows(6, 12, seed=1), strict=True):
        left, middle, right = meta.split(4, dim=1)
        made.append({"features": {"image": image, "meta": (left, [middle, right])}})
    return made


@add(_nested)
def nested():
    return seeded(Nested).eval()


class Score(nn.Module):
    """A loss: rank 0, no batch in the output."""

    def forward(self, prediction, target):
        return F.mse_loss(prediction.softmax(-1), target.softmax(-1)) * 100


@add(
    lambda: list(zip(rows(6, 10), rows(6, 10, seed=1), strict=True)),
    inputs={"prediction": (1, 10), "target": (1, 10)},
    outputs={"": ()},
)
def rank0_score():
    return Score().eval()


class Graph(nn.Module):
    """Node features and a matrix of edges: there is no batch axis at all."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, nodes, edges):
        degree = edges.sum(-1, keepdim=True) + 1
        x = F.relu(self.first((edges @ nodes + nodes) / degree))
        return self.second((edges @ x + x) / degree)


def _graph(size):
    def make():
        made = []
        for i in range(5):
            nodes = torch.cat(rows(size, 8, seed=i))
            distance = torch.cdist(nodes, nodes)
            made.append({"nodes": nodes, "edges": (distance < distance.median()).float()})
        return made

    return make


@add(
    _graph(7),
    explore={"batch_axis": None},
    inputs={"nodes": (7, 8), "edges": (7, 7)},
    outputs={"": (7, 3)},
)
def no_batch():
    return seeded(Graph).eval()


class Typed(nn.Module):
    """float64 and bool in, float64 and bool out."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 16, dtype=torch.float64)

    def forward(self, values, keep):
        y = self.linear(values).masked_fill(~keep, 0.0)
        return {"values": y, "positive": y > 0}


@add(
    lambda: [{"values": x.double(), "keep": x > -0.1} for x in rows(6, 16)],
    inputs={"values": ("batch", 16), "keep": ("batch", 16)},
    outputs={"values": ("batch", 16), "positive": ("batch", 16)},
)
def bool_float64():
    return seeded(Typed).eval()


class Counter(nn.Module):
    """State in a buffer: the same call twice gives two answers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.linear(x) + self.calls


@add(lambda: rows(4, 16), stateful=True)
def counter():
    return seeded(Counter).eval()


class Noisy(nn.Module):
    """Dropout that stays on: random, so nothing can be compared."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 8)

    def forward(self, x):
        return F.dropout(self.linear(x), 0.5, training=True)


@add(lambda: rows(4, 16), stateful=True)
def noisy():
    return seeded(Noisy).eval()


class Classes(nn.Module):
    """Integers beside floats: logits, their argmax, and the two best."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        logits = self.linear(x)
        values, indices = logits.topk(2)
        return {"logits": logits, "label": logits.argmax(-1), "best": indices, "margin": values}


@add(
    lambda: [torch.from_numpy(x).reshape(1, 64) for x in digits()[0][:8]],
    inputs={"x": ("batch", 64)},
    outputs={
        "logits": ("batch", 10),
        "label": ("batch",),
        "best": ("batch", 2),
        "margin": ("batch", 2),
    },
)
def ints_and_floats():
    return seeded(Classes).eval()


class Large(nn.Module):
    """Inside it lie numbers above 65504, which fp16 can't hold; its outputs are of order 1."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x):
        y = self.up(x) * 300.0
        return self.down((y * y).sqrt() / 300.0 + (y**2) / 2e5)


@add(lambda: rows(8, 16, scale=3.0))
def overflows_fp16():
    return seeded(Large).eval()


class LogMask(nn.Module):
    """-inf and NaN belong to its answers."""

    def forward(self, x):
        kept = F.relu(x)
        return {"log": kept.log(), "ratio": kept / kept, "finite": kept.sum(-1)}


@add(
    lambda: [torch.where(x < 0, 0.0, x) for x in rows(6, 16)],
    outputs={"log": ("batch", 16), "ratio": ("batch", 16), "finite": ("batch",)},
)
def nan_and_inf():
    return LogMask().eval()


class InPlace(nn.Module):
    """Changes its own input, which must not reach the next sample's answer."""

    def forward(self, x):
        x += 1
        x[:, 0] = 0
        y = x.clone()
        y[:, 1:3] *= 2
        return y.relu_()


@add(lambda: rows(6, 16), inputs={"x": ("batch", 16)}, outputs={"": ("batch", 16)})
def in_place():
    return InPlace().eval()


class UnusedInput(nn.Module):
    """An input that nothing reads: exporters drop it, and the call then doesn't fit."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 4)

    def forward(self, x, spare):
        return self.linear(x)


@add(
    lambda: list(zip(rows(6, 16), rows(6, 3, seed=1), strict=True)),
    inputs={"x": ("batch", 16), "spare": ("batch", 3)},
    outputs={"": ("batch", 4)},
)
def unused_input():
    return seeded(UnusedInput).eval()


class PassThrough(nn.Module):
    """Gives an input back untouched, one tensor twice, and a None."""

    def forward(self, x):
        y = x * 2
        return {"x": x, "y": y, "again": y, "nothing": None}


@add(
    lambda: rows(6, 16),
    inputs={"x": ("batch", 16)},
)
def pass_through():
    return PassThrough().eval()


class LoopOverBatch(nn.Module):
    """A python loop over the batch: a trace only fits the batch it saw."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 4)

    def forward(self, x):
        return torch.stack([self.linear(x[i]).cumsum(0) for i in range(x.shape[0])])


@add(lambda: rows(6, 16), inputs={"x": ("batch", 16)}, outputs={"": ("batch", 4)})
def loop_over_batch():
    return seeded(LoopOverBatch).eval()


class OneOnly(nn.Module):
    """Flattens everything: it works for a batch of one only."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 4)

    def forward(self, x):
        return self.linear(x.reshape(1, 16))


@add(lambda: rows(6, 16))
def one_only():
    return seeded(OneOnly).eval()


class Spectrum(nn.Module):
    """A Fourier transform inside, real outside."""

    def forward(self, x):
        bands = torch.fft.rfft(x, dim=-1)
        return {"power": bands.abs(), "back": torch.fft.irfft(bands * 0.5, n=x.shape[-1], dim=-1)}


@add(lambda: rows(6, 16), outputs={"power": ("batch", 9), "back": ("batch", 16)})
def spectrum():
    return Spectrum().eval()


class Found(nn.Module):
    """How many rows come out depends on the values."""

    def forward(self, x):
        return x[x > 0.2] * 2


@add(lambda: rows(6, 16))
def data_dependent_size():
    return Found().eval()


class Bytes(nn.Module):
    """uint8 pictures in, normalised inside."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4)

    def forward(self, image):
        return self.conv((image.float() / 255 - 0.45) / 0.25).mean((2, 3))


@add(
    lambda: [(torch.from_numpy(crops(1, 32, 32, seed=i)) * 255).byte() for i in range(6)],
    inputs={"image": ("batch", 3, 32, 32)},
    outputs={"": ("batch", 8)},
)
def uint8_input():
    return seeded(Bytes).eval()


@add(lambda: [x.half() for x in rows(6, 16)], inputs={"input": ("batch", 16)})
def half_weights():
    """A model that already is fp16, with fp16 inputs."""
    return (
        seeded(lambda: nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4))).half().eval()
    )


class Outlier(nn.Module):
    """One feature is a thousand times the others: one scale for all leaves nothing of them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x):
        y = F.relu(self.first(x))
        big = torch.cat([y[:, :1] * 0 + 5000, y[:, 1:]], 1)
        return self.second(big * torch.cat([big.new_full((1,), 1e-4), big.new_ones(31)]))


@add(lambda: rows(8, 16))
def outlier_feature():
    return seeded(Outlier).eval()


class Scores(nn.Module):
    """Wants ``decode``: not ``forward``, and options that aren't tensors."""

    def __init__(self):
        super().__init__()
        self.decoder = Decoder()

    def forward(self, tokens, last_only: bool = False, scale: int = 1):
        logits = self.decoder(tokens) * scale
        return logits[:, -1] if last_only else logits


@add(
    lambda: [
        {"tokens": torch.from_numpy(snippets(1, 8, seed=i)), "last_only": True, "scale": 3}
        for i in range(5)
    ],
    inputs={"tokens": ("batch", 8)},
    outputs={"": ("batch", 256)},
)
def constants():
    return seeded(Scores).eval()


class ManyShapes(nn.Module):
    """Two sequences of independent length."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(8, 16), nn.Linear(8, 16)

    def forward(self, query, memory):
        scores = self.left(query) @ self.right(memory).transpose(1, 2) / 4
        return scores.softmax(-1) @ memory


@add(
    lambda: [
        (torch.cat(rows(n, 8, seed=n))[None], torch.cat(rows(m, 8, seed=m))[None])
        for n, m in ((3, 5), (3, 5), (4, 5), (4, 9), (6, 2))
    ],
    inputs={"query": ("batch", "*", 8), "memory": ("batch", "*", 8)},
    outputs={"": ("batch", "*", 8)},
)
def cross_attention():
    return seeded(ManyShapes).eval()
