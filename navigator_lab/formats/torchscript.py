"""TorchScript, traced and scripted: what Triton's PyTorch backend serves.

A trace holds the path that one batch took; a script keeps the branches of the source. Neither is
judged here: whether the answer is right is the comparison's to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.types import samples as sampling
from navigator_lab.types.plugin import At, Format, TritonBackend, edge, option
from navigator_lab.types.pytree import unflatten
from navigator_lab.types.signature import Signature
from navigator_lab.types.target import Precision

from ._torch import CannotBuild, Exported, flat, load, prove, quiet_build, tensors_of, trials
from ._torch_reasons import explain, said
from .torch_module import FORMAT as TORCH

if TYPE_CHECKING:
    import torch

    from navigator_lab.types.outcome import Product

FORMAT = Format(
    "torchscript",
    "model.pt",
    "TorchScript, traced",
    TritonBackend("pytorch", "model.pt"),
    "PyTorch",
)
SCRIPT = Format(
    "torchscript-script",
    "model.pt",
    "TorchScript, scripted: control flow is kept",
    TritonBackend("pytorch", "model.pt"),
    "PyTorch",
)


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How a module is traced."""

    check: bool = option(
        True, "trace twice and compare graphs and answers: finds what keeps a state"
    )
    strict: bool = option(True, "refuse lists and dicts that change inside the forward")
    device: str = option(
        "cpu",
        "where to trace: tensors made inside the forward stay on that device for ever",
        choices=("cpu", "cuda"),
    )


@edge(
    TORCH.name,
    FORMAT.name,
    "fp32",
    "tf32",
    "fp16",
    "bf16",
    needs=("torch",),
    options=TraceOptions,
    timeout_s=900,
    explain=explain,
)
def trace(at: At, model: Product, samples: Product) -> Exported:
    """Run the module once and keep the operators it used."""
    import torch

    signature = samples.read(Signature)
    tried = trials(sampling.read(samples.path), signature)
    module = flat(load(model.path / TORCH.filename), signature).to(at.options.device)
    example = tuple(tensors_of(tried[0][1], signature, at.options.device))
    state = [(buffer, buffer.clone()) for buffer in module.buffers()]
    with quiet_build() as notes:
        try:
            # A traced convolution keeps what cuDNN was allowed while it was traced, for ever: fp32
            # would be computed in TF32 (seen on an H100: 47 dB where 105 were asked).
            tf32 = at.about.precision is Precision.TF32
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
                made = torch.jit.trace(
                    module, example, check_trace=at.options.check, strict=at.options.strict
                )
        except Exception as error:  # foreign code: any class may come
            raise CannotBuild(f"torch.jit.trace refuses the model: {said(error)}") from error
        for buffer, before in state:  # a forward that counts has counted while it was traced
            buffer.copy_(before)
        torch.jit.save(made, str(at.out / FORMAT.filename))
        again = torch.jit.load(str(at.out / FORMAT.filename), map_location=at.options.device)
        prove("the trace", again, tried, signature, at.options.device)
    return Exported(notes=tuple(notes))


@edge(
    TORCH.name,
    SCRIPT.name,
    "fp32",
    "tf32",
    "fp16",
    "bf16",
    needs=("torch",),
    timeout_s=900,
    explain=explain,
)
def script(at: At, model: Product, samples: Product) -> Exported:
    """Compile the module's Python to TorchScript, branches and loops with it."""
    import torch

    module = load(model.path / TORCH.filename)
    inside = getattr(module, "inside", "")
    bordered = bool(inside) and type(module).__name__ == "Border"
    if bordered and module.how != "convert":
        raise CannotBuild("torch.jit.script can't hold torch.autocast; use how='convert'")
    _forget()
    with quiet_build() as notes:
        try:
            made = torch.jit.script(module.module if bordered else module)
        except Exception as error:  # foreign code: any class may come
            raise CannotBuild(f"torch.jit.script refuses the model: {said(error)}") from error
        if bordered:
            made = _border(made, inside, str(module.outside[0]) if module.outside else "float32")
        torch.jit.save(made, str(at.out / SCRIPT.filename))
        signature = samples.read(Signature)
        again = torch.jit.load(str(at.out / SCRIPT.filename))
        names = [spec.name for spec in signature.inputs]

        def call(*tensors: torch.Tensor) -> Any:
            args, kwargs = unflatten(signature.call, dict(zip(names, tensors, strict=True)))
            return again(*args, **kwargs)

        prove("the script", call, trials(sampling.read(samples.path), signature), signature)
    return Exported(flat=False, notes=tuple(notes))


def _forget() -> None:
    """Drop what this process compiled of Python classes before.

    A class whose compilation failed stays half made, and the next module of that class is refused
    with "Can't redefine method" instead of its own reason.
    """
    import torch

    torch._C._jit_clear_class_registry()
    torch.jit._recursive.concrete_type_store = torch.jit._recursive.ConcreteTypeStore()
    torch.jit._state._clear_class_state()


def _border(inner: Any, inside: str, outside: str) -> torch.jit.ScriptModule:
    """Casts around a scripted module, written as TorchScript from the types of its forward."""
    import torch

    schema = inner.forward.schema
    said_args, passed = ["self"], []
    for arg in schema.arguments[1:]:
        default = f" = {arg.default_value!r}" if arg.has_default_value() else ""
        if arg.kwarg_only and "*" not in said_args:
            said_args.append("*")
        said_args.append(f"{arg.name}: {arg.type.annotation_str}{default}")
        value = _cast(arg.name, arg.type, inside)
        passed.append(f"{arg.name}={value}" if arg.kwarg_only else value)
    back = _cast("answer", schema.returns[0].type, outside)

    # TorchScript keeps one compiled type a class for the whole process, so each needs its own.
    class Bordered(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

    made = torch.jit.script(Bordered())
    made.define(
        f"def forward({', '.join(said_args)}):\n"
        f"    answer = self.inner({', '.join(passed)})\n"
        f"    return {back}\n"
    )
    return made.eval()


def _cast(name: str, kind: Any, dtype: str) -> str:
    """An expression of TorchScript that casts what is floating in ``name``, a value of that type."""
    what = kind.kind()
    if what == "TensorType":
        return f"({name}.to(torch.{dtype}) if {name}.is_floating_point() else {name})"
    if what == "TupleType":
        items = [_cast(f"{name}[{i}]", one, dtype) for i, one in enumerate(kind.elements())]
        return f"({', '.join(items)},)"
    if what == "ListType" and kind.getElementType().kind() == "TensorType":
        return f"[{_cast('t', kind.getElementType(), dtype)} for t in {name}]"
    if what == "DictType" and kind.getValueType().kind() == "TensorType":
        # TorchScript's comprehensions have one loop variable.
        return f"{{k: {_cast(f'{name}[k]', kind.getValueType(), dtype)} for k in {name}.keys()}}"
    if what in ("IntType", "FloatType", "BoolType", "StringType", "NumberType", "NoneType"):
        return name
    raise CannotBuild(
        f"a scripted module can't be given {dtype} at its border: it takes or gives a "
        f"{kind.annotation_str}; use tensors, tuples, lists and dicts of tensors"
    )
