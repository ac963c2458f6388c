# ruff: noqa: TID253, S301, BLE001  (copied into models, and only ever run inside Triton)
"""Serves one Python function: a step before or after a model. Needs numpy and cloudpickle only."""

import json
import os
import pickle

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Triton's Python backend asks for this name."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        place = os.path.join(args["model_repository"], str(args["model_version"]))
        with open(os.path.join(place, "function.pkl"), "rb") as file:
            self.function = pickle.load(file)
        self.inputs = [io["name"] for io in config["input"]]
        self.outputs = [
            (io["name"], pb_utils.triton_string_to_numpy(io["data_type"]))
            for io in config["output"]
        ]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feeds = {}
        for name in self.inputs:
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            if tensor is not None:  # an optional one may be left out
                feeds[name] = text(tensor.as_numpy())
        try:
            made = self.function(**feeds)
            return pb_utils.InferenceResponse(self.tensors(made))
        except Exception as error:  # whatever the user's function raises is the client's to read
            said = pb_utils.TritonError(f"{type(error).__name__}: {error}")
            return pb_utils.InferenceResponse(output_tensors=[], error=said)

    def tensors(self, made):
        """By name from a dict, else in the order of the configuration; cast to its types."""
        if not isinstance(made, dict):
            many = made if isinstance(made, (tuple, list)) else [made]
            if len(many) != len(self.outputs):
                raise ValueError(f"gives {len(many)} outputs, not {len(self.outputs)}")
            made = {name: one for (name, _), one in zip(self.outputs, many, strict=True)}
        missing = [name for name, _ in self.outputs if name not in made]
        if missing:
            raise ValueError(f"gives no output {missing[0]!r}, but {', '.join(made)}")
        return [
            pb_utils.Tensor(name, np.ascontiguousarray(np.asarray(made[name]).astype(dtype)))
            for name, dtype in self.outputs
        ]


def text(array):
    """Text as text: it arrives as bytes."""
    if array.dtype != object:
        return array
    made = np.empty(array.shape, object)
    made.ravel()[:] = [v.decode() if isinstance(v, bytes) else v for v in array.ravel()]
    return made
