"""All specimens by name."""

from __future__ import annotations

from zoo_oddities import TORCH_ODDITIES
from zoo_onnx import ONNX_MODELS
from zoo_torch import TORCH_MODELS
from zoo_wheels import WHEELS

ZOO = {**TORCH_MODELS, **TORCH_ODDITIES, **ONNX_MODELS, **WHEELS}
