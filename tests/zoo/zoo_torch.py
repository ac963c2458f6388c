"""Torch models of the kinds people deploy, small, with weights whose outputs follow the inputs.

Random weights make accuracy checks vacuous, so each is trained for a moment, or its normalisation
is calibrated on real pictures. Oddities live in `zoo_oddities`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from zoo_inputs import crops, digits, snippets, tones
from zoo_specimen import collector

TORCH_MODELS, add = collector()


def seeded(make, seed=0):
    """A module made under a seed, without touching the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def train(model, batches, loss, rate=3e-3):
    """A few steps of Adam; the model comes back in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        model.train()
        for batch in batches:
            optimizer.zero_grad()
            loss(model, *batch).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def tensors(*arrays):
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)


class DigitsNet(nn.Module):
    """Two convolutions, batch norm, dropout: 10 logits of an 8×8 digit."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10))

    def forward(self, image):
        return self.head(self.features(image))


@add(
    lambda: [x[None] for x in tensors(digits()[0][1500:1516])[0]],
    inputs={"image": ("batch", 1, 8, 8)},
    outputs={"": ("batch", 10)},
)
def digits_cnn():
    images, labels = tensors(*(part[:1500] for part in digits()))
    rng = np.random.default_rng(0)
    chosen = [torch.from_numpy(rng.integers(0, 1500, 64)) for _ in range(200)]
    return train(
        seeded(DigitsNet),
        ((images[i], labels[i]) for i in chosen),
        lambda model, x, y: F.cross_entropy(model(x), y),
    )


@add(
    lambda: [torch.from_numpy(crops(8, 64, 64, seed=1))[i : i + 1] for i in range(8)],
    inputs={"x": ("batch", 3, 64, 64)},
    outputs={"": ("batch", 1000)},
)
def densenet121():
    """Untrained, but its normalisation is calibrated on pictures: the signal gets through."""
    from torchvision.models import densenet121

    model = seeded(lambda: densenet121(weights=None))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a cumulative mean
    model.train()
    with torch.no_grad():
        model(torch.from_numpy(crops(16, 64, 64)))
    return model.eval().requires_grad_(False)


