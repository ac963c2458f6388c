"""A model repository on a live server, with what is known without a session."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PackageError, RequestError, SamplesError, unknown
from ..stages.judge import DEFAULTS, judge
from ..triton import samples as repository_samples
from ..triton.additions import CONFIG
from ..triton.repository import read
from ..types import samples as stored
from ..types.codec import encode
from ..types.measure import Outputs, Tolerance
from ..types.outcome import Product
from ..types.served import Replay
from ..types.signature import Signature
from ..types.target import Precision
from .serving import Asked, Served, open_served, replayed

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]


def serve_repository(
    repository: str | Path,
    model: str | None = None,
    *,
    samples: str | Path | None = None,
    expected: str | Path | None = None,
    tolerance: Tolerance | None = None,
    **how: Any,
) -> Served:
    """A model of a repository on a live server, with what is known without a session.

    Args:
        repository: the folder; it is served as it lies.
        model: its name; may be left out where there is only one.
        samples: an ``.npz`` by input name; by default the requests that it is warmed up with.
        expected: an ``.npz`` by output name; without it answers are not compared.
        tolerance: of the comparison; by default that of fp32.
        how: which server, and whether the samples are sent at once: the fields of
            `navigator_lab.session.serving.Asked`.

    Raises:
        RequestError: an argument that nobody takes.
        PackageError: no such model, or the server refuses it.
        SamplesError: no samples, or some that don't fit.
    """
    asked = Asked.taken(how)
    if how:
        raise unknown("argument", next(iter(how)), [one.name for one in fields(Asked)])
    root = Path(repository)
    name = model or _only(root)
    config = read(root / name)
    signature = repository_samples.signature(config)
    notes: list[str] = []
    if samples is not None:
        feeds = repository_samples.from_arrays(_npz(samples), signature.inputs, "samples")
    else:
        feeds = repository_samples.from_warmup(root / name, config)
        if not feeds:
            raise SamplesError(
                f"{name!r} has no warm-up data to send", "give --samples FILE.npz, by input name"
            )
        notes.append("the samples are those that the model is warmed up with")
    if expected is None and asked.send:
        notes.append("the answers were not compared: give --expected FILE.npz, by output name")

    def product(folder: Path) -> Product:
        folder.mkdir(parents=True)
        stored.write(folder, [{k: _storable(v) for k, v in one.items()} for one in feeds])
        return Product("", folder, encode(signature))

    stack = contextlib.ExitStack()
    try:
        served = open_served(root, name, product, stack, asked)
        served.server.notes[:0] = notes
        if asked.send:
            limit = tolerance or DEFAULTS[Precision.FP32]
            reference = None
            if expected is not None:
                scratch = served.samples.path.parent / "expected"
                reference = _expected(_npz(expected), len(feeds), signature, scratch)
            replayed(
                served, reference, lambda found: judge(found, limit), protocols=asked.protocols,
                batch=1 if reference else 4, say=asked.say,
            )  # fmt: skip
    except BaseException:  # an interrupt, too: no server is left behind
        stack.close()
        raise
    return served


def _storable(array: np.ndarray) -> np.ndarray:
    """Text as numpy stores it without pickles."""
    import numpy as np

    if array.dtype != object:
        return array
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
    return np.array(texts, str).reshape(array.shape)


def _expected(
    arrays: Mapping[str, np.ndarray], count: int, signature: Signature, folder: Path
) -> Product:
    """Expected answers as if a reference had given them."""
    import numpy as np

    rows = repository_samples.from_arrays(arrays, signature.outputs, "expected answers")
    if len(rows) != count:
        raise SamplesError(
            f"there are {len(rows)} expected answers for {count} samples", "give one for each"
        )
    folder.mkdir(parents=True)
    flat = {f"{i}/{n}": _storable(a) for i, one in enumerate(rows) for n, a in one.items()}
    np.savez(folder / "outputs.npz", allow_pickle=False, **flat)
    names = tuple(spec.name for spec in signature.outputs)
    cases = tuple(stored.Case((i,)) for i in range(count))
    dtypes = {spec.name: spec.dtype for spec in signature.outputs}
    return Product("", folder, encode(Outputs(cases, names, dtypes)))


def _only(root: Path) -> str:
    there = names_of(root)
    if len(there) > 1:
        raise RequestError(
            f"{root} holds several models: {', '.join(there)}", "say which: --model NAME"
        )
    return there[0]


def _npz(path: str | Path) -> dict[str, np.ndarray]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise SamplesError(f"{path} is no .npz file of plain arrays: {error}") from error


def replay_repository(repository: str | Path, model: str | None = None, **how: Any) -> list[Replay]:
    """Every model of a repository, or one, served and replayed: see `serve_repository`.

    Raises:
        SamplesError: none of them has samples.
    """
    root = Path(repository)
    names = [model] if model else names_of(root)
    if len(names) > 1 and (how.get("samples") or how.get("expected")):
        raise RequestError(
            f"{root} holds several models: {', '.join(names)}", "say whose samples: --model NAME"
        )
    made, lacking = [], []
    for name in names:
        try:
            with serve_repository(root, name, **how) as served:
                assert served.replay is not None
                made.append(served.replay)
        except SamplesError as error:
            if len(names) == 1:
                raise
            lacking.append(f"{name}: {error.message}")
    if not made:
        raise SamplesError("; ".join(lacking), "give --model NAME --samples FILE.npz")
    if lacking:
        made[-1] = replace(made[-1], notes=(*made[-1].notes, *(f"left out: {t}" for t in lacking)))
    return made


def names_of(root: Path) -> list[str]:
    """The models of a repository.

    Raises:
        PackageError: it holds none.
    """
    if not root.is_dir():
        raise PackageError(f"there is no model repository {root}", "package a target first")
    there = sorted(p.name for p in root.iterdir() if (p / CONFIG).is_file())
    if not there:
        raise PackageError(f"{root} holds no models", f"a model is a folder with a {CONFIG}")
    return there
