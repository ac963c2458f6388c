"""A JAX function with its parameters as ONNX, by jax2onnx: a plug-in in one file.

``nav.explore(jax.jit(functools.partial(apply, params)), x, plugins=["docs/plugins/jax_onnx.py"])``. The
function is a python callable, so it runs (compiled, if it is jitted), is compared and is served as one;
this file adds the way to ONNX, and with it all that ONNX leads to. jax2tf is no way there: what it
gives holds XLA's code, which no converter reads.
"""

from navigator_lab.errors import ModelError
from navigator_lab.formats.onnx import FORMAT, graph
from navigator_lab.types.plugin import edge
from navigator_lab.types.pytree import unflatten
from navigator_lab.types.signature import Signature


@edge("python", "onnx", "fp32", name="onnx<-jax", needs=("jax2onnx", "jax", "onnx"))
def from_jax(at, model, samples):
    """Trace the JAX function and translate it."""
    import pickle

    import jax
    import jax.export
    from jax2onnx import to_onnx

    with (model.path / "callable.pkl").open("rb") as file:
        function = pickle.load(file)  # noqa: S301 -- written from the user's own object
    signature = samples.read(Signature)
    names = [spec.name for spec in signature.inputs]

    scope = jax.export.SymbolicScope()  # axes of one name are one size
    given = [
        jax.ShapeDtypeStruct(
            jax.export.symbolic_shape(", ".join(map(str, spec.shape)), scope=scope), spec.dtype
        )
        for spec in signature.inputs
    ]

    def flat(*arrays):
        args, kwargs = unflatten(signature.call, dict(zip(names, arrays, strict=True)))
        return jax.tree.leaves(function(*args, **kwargs))

    try:
        made = to_onnx(
            flat,
            given,
            input_names=names,
            output_names=[spec.name for spec in signature.outputs],
            opset=18,
        )
    except Exception as error:
        raise ModelError(
            f"jax2onnx can't take this callable: {str(error).strip().splitlines()[0]}",
            "it must be a JAX function of arrays: no numpy inside, no branches on values",
        ) from error
    graph.save(made, at.out)
    graph.check(at.out / FORMAT.filename, signature, outputs=False)
    return graph.Graph(graph.opset(made), len(made.graph.node), "jax2onnx")
