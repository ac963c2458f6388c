"""Where a model can end up: a format, in a precision, on a runner, on a device."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    INT8_WEIGHTS = "int8-weights"  # only weights are stored so; the computation is fp32
    INT4_WEIGHTS = "int4-weights"


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

# What one variant or runner is given that others of its kind aren't: (option, value as text).
Settings = tuple[tuple[str, str], ...]

_SETTINGS = r'(\[(?:[^\[\]"]|"(?:[^"\\]|\\.)*")*\])?'
_VARIANT = re.compile(rf"([^:@\[\]]+):([^:@\[\]]+){_SETTINGS}")
_WHERE = re.compile(rf"([^@\[\]]+?){_SETTINGS}-(cpu|cuda(?::\d{{1,3}})?)")
_SETTING = re.compile(r'\s*([^\W\d]\w*)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",=\[\]]+)\s*(,|$)')


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """What can be *built*. Text form: ``onnx:fp16``, with settings ``onnx:fp16[keep_worst=12]``.

    ``settings`` are options of the edges that lead to it, sorted by name: a variant of its own.
    """

    format: str
    precision: Precision
    settings: Settings = ()

    def __str__(self) -> str:
        return f"{self.format}:{self.precision}{_written(self.settings)}"

    @classmethod
    def parse(cls, text: str) -> Variant:
        found = _VARIANT.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is no variant; one looks like onnx:fp16")
        return cls(found[1], _precision(found[2], text), _read(found[3], text))


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What can be *run*: one row of the exploration. Text form: ``onnx:fp16@ort-cuda:0``, with
    settings ``onnx:fp16[keep_worst=12]@ort-cpu``, ``torch:fp16@compile[channels_last=True]-cpu``.

    ``str`` and `parse` are inverse. ``settings`` are the variant's, ``run_settings`` options of
    the runner: a target with other settings is another target.
    """

    format: str
    precision: Precision
    runner: str
    device: Device = CPU
    settings: Settings = ()
    run_settings: Settings = ()

    def __str__(self) -> str:
        return f"{self.variant}@{self.runner}{_written(self.run_settings)}-{self.device}"

    @property
    def variant(self) -> Variant:
        return Variant(self.format, self.precision, self.settings)

    @property
    def plain(self) -> Target:
        """The same without settings: as the catalog has it."""
        return replace(self, settings=(), run_settings=())

    @classmethod
    def parse(cls, text: str) -> Target:
        """Raises ValueError, naming what is missing."""
        # Quoted values may hold an @; what stands before the runner's can't be mistaken.
        for at in (m.start() for m in re.finditer("@", text)):
            found = _WHERE.fullmatch(text, at + 1)
            if found and _VARIANT.fullmatch(text, 0, at):
                built = Variant.parse(text[:at])
                device = Device.parse(found[3])
                opened = _read(found[2], text)
                return cls(built.format, built.precision, found[1], device, built.settings, opened)
        raise ValueError(
            f"{text!r} is no target; one looks like onnx:fp16@ort-cpu or onnx:fp16@ort-cuda:0"
        )


def settings(given: Mapping[str, object]) -> Settings:
    """Settings from Python values, as a target holds them."""
    return tuple(sorted((name, str(value)) for name, value in given.items()))


def _written(settings: Settings) -> str:
    if not settings:
        return ""
    said = (f"{n}={v if _SETTING.fullmatch(f'{n}={v}') else json.dumps(v)}" for n, v in settings)
    return f"[{','.join(said)}]"


def _read(text: str | None, whole: str) -> Settings:
    if text is None:
        return ()
    inside, at, made = text[1:-1], 0, {}
    while found := _SETTING.match(inside, at):
        name, value, comma = found.groups()
        if name in made:
            raise ValueError(f"{whole!r} sets {name} twice")
        made[name] = json.loads(value) if value.startswith('"') else value
        at = found.end()
        if not comma:
            return settings(made)
    raise ValueError(
        f"{text!r} in {whole!r} are no settings; they look like [name=value,other=value], with "
        'double quotes around a value that holds a comma, a space or one of []="'
    )


def _precision(text: str, whole: str) -> Precision:
    try:
        return Precision(text)
    except ValueError:
        known = ", ".join(p.value for p in Precision)
        raise ValueError(f"{text!r} in {whole!r} is no precision; they are {known}") from None
