"""Real inputs, small: pictures, digits, text and tones that lie in packages we use anyway."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Two photographs as uint8 (height, width, 3): a temple and a flower."""
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    return china, flower


def crops(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Float32 (count, 3, height, width) in 0..1: patches of the photographs, at several scales."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        picture = pictures()[i % 2]
        scale = rng.uniform(1.0, min(427 / height, 640 / width))
        h, w = int(height * scale), int(width * scale)
        top, left = rng.integers(0, 427 - h + 1), rng.integers(0, 640 - w + 1)
        patch = Image.fromarray(picture[top : top + h, left : left + w])
        made.append(np.asarray(patch.resize((width, height), Image.Resampling.BILINEAR)))
    return (np.stack(made).transpose(0, 3, 1, 2) / 255).astype(np.float32)


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 handwritten digits: float32 (n, 1, 8, 8) in 0..1, and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[:, None] / 16).astype(np.float32), found.target.astype(np.int64)


@lru_cache
def text() -> str:
    """A few thousand words of English and Python: the standard library's own."""
    import argparse
    import json.encoder
    import textwrap

    made = []
    for module in (argparse, textwrap, json.encoder):
        with open(module.__file__, encoding="utf-8") as file:
            made.append(file.read())
    return "\n".join(made)


def snippets(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Int64 (count, length): bytes of the text."""
    raw = np.frombuffer(text().encode(), np.uint8)
    starts = np.random.default_rng(seed).integers(0, len(raw) - length, count)
    return np.stack([raw[s : s + length] for s in starts]).astype(np.int64)


def tones(count: int, length: int, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Float32 (count, length): voiced sounds with a gliding pitch and pauses, and some noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / rate
    made = []
    for _ in range(count):
        pitch = rng.uniform(90, 250) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(1, 4) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        formant = rng.uniform(400, 2500)
        sound = sum(
            np.exp(-(((k * pitch - formant) / 600) ** 2)) * np.sin(k * phase) for k in range(1, 20)
        )
        envelope = 0.5 + 0.5 * np.sign(
            np.sin(2 * np.pi * rng.uniform(2, 5) * time + rng.uniform(0, 6))
        )
        made.append(0.3 * sound * envelope + 0.003 * rng.standard_normal(length))
    return np.stack(made).astype(np.float32)
