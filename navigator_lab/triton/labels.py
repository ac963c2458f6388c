"""Names of an output's elements, as Triton's classification answers with: a text file, one a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PackageError, unknown


def label_files(config: Any, labels: Mapping[str, Sequence[str]]) -> dict[str, bytes]:
    """Name the files in ``config``; gives their contents by name.

    Raises:
        PackageError: there are not as many names as the output has elements.
        RequestError: no such output.
    """
    outputs = {io.name: io for io in config.output}
    files = {}
    for name, given in labels.items():
        if name not in outputs:
            raise unknown("output", name, outputs)
        lines = [str(one) for one in given]
        broken = [one for one in lines if len(one.splitlines()) > 1]
        if broken:
            raise PackageError(f"the label {broken[0]!r} of {name!r} is more than one line")
        expected = elements(outputs[name])
        if not lines or (expected is not None and len(lines) != expected):
            raise PackageError(
                f"{len(lines)} labels for output {name!r}, which has {expected or 'more'} elements",
                "give one for each element, in order",
            )
        file = "labels.txt" if len(labels) == 1 else f"labels_{list(outputs).index(name)}.txt"
        outputs[name].label_filename = file
        files[file] = "".join(f"{one}\n" for one in lines).encode()
    return files


def elements(io: Any) -> int | None:
    """How many elements an output has; None where an axis is free."""
    return None if -1 in io.dims else math.prod(io.dims)


def count(path: Path) -> int:
    """How many labels a file holds."""
    return len(path.read_text(encoding="utf-8", errors="replace").splitlines())
