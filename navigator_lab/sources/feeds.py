"""From whatever a user calls samples to flat, named arrays and the tree that they came from.

What is what: a tensor or array is one feed with one input. A tuple is one feed with several
positional inputs; its last element is the keyword arguments if it is a dict and each of its keys
is a parameter that the positional ones leave free. A dict is one feed by name; for a model whose one
argument is a dict, give a tuple that holds it: ``({"x": x},)``. A list, iterator, DataLoader or dataset is several feeds, each one of the above, and a list in
it (what a DataLoader gives) counts as a tuple. Numbers, text, bools and None inside of a feed are
constants of the call.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SamplesError
from .captured import Captured

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

TAKEN = (
    "give a tensor or array, a tuple (several inputs), a dict (inputs by name), a list, iterator "
    "or DataLoader of these (several samples), or the path of an .npz file"
)


def each(samples: Any) -> Iterator[Any]:
    """The feeds in what was given, one by one.

    Raises:
        SamplesError: it is none of what is taken.
    """
    if samples is None:
        raise SamplesError("there are no samples: None was given", TAKEN)
    if isinstance(samples, str | os.PathLike):
        yield from _of_file(Path(samples).expanduser())
    elif is_array(samples) or isinstance(samples, tuple | Mapping):
        yield samples
    elif isinstance(samples, str | bytes | int | float | bool | set | frozenset | type):
        raise SamplesError(f"a {type(samples).__name__} is no samples", TAKEN)
    elif isinstance(samples, Iterable):
        yield from samples
    elif hasattr(samples, "__getitem__") and hasattr(samples, "__len__"):  # a torch Dataset
        yield from (samples[i] for i in range(len(samples)))
    else:
        raise SamplesError(f"a {type(samples).__qualname__} is no samples", TAKEN)


def _of_file(path: Path) -> Iterator[Any]:
    import zipfile

    import numpy as np

    shown = repr(str(path))
    if not path.is_file():
        raise SamplesError(f"there is no file {shown}", "samples are read from .npz or .npy files")
    if not path.stat().st_size:
        raise SamplesError(f"{shown} is empty (0 bytes)", "write it again: numpy.savez(path, x=x)")
    try:
        # Opened here, because numpy leaves a file that it can't read open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            alone = isinstance(loaded, np.ndarray)
            feed = loaded if alone else {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise SamplesError(
            f"{shown} is no readable .npz or .npy file of numbers: {error}",
            "write it with numpy.savez(path, NAME=array, …), one array an input",
        ) from None
    if not alone and not feed:
        raise SamplesError(f"{shown} holds no arrays", "numpy.savez(path, NAME=array, …)")
    yield feed


def is_array(value: Any) -> bool:
    """A tensor of any framework, an array, or a numpy number."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return True
    return hasattr(value, "__array__") and not isinstance(value, type)