class Block(nn.Module):
    """Self-attention and a feed-forward, pre-norm. ``mask`` is added to the scores."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x, mask):
        b, t, w = x.shape
        q, k, v = (
            part.reshape(b, t, self.heads, w // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        scores = q @ k.transpose(-1, -2) / (w // self.heads) ** 0.5 + mask
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, w))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """BERT's shape: three int64 inputs, padding masked, token logits and a pooled vector."""

    def __init__(self, vocabulary=257, width=64, layers=3, longest=128):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(longest, width)
        self.kind = nn.Embedding(2, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.pooler = nn.Linear(width, width)
        self.logits = nn.Linear(width, vocabulary)

    def forward(self, input_ids, attention_mask, token_type_ids):
        position = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.token(input_ids) + self.position(position) + self.kind(token_type_ids)
        mask = (1 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return {"logits": self.logits(x), "pooled": torch.tanh(self.pooler(x[:, 0]))}


def _encoder_samples():
    made = []
    for i, length in enumerate((12, 16, 16, 16, 24, 24, 40)):
        ids = torch.from_numpy(snippets(1, length, seed=50 + i))
        mask = torch.ones_like(ids)
        if i % 2:
            mask[:, -4:] = 0
        kinds = (torch.arange(length)[None] >= length // 2).long()
        made.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds})
    return made


@add(
    _encoder_samples,
    inputs={
        "input_ids": ("batch", "*"),
        "attention_mask": ("batch", "*"),
        "token_type_ids": ("batch", "*"),
    },
    outputs={"logits": ("batch", "*", 257), "pooled": ("batch", 64)},
)
def bert_like():
    """Trained for a moment to guess masked bytes."""
    rng = np.random.default_rng(0)

    def batches():
        for step in range(80):
            ids = torch.from_numpy(snippets(16, 32, seed=step))
            hidden = torch.from_numpy(rng.random(ids.shape) < 0.2)
            yield ids, hidden

    def loss(model, ids, hidden):
        fed = ids.masked_fill(hidden, 256)
        out = model(fed, torch.ones_like(ids), torch.zeros_like(ids))
        bits = (ids[:, :1] >> torch.arange(8) & 1) * 1.8 - 0.9  # what the pooled vector is to say
        said = F.cross_entropy(out["logits"][hidden], ids[hidden])
        return said + F.mse_loss(out["pooled"][:, :8], bits)

    return train(seeded(Encoder), batches(), loss)


class Decoder(nn.Module):
    """A causal mask is built in forward from the length; the output weights are the embedding's."""

    def __init__(self, vocabulary=256, width=64, layers=2, longest=128):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(longest, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, vocabulary, bias=False)
        self.logits.weight = self.token.weight

    def forward(self, tokens):
        length = tokens.shape[1]
        mask = torch.full((length, length), float("-inf"), device=tokens.device).triu(1)
        x = self.token(tokens) + self.position[:length]
        for block in self.blocks:
            x = block(x, mask)
        return self.logits(self.norm(x))


@add(
    lambda: [
        torch.from_numpy(snippets(1, length, seed=80 + i))
        for i, length in enumerate((8, 8, 16, 16, 24, 32))
    ],
    inputs={"tokens": ("batch", "*")},
    outputs={"": ("batch", "*", 256)},
)
def decoder():
    """Trained for a moment to guess the next byte."""
    return train(
        seeded(Decoder),
        ((torch.from_numpy(snippets(16, 33, seed=step)),) for step in range(80)),
        lambda model, ids: F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()),
    )


class StatefulLstm(nn.Module):
    """The caller carries the state: its batch is axis 1, the sound's is axis 0."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 24, num_layers=2, batch_first=True)
        self.head = nn.Linear(24, 8)

    def forward(self, x, h, c):
        y, (h, c) = self.lstm(x, (h, c))
        return self.head(y), h, c


def _frames(count, frames, seed):
    return tones(count, frames * 8, rate=4000, seed=seed).reshape(count, frames, 8) * 3


def _lstm_samples():
    model = lstm_state()
    made, h, c = [], torch.zeros(2, 1, 24), torch.zeros(2, 1, 24)
    for chunk in torch.from_numpy(_frames(1, 60, seed=5)).split(10, dim=1):
        made.append({"x": chunk, "h": h, "c": c})
        with torch.no_grad():
            _, h, c = model(chunk, h, c)
    return made


@add(
    _lstm_samples,
    inputs={"x": ("batch", 10, 8), "h": (2, "batch", 24), "c": (2, "batch", 24)},
    outputs={
        "output_0": ("batch", 10, 8),
        "output_1": (2, "batch", 24),
        "output_2": (2, "batch", 24),
    },
)
def lstm_state():
    """Trained for a moment to guess the next frame of a sound."""
    zero = torch.zeros(2, 8, 24)
    return train(
        seeded(StatefulLstm),
        ((torch.from_numpy(_frames(8, 41, seed=s)),) for s in range(60)),
        lambda model, x: F.mse_loss(model(x[:, :-1], zero, zero)[0], x[:, 1:]),
        rate=1e-2,
    )


class TimeFirstLstm(nn.Module):
    """``batch_first=False``: the batch is axis 1 of the input and of the output."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, bidirectional=True)

    def forward(self, x):
        return self.lstm(x)[0]


@add(
    lambda: [torch.from_numpy(_frames(1, 12, seed=30 + i)).transpose(0, 1) for i in range(6)],
    explore={"batch_axis": 1},
    inputs={"x": (12, "batch", 8)},
    outputs={"": (12, "batch", 32)},
)
def lstm_time_first():
    return seeded(TimeFirstLstm).eval()


