"""Stands in for Triton's onnxruntime backend, with ONNX Runtime's Python package, on the CPU."""

from navigator_standin import Standin

DTYPES = {"float": "float32", "double": "float64", "string": "object"}


class TritonPythonModel(Standin):
    """What Triton's Python backend looks for."""

    FILENAME = "model.onnx"

    @classmethod
    def ports(cls, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return cls.of(onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"]))

    @staticmethod
    def of(session):
        def ports(found):
            made = {}
            for one in found:
                kind = one.type.removeprefix("tensor(").removesuffix(")")
                dims = [d if isinstance(d, int) else -1 for d in one.shape]
                made[one.name] = (DTYPES.get(kind, kind), dims)
            return made

        return ports(session.get_inputs()), ports(session.get_outputs())

    def open(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(self.parameters.get("intra_op_thread_count") or 0)
        options.inter_op_num_threads = int(self.parameters.get("inter_op_thread_count") or 0)
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        self.check_all(self.of(self.session))
        self.scalars = {one.name for one in self.session.get_inputs() if not one.shape}

    def call(self, feeds):
        feeds = {k: v.reshape(()) if k in self.scalars else v for k, v in feeds.items()}
        names = [io["name"] for io in self.outputs]
        return dict(zip(names, self.session.run(names, feeds), strict=True))
