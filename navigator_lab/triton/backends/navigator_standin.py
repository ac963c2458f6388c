# ruff: noqa: TID253, BLE001  (only ever run inside Triton's Python stub)
"""What the stand-in backends share: the checks at load, batching, and the way back."""

import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils

TYPES = {
    "TYPE_BOOL": "bool",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
    "TYPE_BF16": "bfloat16",
    "TYPE_STRING": "object",
    **{f"TYPE_{k}{n}": f"{k.lower()}{n}" for k in ("INT", "UINT") for n in (8, 16, 32, 64)},
}


class Standin:
    """A Python-based backend; a subclass opens the file and calls it.

    ``open(path)`` opens it and checks it; ``call(feeds)`` gives outputs by name. Runtimes are
    imported there and not before.
    """

    FILENAME = ""
    CONVERTS = False

    @classmethod
    def auto_complete_config(cls, config):
        """Inputs and outputs that are missing are taken from the file, as the C++ backends do.

        What is there is checked in ``initialize``: this runs in a process of its own, in which
        every import would be paid for twice.
        """
        said = config.as_dict()
        if said.get("input") and said.get("output"):
            return config
        with open("/proc/self/cmdline") as file:
            found = cls.ports(file.read().split("\0")[1])
        if found is None or any(dims is None for one in found for _, dims in one.values()):
            return config
        largest = said.get("max_batch_size", 0)
        if not largest and all(dims[:1] == [-1] for one in found for _, dims in one.values()):
            largest = 4  # the server's default
            config.set_max_batch_size(largest)
            config.set_dynamic_batching()
        names = {dtype: name for name, dtype in TYPES.items()}
        for one, add in zip(found, (config.add_input, config.add_output), strict=True):
            for name, (dtype, dims) in one.items():
                rest = dims[1:] if largest else dims
                add({"name": name, "data_type": names[dtype], "dims": rest or [1]})
        return config

    @classmethod
    def ports(cls, path):
        """``(inputs, outputs)`` of a file, each name -> (dtype, dims); None: it doesn't say."""
        return

    def initialize(self, args):
        self.config = config = json.loads(args["model_config"])
        self.name = config["name"]
        self.largest = config.get("max_batch_size", 0)
        self.parameters = (
            {key: value.get("string_value", "") for key, value in config["parameters"].items()}
            if config.get("parameters")
            else {}
        )
        self.inputs = config["input"]
        self.outputs = config["output"]
        if args.get("model_instance_kind") == "GPU":
            self.refuse("this stand-in runs on the CPU only; instance_group asks for a GPU")
        filename = config.get("default_model_filename") or self.FILENAME
        path = os.path.join(args["model_repository"], str(args["model_version"]), filename)
        if not os.path.exists(path):
            self.refuse(f"unable to find '{path}'")
        self.open(path)

    def check_all(self, found):
        """What the C++ loaders compare: names, types and shapes."""
        self.check("input", self.inputs, found[0])
        self.check("output", self.outputs, found[1])

    def refuse(self, why):
        raise pb_utils.TritonModelException(f"unable to load model '{self.name}', {why}")

    def check(self, kind, said, found):
        for io in said:
            name = io["name"]
            if name not in found:
                self.refuse(
                    f"unexpected inference {kind} '{name}', allowed {kind}s are: "
                    + ", ".join(found)
                )
            dtype, dims = found[name]
            asked = TYPES.get(io["data_type"])
            if dtype and asked != dtype and not self.CONVERTS:
                self.refuse(
                    f"configuration expects datatype {io['data_type']} for {kind} '{name}', "
                    f"model provides {dtype}"
                )
            if dims is not None:
                self.check_dims(kind, io, dims)
        if kind == "input":
            missing = [name for name in found if name not in {io["name"] for io in said}]
            if missing:
                self.refuse(
                    f"configuration expects {len(said)} inputs, model provides {len(found)}: "
                    + ", ".join(missing)
                )

    def check_dims(self, kind, io, dims):
        name = io["name"]
        asked = io["reshape"].get("shape", []) if io.get("reshape") is not None else io["dims"]
        asked = [int(d) for d in asked]
        if not dims:
            if any(d != 1 for d in asked) or self.largest:
                self.refuse(
                    f"scalar tensor '{name}', should only provide 1 in the model configuration "
                    f"when the model doesn't support batching. Provided: {asked}"
                )
            return
        if self.largest:
            if dims[0] != -1:
                self.refuse(
                    f"tensor '{name}': for the model to support batching the shape should have at "
                    "least 1 dimension and the first dimension must be -1; but shape expected by "
                    f"the model is {list(dims)}"
                )
            asked = [-1, *asked]
        exact = kind == "output"
        fits = len(asked) == len(dims) and all(
            a == d for a, d in zip(asked, dims, strict=True) if exact or d != -1
        )
        if not fits:
            self.refuse(
                f"tensor '{name}': the model expects {len(dims)} dimensions (shape {list(dims)}) "
                f"but the model configuration specifies {len(asked)} dimensions (shape {asked})"
            )

    def execute(self, requests):
        """Requests whose shapes agree are computed together, as the C++ backends do."""
        responses = [None] * len(requests)
        groups = {}
        for i, request in enumerate(requests):
            feeds = {}
            for io in self.inputs:
                tensor = pb_utils.get_input_tensor_by_name(request, io["name"])
                if tensor is not None:
                    feeds[io["name"]] = text(tensor.as_numpy())
            key = i
            if self.largest:
                key = tuple((name, array.shape[1:]) for name, array in feeds.items())
            groups.setdefault(key, []).append((i, feeds))
        for members in groups.values():
            try:
                answers = self.together([feeds for _, feeds in members])
            except Exception as error:  # whatever the runtime raises is the client's to read
                said = pb_utils.TritonError(f"{type(error).__name__}: {error}")
                for i, _ in members:
                    responses[i] = pb_utils.InferenceResponse(output_tensors=[], error=said)
                continue
            for (i, _), outputs in zip(members, answers, strict=True):
                responses[i] = pb_utils.InferenceResponse(
                    [self.made(io, outputs[io["name"]]) for io in self.outputs]
                )
        return responses

    def together(self, many):
        if len(many) == 1:
            return [self.call(many[0])]
        sizes = [next(iter(feeds.values())).shape[0] for feeds in many]
        outputs = self.call({k: np.concatenate([f[k] for f in many]) for k in many[0]})
        cuts = np.cumsum(sizes)[:-1]
        parts = {name: np.split(array, cuts) for name, array in outputs.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(many))]

    def made(self, io, array):
        array = np.array(array, order="C")
        if self.CONVERTS and array.dtype.name != TYPES[io["data_type"]]:
            array = array.astype(TYPES[io["data_type"]])
        if array.dtype.kind == "U":
            array = array.astype(object)
        if array.ndim == 0:
            array = array.reshape(1)
        return pb_utils.Tensor(io["name"], array)


def text(array):
    """Text as text: it arrives as bytes."""
    if array.dtype != object:
        return array
    made = np.empty(array.shape, object)
    made.ravel()[:] = [v.decode() if isinstance(v, bytes) else v for v in array.ravel()]
    return made
