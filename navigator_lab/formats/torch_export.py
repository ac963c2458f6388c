"""The program of torch.export: one graph, its shapes proven for a whole range. Nothing is compiled here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.types import samples as sampling
from navigator_lab.types.plugin import At, Format, edge, option
from navigator_lab.types.signature import Signature

from ._torch import CannotBuild, Exported, flat, load, prove, quiet_build, tensors_of, trials
from ._torch_reasons import explain, said
from .torch_module import FORMAT as TORCH

if TYPE_CHECKING:
    from navigator_lab.types.outcome import Product

FORMAT = Format("torch-export", "model.pt2", "the program of torch.export", family="PyTorch")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a module is exported."""

    strict: bool = option(
        False, "let TorchDynamo read the bytecode (True) or run the Python (False)"
    )
    shapes: str = option(
        "dims",
        "dims: every varying axis for its whole range, or a failure; auto: torch finds what may vary; "
        "static: the sizes of the first samples only",
        choices=("dims", "auto", "static"),
    )


@edge(
    TORCH.name,
    FORMAT.name,
    "fp32",
    "tf32",
    "fp16",
    "bf16",
    needs=("torch",),
    options=ExportOptions,
    timeout_s=900,
    explain=explain,
)
def export(at: At, model: Product, samples: Product) -> Exported:
    """Trace the module into one graph with symbolic sizes."""
    signature = samples.read(Signature)
    tried = trials(sampling.read(samples.path), signature)
    module = flat(load(model.path / TORCH.filename), signature)
    options = at.options
    with quiet_build() as notes:
        try:
            _export(at, module, tried, signature, options.shapes)
        except CannotBuild as error:
            if options.shapes != "dims" or "Constraints violated" not in str(error):
                raise
            # Sizes that depend on each other (total = past + 1) can't be said beforehand: torch
            # may find them, if what it finds still fits every trial.
            try:
                _export(at, module, tried, signature, "auto")
            except CannotBuild:
                raise error from None
            notes.append(f"torch chose the ranges of the sizes: {said(error)}")
    return Exported(notes=tuple(notes))


def _export(at: At, module: Any, tried: Any, signature: Signature, shapes: str) -> None:
    """The file, proven on every trial (with static shapes on the first).

    Raises:
        CannotBuild: torch.export or the program refused.
    """
    import torch

    example = tuple(tensors_of(tried[0][1], signature))
    path = at.out / FORMAT.filename
    try:
        program = torch.export.export(
            module,
            example,
            dynamic_shapes=_shapes(signature, shapes, example),
            strict=at.options.strict,
        )
        torch.export.save(program, path)
    except Exception as error:  # foreign code: any class may come
        raise CannotBuild(f"torch.export refuses the model: {said(error)}") from error
    again = torch.export.load(path).module()
    prove("the program", again, tried[:1] if shapes == "static" else tried, signature)


def _shapes(signature: Signature, how: str, example: tuple[Any, ...]) -> tuple[Any, ...]:
    """What may vary of each input, as torch.export wants to hear it; axes of one name are one size."""
    import torch

    dims: dict[str, Any] = {}

    def dim(name: str) -> Any:
        if how == "auto":
            return torch.export.Dim.AUTO
        if name not in dims:
            axis = signature.axis(name)
            if axis.min == axis.max:
                dims[name] = None  # a range of one size is a fixed size
            else:
                dims[name] = torch.export.Dim(_symbol(name, dims), min=axis.min, max=axis.max)
        return dims[name]

    made = []
    for spec, tensor in zip(signature.inputs, example, strict=True):
        varying = {i: dim(s) for i, s in enumerate(spec.shape) if isinstance(s, str)}
        made.append({} if how == "static" or not tensor.ndim else varying)
    return tuple(made)


def _symbol(name: str, taken: dict[str, Any]) -> str:
    safe = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
    return safe if safe.isidentifier() else f"axis_{len(taken)}"
