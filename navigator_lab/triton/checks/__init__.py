"""What a Triton server would refuse in a repository, said before it does. Starts nothing.

The rules are those of Triton's core, in its own words (read from its sources, held against a real
server by the tests): `complete` what it adds by itself, `tensors`, `schedule`, `sequences`, `graph`
one configuration, `pipeline` ensembles among the other models, `ondisk` and `warm` the files around.
Beyond the core, `modelfile` and `parameters` say what the backends would refuse that we know.

The core stops at the first mistake of a model; here all are said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import PackageError
from .. import config as configs
from ..objectstore import Objects, is_url, local
from ..repository import CONFIG, read
from ..runtime import TRITON
from .complete import complete, too_new, unread, whole
from .finding import Finding, Findings, Meant, noted, refused
from .graph import ensemble
from .modelfile import KNOWN, completed, known, model_files
from .ondisk import labels, served, version_folders
from .parameters import parameters
from .pipeline import Member, pipeline
from .schedule import agents, instances, runtime, schedule
from .sequences import sequences
from .tensors import tensors
from .warm import warmup

__all__ = ["KNOWN", "Finding", "Findings", "check", "check_config", "check_model"]


def check(
    repository: str | Path, *, gpus: int | None = None, triton: str = TRITON, files: bool = True
) -> Findings:
    """All findings of a repository, model by model; empty where a server takes it as it is.

    ``repository``: a folder, or an fsspec URL, which is copied here for as long as it takes.

    A finding with ``error`` is a refusal. ``gpus``: how many the server has; what hangs on that is
    only noted while it isn't given. ``triton``: the server's version, as fields come and go.
    ``files=False``: configurations only; model files are neither missed nor looked into.

    Raises:
        PackageError: there is no such folder, or it is a model's own.
    """
    if is_url(repository):
        with Objects(str(repository)).fetched() as folder:
            return check(folder, gpus=gpus, triton=triton, files=files)
    root = local(repository)
    if not root.is_dir():
        raise PackageError(f"there is no model repository {root}")
    if (root / CONFIG).is_file():
        raise PackageError(
            f"{root} is a model's folder, not a repository", f"check {root.absolute().parent}"
        )
    folders = sorted(one for one in root.iterdir() if one.is_dir())
    hidden = [one for one in folders if one.name.startswith(".")]
    found = _all([one for one in folders if one not in hidden], Meant(gpus, triton, files))
    said = "a server that loads all models takes this folder for one"
    remedy = "move it out of the repository"
    return Findings([*(Finding(one.name, said, remedy, error=False) for one in hidden), *found])


def check_model(
    folder: str | Path, *, gpus: int | None = None, triton: str = TRITON, files: bool = True
) -> Findings:
    """The findings of one model's folder. An ensemble's steps are looked up beside it."""
    place = Path(folder).absolute()
    beside = sorted(one for one in place.parent.iterdir() if one.is_dir())
    found = _all(beside, Meant(gpus, triton, files))
    return Findings(one for one in found if one.model == place.name)


def check_config(
    config: Any, *, name: str = "", gpus: int | None = None, triton: str = TRITON
) -> Findings:
    """The findings of a configuration by itself: text, or a ``ModelConfig``; no files, no steps.

    ``name``: the model's, where the configuration doesn't say it.
    """
    meant = Meant(gpus, triton, files=False)
    config = getattr(config, "message", config)
    if isinstance(config, str):
        torn = [replace(one, model=name) for one in unread(config, CONFIG)]
        if torn:
            return Findings(torn)
        try:
            config = configs.parse(config)
        except PackageError as error:
            return Findings([Finding(name, error.message, error.remedy)])
    nowhere = Path("/nonexistent") / (name or config.name or "model")
    found, _ = _alone(nowhere, config, meant, on_disk=False)
    return Findings(replace(one, model=nowhere.name) for one in found)


def _all(folders: list[Path], meant: Meant) -> list[Finding]:
    found: dict[str, list[Finding]] = {}
    members: dict[str, Member] = {}
    for folder in folders:
        said, config = _one(folder, meant)
        found[folder.name] = said
        errors = [one.message for one in said if one.error]
        if config is None:
            continue
        there = served(config, folder)
        known_io = completed(config, folder, there)
        members[folder.name] = Member(config, tuple(there), errors, known_io)
    for name, member in _upstream_first(members):
        if member.config.HasField("ensemble_scheduling") and not member.errors:
            more = list(pipeline(member, members))
            found[name] += more
            member.errors += [one.message for one in more if one.error]
    return [replace(one, model=name) for name, many in found.items() for one in many]


def _upstream_first(members: dict[str, Member]) -> Iterator[tuple[str, Member]]:
    """Ensembles after those that they use, so that a refusal is handed on."""
    done: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        if name in done or name in above or name not in members:
            return
        for step in members[name].config.ensemble_scheduling.step:
            visit(step.model_name, above | {name})
        done[name] = None

    for name in members:
        visit(name, frozenset())
    for name in done:
        yield name, members[name]


def _one(folder: Path, meant: Meant) -> tuple[list[Finding], Any]:
    """The findings of a folder by itself, and its configuration as the core completes it."""
    said = []
    if (folder / CONFIG).exists():
        path = folder / CONFIG
        torn = list(unread(path.read_text("utf-8", "replace"), path))
        if torn:
            return torn, None
        try:
            config = read(folder)
        except PackageError as error:
            message = f"failed to read text proto from {folder / CONFIG}: {error.message}"
            return [refused(message, error.remedy)], None
    else:
        config = configs.messages().ModelConfig()
        said.append(
            noted(
                f"has no {CONFIG}; a server can only guess one for some formats",
                "write one, so that names, types and batching are what you mean",
            )
        )
    found, config = _alone(folder, config, meant, on_disk=True)
    return [*said, *found], config


def _alone(folder: Path, config: Any, meant: Meant, on_disk: bool) -> tuple[list[Finding], Any]:
    new = [*too_new(config, meant), *agents(config)]
    if any(one.error for one in new):
        return new, None
    config, problem = complete(config, folder, meant)
    if problem:
        guess = 'write backend: "…" into the configuration, or put the model\'s file into a version'
        return [*new, refused(problem, guess)], config
    found = [
        *new,
        *whole(config, folder, meant),
        *schedule(config),
        *sequences(config, folder, on_disk),
        *ensemble(config),
        *tensors(config, _completes(config, folder)),
    ]
    if not config.HasField("ensemble_scheduling"):
        found += [*instances(config, meant), *runtime(config, folder), *known(config, meant)]
        found += parameters(config, folder)
    if on_disk:
        found += [*version_folders(config, folder), *labels(config, folder)]
        if not config.HasField("ensemble_scheduling"):
            found += warmup(config, folder)
            if meant.files:
                found += model_files(config, folder, served(config, folder))
    return found, config


def _completes(config: Any, folder: Path) -> bool:
    """Whether the backend fills in what a tensor lacks: TensorRT's does, and a Python model may."""
    if config.backend == "tensorrt":
        return True
    if config.backend != "python":
        return False
    for version in served(config, folder):
        path = folder / str(version) / (config.default_model_filename or "model.py")
        if path.is_file() and "auto_complete_config" in path.read_text(errors="replace"):
            return True
    return False
