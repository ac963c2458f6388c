"""All specimens by name."""

from __future__ import annotations

from onnx_models import ONNX_MODELS
from torch_models import TORCH_MODELS
from torch_oddities import TORCH_ODDITIES
from wheels import WHEELS

ZOO = {**TORCH_MODELS, **TORCH_ODDITIES, **ONNX_MODELS, **WHEELS}