def arguments(feed: Any, captured: Captured, at: int) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of one feed.

    Raises:
        SamplesError: the names or the number don't fit the model.
    """
    if is_array(feed):
        args, kwargs = [feed], {}
    elif isinstance(feed, Mapping):
        args, kwargs = _of_mapping(feed, captured, at)
    elif isinstance(feed, tuple | list) and not hasattr(feed, "_fields"):
        args, kwargs = list(feed), {}
        if args and isinstance(args[-1], Mapping) and _free(args[-1], args[:-1], captured):
            kwargs = {str(k): v for k, v in args.pop().items()}
    else:
        raise SamplesError(f"sample {at} is a {type(feed).__qualname__}", TAKEN)
    _fit(args, kwargs, captured, at)
    return args, kwargs


def _of_mapping(
    feed: Mapping[Any, Any], captured: Captured, at: int
) -> tuple[list[Any], dict[str, Any]]:
    keys = [str(key) for key in feed]
    if captured.keywords is None or captured.parameters is None:
        return [], dict(zip(keys, feed.values(), strict=True))
    known = [*captured.parameters, *captured.keywords]
    if all(key in known for key in keys):
        return [], dict(zip(keys, feed.values(), strict=True))
    raise _names_differ(keys, known, at)


def _free(last: Mapping[Any, Any], before: Sequence[Any], captured: Captured) -> bool:
    """True if each key is a parameter that the positional arguments before leave free."""
    if captured.parameters is None or not last:
        return False
    free = {*captured.parameters[len(before) :], *(captured.keywords or ())}
    if captured.keywords is None:
        return all(isinstance(key, str) and key not in captured.parameters for key in last) or all(
            key in free for key in last
        )
    return all(key in free for key in last)


def _fit(args: list[Any], kwargs: dict[str, Any], captured: Captured, at: int) -> None:
    names = captured.parameters
    if names is None:
        return
    if len(args) > len(names) and not captured.variadic:
        label = len(args) == len(names) + 1 and len(args) == 2
        raise SamplesError(
            f"sample {at} has {len(args)} inputs, and the model takes {len(names)}: "
            f"{', '.join(names)}",
            "if the last one is a label, leave it out: [batch[0] for batch in loader]"
            if label
            else "give as many as the model takes, in its order",
        )
    given = {*names[: len(args)], *kwargs}
    missing = [name for name in captured.required if name not in given]
    if missing:
        raise SamplesError(
            f"sample {at} lacks {', '.join(missing)}: it gives {', '.join(given) or 'nothing'}, "
            f"and the model takes {', '.join([*names, *(captured.keywords or ())])}",
            "give a tuple in the model's order, or a dict by name",
        )
    twice = [name for name in names[: len(args)] if name in kwargs]
    if twice:
        raise SamplesError(
            f"sample {at} gives {', '.join(twice)} by position and by name", "give it once"
        )


def _names_differ(given: list[str], known: list[str], at: int) -> SamplesError:
    wrong = [name for name in given if name not in known]
    near = [(n, difflib.get_close_matches(n, known, n=1, cutoff=0.5)) for n in wrong]
    hints = [f"{name!r} may be {found[0]!r}" for name, found in near if found]
    return SamplesError(
        f"the names don't match: sample {at} has {', '.join(given)}, "
        f"and the model takes {', '.join(known)}",
        ("; ".join(hints) + "; " if hints else "")
        + "rename them, or give a tuple in that order; a model that takes a dict as its one "
        "argument gets it in a tuple: (sample,)",
    )


def named(
    args: list[Any], kwargs: dict[str, Any], captured: Captured, at: int
) -> tuple[Any, dict[str, Any]]:
    """The call tree of one feed and its tensors by name, in the order of the arguments.

    Raises:
        SamplesError: there is something in it that is neither tensor nor constant, or one name twice.
    """
    found: dict[str, Any] = {}

    def grow(value: Any, name: str) -> Any:
        if is_array(value):
            if name in found:
                raise SamplesError(
                    f"two inputs would be called {name!r}", "name them: input_names=[…]"
                )
            found[name] = value
            return {"input": name}
        if value is None or type(value) in (bool, int, float, str):
            return {"constant": value}
        if type(value) in (tuple, list):
            kind = type(value).__name__
            return {kind: [grow(one, f"{name}.{i}") for i, one in enumerate(value)]}
        if isinstance(value, Mapping):
            wrong = [key for key in value if not isinstance(key, str)]
            if wrong:
                raise SamplesError(
                    f"{name!r} of sample {at} is a dict with the key {wrong[0]!r}",
                    "only text can be a key here",
                )
            return {"dict": {key: grow(one, f"{name}.{key}") for key, one in value.items()}}
        raise SamplesError(
            f"{name!r} of sample {at} is a {type(value).__module__}.{type(value).__qualname__}",
            "inputs are tensors, arrays, and tuples, lists and dicts of these, with numbers, "
            "bools, text and None as constants",
        )

    tree = {
        "args": [grow(one, _name(i, len(args), captured)) for i, one in enumerate(args)],
        "kwargs": {key: grow(one, key) for key, one in kwargs.items()},
    }
    if not found:
        raise SamplesError(f"there is no tensor in sample {at}", TAKEN)
    return tree, found


def _name(index: int, count: int, captured: Captured) -> str:
    names = captured.parameters or ()
    if index < len(names):
        return names[index]
    return "input" if count == 1 else f"input_{index}"


def as_array(value: Any, name: str, at: int, *, text: bool = False) -> np.ndarray:
    """A tensor as a numpy array; bfloat16 and float8 keep their type by way of ml_dtypes.

    ``text``: the model takes text there, which is an array of ``str`` objects.

    Raises:
        SamplesError: it doesn't hold numbers, or text where that is taken.
    """
    import numpy as np

    torch = sys.modules.get("torch")
    try:
        if torch is not None and isinstance(value, torch.Tensor):
            array = _of_tensor(value)
        else:
            array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SamplesError(f"{name!r} of sample {at} is no array: {error}", TAKEN) from None
    if text:
        return _text(array, name, at)
    kind = array.dtype.kind
    if kind not in "biufcV" or array.dtype.names or (kind == "V" and array.dtype.name == "void"):
        raise SamplesError(
            f"{name!r} of sample {at} has dtype {array.dtype}, which no runtime takes",
            "give numbers or bools; turn text into token numbers first",
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _text(array: np.ndarray, name: str, at: int) -> np.ndarray:
    """Text as objects: numpy's own fixed widths would differ from sample to sample."""
    import numpy as np

    shown = f"{name!r} of sample {at}"
    made = np.empty(array.shape, object)
    for place, value in np.ndenumerate(array):
        try:
            said = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            raise SamplesError(
                f"{shown} holds bytes that are no text: {error}", "use UTF-8"
            ) from None
        if not isinstance(said, str):
            raise SamplesError(
                f"{shown} holds a {type(value).__name__}, and the model takes text",
                "give an array of str",
            )
        made[place] = str(said)
    return made


def _of_tensor(tensor: Any) -> np.ndarray:
    """A torch tensor as an array; the dtypes that numpy lacks come from ml_dtypes."""
    import torch

    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise TypeError(f"a tensor of layout {tensor.layout} or quantised; give a dense one")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    try:
        array: np.ndarray = tensor.numpy()
    except TypeError:
        import ml_dtypes

        name = str(tensor.dtype).removeprefix("torch.")
        if not hasattr(ml_dtypes, name):
            raise
        bits = {1: torch.uint8, 2: torch.int16}[tensor.element_size()]
        array = tensor.contiguous().view(bits).numpy().view(getattr(ml_dtypes, name))
    return array
