"""What is known of a model once it is captured. Each kind of source makes one of these."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..types.signature import TensorSpec
from ..types.target import Precision, Variant
from .arrays import of_file


class Hashes(Protocol):
    """Remembers the digests of files, by path, size, modification time and inode."""

    def get(self, path: Path) -> str | None:
        """The digest, if this very file was hashed before."""

    def put(self, path: Path, digest: str) -> None:
        """Remember it."""


@dataclass(frozen=True, slots=True)
class How:
    """How the user wants a model to be taken in; see `navigator_lab.sources.capture`."""

    trust: bool = False
    hashes: Hashes | None = None
    signature: str | None = None


@dataclass(frozen=True)
class Captured:
    """A model, identified but not yet written.

    ``fingerprint`` says what the model is (structure, weights, code), not how it is pickled.
    ``write`` puts the format's files into an empty folder; nothing is written before it is called.
    ``parameters`` are the names that positional inputs take, in order; None if unknown.
    ``keywords`` are the names of keyword-only parameters; None if any keyword is taken.
    ``inputs`` are those of files that say; the names in their shapes are dynamic axes.
    """

    name: str
    variant: Variant
    fingerprint: str
    write: Callable[[Path], None]
    parameters: tuple[str, ...] | None = None
    inputs: tuple[TensorSpec, ...] | None = None
    notes: tuple[str, ...] = ()
    keywords: tuple[str, ...] | None = ()
    variadic: bool = False  # takes any number of positional inputs
    required: tuple[str, ...] = ()  # of the parameters, those without a default


def one_file(path: Path, format: str, filename: str, how: How, **known: Any) -> Captured:
    """A model that is one file, which is copied as it lies; ``known``: further fields."""

    def write(folder: Path) -> None:
        shutil.copyfile(path, folder / filename)

    facts = {"variant": variant(format), "fingerprint": of_file(path, how.hashes), "write": write}
    return Captured(name=safe_name(path.stem), **{**facts, **known})


def variant(format: str, precision: Precision = Precision.FP32) -> Variant:
    """A format in a precision; what a source is, mostly in fp32."""
    return Variant(format, precision)


def safe_name(text: str, otherwise: str = "model") -> str:
    """``text`` as the name of a folder: ``DigitsCNN`` -> ``digits_cnn``."""
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", text)
    text = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-").lower()
    return text[:80] or otherwise


@dataclass(frozen=True)
class Call:
    """How a python callable may be called."""

    parameters: tuple[str, ...] | None
    keywords: tuple[str, ...] | None = ()
    variadic: bool = False
    required: tuple[str, ...] = ()


def call_of(function: Callable[..., object]) -> Call:
    """The names that ``function`` (bound, so without ``self``) takes; unknown where it won't say."""
    import inspect

    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return Call(None, None, True)
    kinds = inspect.Parameter
    positional = tuple(
        p.name for p in found if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    )
    only = tuple(p.name for p in found if p.kind is kinds.KEYWORD_ONLY)
    return Call(
        positional,
        None if any(p.kind is kinds.VAR_KEYWORD for p in found) else only,
        any(p.kind is kinds.VAR_POSITIONAL for p in found),
        tuple(
            p.name
            for p in found
            if p.default is p.empty and p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)
        ),
    )
