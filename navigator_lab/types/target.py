"""Where a model can end up: a format, in a precision, on a runner, on a device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Precision(StrEnum):
    """What a variant computes in. How it gets there is an edge's business."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"  # static: scales calibrated on the samples
    INT8_DYNAMIC = "int8-dynamic"  # scales of activations found at run time
    FP8 = "fp8"


@dataclass(frozen=True, slots=True, order=True)
class Device:
    """Where it runs. Text form: ``cpu``, ``cuda:0``."""

    kind: str
    index: int | None = None

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Device:
        """Raises ValueError for anything but ``cpu``, ``cuda`` (= ``cuda:0``) and ``cuda:N``."""
        found = re.fullmatch(r"(cpu)|(cuda)(?::(\d{1,3}))?", text)
        if not found:
            raise ValueError(f"{text!r} is no device; devices are cpu and cuda:0, cuda:1, …")
        return cls("cpu") if found[1] else cls("cuda", int(found[3] or 0))


CPU = Device("cpu")


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """What can be *built*. Text form: ``onnx:fp16``."""

    format: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.format}:{self.precision}"

    @classmethod
    def parse(cls, text: str) -> Variant:
        format, _, precision = text.partition(":")
        if not format or not precision:
            raise ValueError(f"{text!r} is no variant; one looks like onnx:fp16")
        return cls(format, _precision(precision, text))


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What can be *run*: one row of the exploration. Text form: ``onnx:fp16@ort-cuda:0``.

    ``str`` and `parse` are inverse.
    """

    format: str
    precision: Precision
    runner: str
    device: Device = CPU

    def __str__(self) -> str:
        return f"{self.variant}@{self.runner}-{self.device}"

    @property
    def variant(self) -> Variant:
        return Variant(self.format, self.precision)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Raises ValueError, naming what is missing."""
        variant, at, where = text.partition("@")
        found = re.fullmatch(r"(.+)-(cpu|cuda(?::\d{1,3})?)", where)
        if not at or not found:
            raise ValueError(
                f"{text!r} is no target; one looks like onnx:fp16@ort-cpu or onnx:fp16@ort-cuda:0"
            )
        built = Variant.parse(variant)
        return cls(built.format, built.precision, found[1], Device.parse(found[2]))


def _precision(text: str, whole: str) -> Precision:
    try:
        return Precision(text)
    except ValueError:
        known = ", ".join(p.value for p in Precision)
        raise ValueError(f"{text!r} in {whole!r} is no precision; they are {known}") from None
