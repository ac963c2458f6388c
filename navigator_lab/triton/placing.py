"""A model that somebody has as a file or a folder, made a model's folder of a repository.

For what no target of ours builds: a TensorRT plan, a SavedModel, a file from elsewhere. It is put
where its backend looks for it, and checked with its configuration before it goes anywhere.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from ..errors import PackageError
from .checks import check_model
from .checks.complete import complete
from .checks.finding import Meant
from .checks.modelfile import filename
from .modelconfig import ModelConfig
from .repository import checked_name, checked_version


def place(config: Any, source: str | Path, folder: Path, version: int = 1) -> Path:
    """The model's folder, made inside ``folder``; what a user should know of it is a warning.

    Raises:
        PackageError: there is no such file, or a server would refuse the model, in its words.
    """
    made = ModelConfig(config)
    name, given = checked_name(made.name), Path(source)
    if not given.exists():
        raise PackageError(f"there is no file {given}", "give the model's file or folder")
    whole, _ = complete(made.message, folder / name, Meant())
    called = filename(whole)
    if not called:
        raise PackageError(
            f"it is not known what the {whole.backend or 'unnamed'} backend calls its file",
            "give 'default_model_filename' in the configuration",
        )
    home = folder / name
    target = home / str(checked_version(version)) / called
    target.parent.mkdir(parents=True)
    (shutil.copytree if given.is_dir() else shutil.copyfile)(given, target)
    made.save(home)
    found = check_model(home)
    if found.refused:
        raise PackageError(
            f"a server would refuse {name!r}: {found.refused[0].message}", found.refused[0].remedy
        )
    for note in found:
        warnings.warn(f"{name}: {note.message} ({note.remedy})", UserWarning, stacklevel=3)
    return home