class Detector(nn.Module):
    """Several outputs of different ranks in a dict; ``anchors`` never move."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16, momentum=None),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32, momentum=None),
            nn.SiLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32, momentum=None),
            nn.SiLU(),
        )
        self.boxes, self.scores = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 5, 1)
        self.mask = nn.ConvTranspose2d(32, 1, 2, stride=2)
        rows = torch.arange(48) // 8 * 8 + 4.0
        self.register_buffer("anchors", torch.stack([rows, torch.arange(48) % 8 * 8 + 4.0], -1))

    def forward(self, image):
        x = self.backbone(image)
        offsets = self.boxes(x).flatten(2).transpose(1, 2)
        scores = self.scores(x).flatten(2).transpose(1, 2).sigmoid()
        boxes = torch.cat([offsets[..., :2] + self.anchors, offsets[..., 2:].exp()], -1)
        best, label = scores.max(-1)
        return {
            "boxes": boxes,
            "scores": best,
            "labels": label,
            "mask": self.mask(x).sigmoid(),
            "anchors": self.anchors.clone(),
        }


@add(
    lambda: [torch.from_numpy(crops(1, 48, 64, seed=i)) for i in range(6)],
    inputs={"image": ("batch", 3, 48, 64)},
    outputs={
        "boxes": ("batch", 48, 4),
        "scores": ("batch", 48),
        "labels": ("batch", 48),
        "mask": ("batch", 1, 12, 16),
        "anchors": (48, 2),
    },
    still=("anchors",),
)
def detector():
    model = seeded(Detector).train()
    with torch.no_grad():
        model(torch.from_numpy(crops(16, 48, 64, seed=9)))
    return model.eval()


class Upsampler(nn.Module):
    """Depthwise convolution, group norm and bilinear upsampling, at any size."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 5, padding=2, groups=16)
        self.norm = nn.GroupNorm(4, 16)
        self.pointwise = nn.Conv2d(16, 3, 1)

    def forward(self, x):
        y = F.hardswish(self.norm(self.depthwise(F.relu(self.stem(x)))))
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        return self.pointwise(y) + F.interpolate(x, scale_factor=2, mode="nearest")


@add(
    lambda: [torch.from_numpy(crops(1, 24, 32, seed=i)) for i in range(5)],
    inputs={"x": ("batch", 3, 24, 32)},
    outputs={"": ("batch", 3, 48, 64)},
)
def upsampler():
    return seeded(Upsampler).eval()


class AnySize(nn.Module):
    """A convolution net over pictures of any size: a map and one vector a picture."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.second = nn.Conv2d(12, 24, 3, padding=1)
        self.head = nn.Linear(24, 6)

    def forward(self, x):
        y = F.relu(self.second(F.relu(self.first(x))))
        return y, self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


@add(
    lambda: [
        torch.from_numpy(crops(1, h, w, seed=i))
        for i, (h, w) in enumerate([(32, 48), (32, 48), (40, 40), (24, 64), (33, 47)])
    ],
    inputs={"x": ("batch", 3, "*", "*")},
    outputs={"output_0": ("batch", 24, "*", "*"), "output_1": ("batch", 6)},
)
def any_size():
    return seeded(AnySize).eval()


class Bag(nn.Module):
    """An embedding bag with weights for each word, as recommenders have it."""

    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(256, 32, mode="sum")
        self.head = nn.Linear(32, 4)

    def forward(self, words, weights):
        return self.head(F.relu(self.bag(words, per_sample_weights=weights)))


@add(
    lambda: [
        (torch.from_numpy(snippets(1, 12, seed=i)), torch.linspace(0.1, 1, 12)[None] * (i + 1) / 8)
        for i in range(8)
    ],
    inputs={"words": ("batch", 12), "weights": ("batch", 12)},
    outputs={"": ("batch", 4)},
)
def embedding_bag():
    return seeded(Bag).eval()
