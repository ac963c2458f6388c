# ruff: noqa: TID253, BLE001  (copied into packages, and only ever run inside Triton)
"""Serves a model in Triton's Python backend with the very runner that it was measured with.

Everything it needs but the framework itself lies beside it: ``artefact/`` (the model),
``carried/`` (the runner's code) and ``serve.json`` (what to open, and how). The packages that must
be installed are in ``requirements.txt``. Python 3.11 or newer.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What Triton's Python backend looks for."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.batched = config.get("max_batch_size", 0) > 0
        folder = Path(args["model_repository"]) / str(args["model_version"])
        if not folder.is_dir():
            folder = Path(__file__).resolve().parent
        serve = json.loads((folder / "serve.json").read_text(encoding="utf-8"))
        sys.path.insert(0, str(folder / "carried"))
        os.environ.update(serve["environment"])

        from navigator_lab.types.codec import decode
        from navigator_lab.types.outcome import Product
        from navigator_lab.types.plugin import Opening, Plain, options_of
        from navigator_lab.types.signature import Signature
        from navigator_lab.types.target import Device, Target

        target = Target.parse(serve["target"])
        if args.get("model_instance_kind") == "GPU":
            device = Device("cuda", int(args.get("model_instance_device_id") or 0))
            target = dataclasses.replace(target, device=device)
        signature = decode(Signature, serve["signature"])
        module = importlib.import_module(serve["runner"]["module"])
        runner = getattr(module, serve["runner"]["name"])
        options = None
        if runner.action.options is not None:
            given = serve["options"]
            options = decode(runner.action.options, given) if given else None
            options = options_of(runner.action.options, options)
        opening = Opening(target, signature, options, threads=serve["threads"])
        artefact = Product("", folder / "artefact", serve["value"])
        self.stack = contextlib.ExitStack()
        running = self.stack.enter_context(runner.action.fn(artefact, opening))
        self.running = running if hasattr(running, "run") else Plain(running)
        self.inputs = signature.inputs
        self.outputs = signature.outputs

    def execute(self, requests):
        """Requests of one execution that fit together are computed as one batch."""
        responses = [None] * len(requests)
        groups = {}
        for i, request in enumerate(requests):
            try:
                feeds = {s.name: self._given(request, s) for s in self.inputs}
            except Exception as error:  # a bad request must not take the others with it
                responses[i] = _refusal(error)
                continue
            key = tuple(a.shape[1:] for a in feeds.values()) if self.batched else i
            groups.setdefault(key, []).append((i, feeds))
        for members in groups.values():
            try:
                answers = self._compute([feeds for _, feeds in members])
            except Exception as error:  # whatever the model raises is the client's to read
                for i, _ in members:
                    responses[i] = _refusal(error)
                continue
            for (i, _), outputs in zip(members, answers, strict=True):
                tensors = [self._made(outputs[s.name], s) for s in self.outputs]
                responses[i] = pb_utils.InferenceResponse(tensors)
        return responses

    def finalize(self):
        stack = getattr(self, "stack", None)
        if stack is not None:
            stack.close()

    def _given(self, request, spec):
        tensor = pb_utils.get_input_tensor_by_name(request, spec.name)
        if tensor is None:
            raise ValueError(f"input {spec.name!r} is missing")
        array = tensor.as_numpy()
        if len(spec.shape) == 0 or (self.batched and len(spec.shape) == 1):
            # Triton has no empty shape: these travel with an axis of one.
            array = array.reshape(array.shape[: len(spec.shape)])
        if array.dtype == object:  # text arrives as bytes
            texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
            kind = str if spec.dtype.startswith("<U") else object
            array = np.array(texts, kind).reshape(array.shape)
        return array

    def _compute(self, many):
        running = self.running
        if len(many) == 1:
            return [running.get(running.run(running.put(many[0])))]
        sizes = [next(iter(feeds.values())).shape[0] for feeds in many]
        together = {name: np.concatenate([feeds[name] for feeds in many]) for name in many[0]}
        outputs = running.get(running.run(running.put(together)))
        cuts = np.cumsum(sizes)[:-1]
        parts = {name: np.split(np.asarray(array), cuts) for name, array in outputs.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(many))]

    def _made(self, array, spec):
        # A copy, as runners may write the next answer into the same memory.
        array = np.array(array, order="C")
        if array.dtype.kind == "U":
            array = np.array([v.encode() for v in array.ravel()], object).reshape(array.shape)
        if array.ndim == 0:
            array = array.reshape(1)
        elif self.batched and array.ndim == 1:
            array = array.reshape(-1, 1)
        return pb_utils.Tensor(spec.name, array)


def _refusal(error):
    text = f"{type(error).__name__}: {error}"
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(text))
