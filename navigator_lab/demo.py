"""The embedded default: a small CNN trained on scikit-learn's bundled digits, and real images.

What the first command of the README runs. Not a benchmark and no example of training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ModelError

IMAGES = 256  # held out of training: the samples


@dataclass(frozen=True)
class Digits:
    """A trained model, images it has not seen (``(n, 1, 8, 8)`` float32), and what they show."""

    model: Any
    images: Any
    labels: Any
    accuracy: float  # of the model on the images

    def metric(self) -> Callable[[Any, Any], dict[str, Any]]:
        """What ``verify`` asks: the accuracy, and that at most one image in a hundred is lost."""
        labels, wanted = [int(v) for v in self.labels], self.accuracy - 0.01

        def accuracy(outputs: Any, reference: Any) -> dict[str, Any]:
            right = [
                int(one["logits"].argmax()) == label
                for one, label in zip(outputs, labels, strict=True)
            ]
            share = sum(right) / len(right)
            return {"accuracy": share, "passed": share >= wanted}

        return accuracy


def digits(folder: Path) -> Digits:
    """The model, trained once (seconds) and then kept as ``digits_cnn.pt`` in ``folder``.

    Raises:
        ModelError: torch or scikit-learn is missing.
    """
    try:
        import numpy as np
        import torch
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ModelError(
            f"the demo needs {error.name}", "pip install 'navigator-lab[demo]'"
        ) from error
    data = load_digits()
    images = (data.images.astype(np.float32) / 16.0)[:, None]
    order = np.random.default_rng(7).permutation(len(images))
    test, train = order[:IMAGES], order[IMAGES:]
    model = _network(torch)
    kept = folder / "digits_cnn.pt"
    try:
        model.load_state_dict(torch.load(kept, weights_only=True))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError):
        _train(torch, model, images[train], data.target[train])
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), kept)
    model.eval()
    with torch.inference_mode():
        said = model(torch.from_numpy(images[test])).argmax(1).numpy()
    accuracy = float((said == data.target[test]).mean())
    return Digits(model, images[test], data.target[test], accuracy)


def _network(torch: Any) -> Any:
    # Only torch's own layers: nothing of navigator_lab is needed to open it on a server.
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 96, 3, padding=1), nn.BatchNorm2d(96), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10),
    )  # fmt: skip


def _train(torch: Any, model: Any, images: Any, labels: Any, epochs: int = 8) -> None:
    before = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        x, y = torch.from_numpy(images), torch.from_numpy(labels.astype("int64"))
        adam = torch.optim.Adam(model.parameters(), lr=3e-3)
        model.train()
        for _ in range(epochs):
            for chosen in torch.randperm(len(x)).split(64):
                adam.zero_grad()
                torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
                adam.step()
    finally:
        torch.set_rng_state(before)
