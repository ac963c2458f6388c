"""scikit-learn as ONNX, by skl2onnx: a plug-in in one file.

An estimator is given by the method that answers, as ``nav.explore(model.predict_proba, x,
plugins=["docs/plugins/sklearn_onnx.py"])``. That is a python callable, so it runs, is compared and is
served as one; this file adds the way to ONNX, and with it all that ONNX leads to.
"""

from navigator_lab.errors import ModelError
from navigator_lab.formats.onnx import graph
from navigator_lab.types.plugin import edge
from navigator_lab.types.signature import Signature

# A method of an estimator, and which of the graph's outputs it is.
OUTPUTS = {"predict": 0, "predict_proba": 1, "transform": 0, "decision_function": 1}


@edge("python", "onnx", "fp32", needs=("skl2onnx", "onnx", "scikit-learn"))
def from_sklearn(at, model, samples):
    """Translate the estimator whose method the callable is."""
    import pickle

    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import guess_data_type

    with (model.path / "callable.pkl").open("rb") as file:
        method = pickle.load(file)  # noqa: S301 -- written from the user's own object
    estimator, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if not hasattr(estimator, "get_params") or name not in OUTPUTS:
        raise ModelError(
            "this python callable is no method of a scikit-learn estimator",
            f"give one of {', '.join(OUTPUTS)}, as model.predict_proba",
        )
    signature = samples.read(Signature)
    (given,) = signature.inputs
    (wanted,) = signature.outputs
    _, kind = guess_data_type(_one(samples, given.name))[0]
    options = {}
    if name in ("predict_proba", "decision_function"):
        options = {id(estimator): {"zipmap": False, "raw_scores": name == "decision_function"}}
    made = to_onnx(
        estimator,
        initial_types=[(given.name, type(kind)([None, given.shape[1]]))],
        options=options,
        target_opset=18,
    )
    _keep(made, OUTPUTS[name], wanted.name)
    graph.save(made, at.out)
    return graph.Graph(graph.opset(made), len(made.graph.node), "skl2onnx")


def _one(samples, name):
    from navigator_lab.types.samples import read

    return read(samples.path)[0][name]


def _keep(made, index, name):
    """Only the output that is meant, by the signature's name."""
    output = made.graph.output[index]
    for node in made.graph.node:
        node.output[:] = [name if one == output.name else one for one in node.output]
        node.input[:] = [name if one == output.name else one for one in node.input]
    output.name = name
    for i in reversed(range(len(made.graph.output))):
        if i != index:
            del made.graph.output[i]
