"""Products and packages for the tests of the shipping side, made with the real frameworks."""

from __future__ import annotations

from pathlib import Path

from triton_odd_runner import odd

from navigator_lab.catalog import Catalog
from navigator_lab.stages.package import Package, PackageOptions, package
from navigator_lab.types import samples as stored
from navigator_lab.types.codec import encode
from navigator_lab.types.outcome import Product
from navigator_lab.types.plugin import At, options_of
from navigator_lab.types.signature import Axis, Signature, TensorSpec
from navigator_lab.types.target import Target


def product(folder: Path, value=None) -> Product:
    files = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    return Product("0" * 64, folder, encode(value), files)


def signature(inputs, outputs, largest=8, call=None) -> Signature:
    specs = [
        tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in some)
        for some in (inputs, outputs)
    ]
    names = dict.fromkeys(d for s in (*specs[0], *specs[1]) for d in s.shape if isinstance(d, str))
    axes = tuple(Axis(name, 1, 1, largest) for name in names)
    return Signature(*specs, axes=axes, call=call)


def make(
    folder: Path,
    target: str,
    model: Path,
    sig: Signature,
    samples,
    timing=None,
    run_options=None,
    **options,
):
    """The package action, on real files; gives the model's folder and the action's value."""
    target = Target.parse(target)
    given = folder / "samples"
    given.mkdir(parents=True)
    stored.write(given, samples)
    out = folder / "out"
    out.mkdir()
    catalog = Catalog.installed()
    runners = {**catalog.runners, "odd": odd}
    run_options = options_of(runners[target.runner].action.options, run_options)
    at = At(
        out, target, PackageOptions(**options), catalog.formats, runners, run_options=run_options
    )
    value: Package = package.fn(
        at,
        model=product(model),
        samples=product(given, sig),
        timing=product(given, timing) if timing is not None else None,
    )
    return out / value.name, value


def onnx_file(folder: Path, *, external: bool = False) -> Path:
    """``y = tanh(x @ w + b)`` with a free batch."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    w = rng.standard_normal((6, 3), dtype=np.float32)
    b = rng.standard_normal(3, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["g"]), helper.make_node("Tanh", ["g"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    if external:
        onnx.save_model(
            model,
            folder / "model.onnx",
            save_as_external_data=True,
            location="model.onnx.data",
            size_threshold=0,
        )
    else:
        onnx.save_model(model, folder / "model.onnx")
    return folder
