# ruff: noqa: TID253  (only ever run inside Triton's Python stub)
"""Stands in for Triton's openvino backend, with OpenVINO's Python package, on the CPU.

As there, a model with ``max_batch_size`` is fixed at that batch and needs ENABLE_BATCH_PADDING.
"""

import numpy as np
from navigator_standin import Standin

DTYPES = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "boolean": "bool",
    "string": "object",
    **{f"{s}{n}": f"{w}{n}" for s, w in (("i", "int"), ("u", "uint")) for n in (8, 16, 32, 64)},
}


class TritonPythonModel(Standin):
    """What Triton's Python backend looks for."""

    FILENAME = "model.xml"
    CONVERTS = True  # to the types of the configuration

    @classmethod
    def ports(cls, path):
        import openvino

        model = openvino.Core().read_model(path)
        return cls.of(model.inputs), cls.of(model.outputs)

    def open(self, path):
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        self.check_all((self.of(model.inputs), self.of(model.outputs)))
        if self.largest:
            shapes = {}
            for one in model.inputs:
                shapes[one.get_any_name()] = shape = one.get_partial_shape()
                shape[0] = self.largest
            model.reshape(shapes)
        properties = {}
        if self.parameters.get("HINT_BF16", "").lower() == "yes":
            properties["INFERENCE_PRECISION_HINT"] = "bf16"
        for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "PERFORMANCE_HINT"):
            if self.parameters.get(name):
                properties[name] = self.parameters[name]
        self.padding = self.parameters.get("ENABLE_BATCH_PADDING", "").lower() == "yes"
        self.compiled = core.compile_model(model, "CPU", properties)
        self.wanted = [(io["name"], self.compiled.output(io["name"])) for io in self.outputs]

    @staticmethod
    def of(found):
        made = {}
        for one in found:
            shape = one.get_partial_shape()
            dims = None
            if not shape.rank.is_dynamic:
                dims = [d.get_length() if d.is_static else -1 for d in shape]
            kind = one.get_element_type().get_type_name()
            made[one.get_any_name()] = (DTYPES.get(kind, kind), dims)
        return made

    def call(self, feeds):
        size = next(iter(feeds.values())).shape[0] if self.largest else 0
        short = self.largest - size if self.largest else 0
        if short:
            if not self.padding:
                raise ValueError(
                    f"expected requests with batch size '{self.largest}', got '{size}'... this "
                    "error can be avoided by setting 'ENABLE_BATCH_PADDING' parameter in model "
                    "configuration to 'YES' at a performance cost."
                )
            feeds = {
                name: np.concatenate([a, np.zeros((short, *a.shape[1:]), a.dtype)])
                for name, a in feeds.items()
            }
        made = self.compiled(feeds)
        answers = {name: np.array(made[port]) for name, port in self.wanted}
        return {name: a[:size] for name, a in answers.items()} if short else answers
