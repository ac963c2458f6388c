# ruff: noqa: T201  (standard output is how it talks to who started it)
"""The process that sends requests to a server: a replay, or its part of a load.

``python -m navigator_lab.triton.sender JOB``: a JSON file, made by `navigator_lab.triton.sending`.
It is no part of anybody's kernel: gevent (of ``tritonclient.http``), gRPC's threads and an event
loop live and die here. It ends with who started it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .pressing import press, text_id
from .wire import decode, encode

if TYPE_CHECKING:
    import numpy as np

PR_SET_PDEATHSIG = 1


def main(path: Path) -> None:
    """Do a job; what comes of it lies beside the job's file."""
    job = json.loads(path.read_text(encoding="utf-8"))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job["parent"]:
        return  # it died while we were being started
    if job["does"] == "replay":
        for protocol in job["protocols"]:
            replay(job, protocol, path.parent)
    else:
        press(job, requests(job), path.parent)


def blobs(job: dict[str, Any]) -> list[dict[str, tuple[str, list[int], bytes]]]:
    """The requests of a job: name -> (type, shape, raw bytes)."""
    data = Path(job["blob"]).read_bytes()
    return [
        {t["name"]: (t["datatype"], t["shape"], data[t["at"] : t["at"] + t["size"]]) for t in one}
        for one in job["requests"]
    ]


def requests(job: dict[str, Any]) -> list[bytes]:
    """Each request as the bytes that gRPC sends: made once, not at every call."""
    from tritonclient.grpc import service_pb2

    made = []
    for one in blobs(job):
        request = service_pb2.ModelInferRequest(
            model_name=job["model"], model_version=str(job["version"] or "")
        )
        for name, (datatype, shape, data) in one.items():
            request.inputs.add(name=name, datatype=datatype, shape=shape)
            request.raw_input_contents.append(data)
        made.append(request.SerializeToString())
    return made


def replay(job: dict[str, Any], protocol: str, folder: Path) -> None:
    """Every request once, through ``tritonclient``; answers to ``answers-<protocol>``."""
    import importlib

    module: Any = importlib.import_module(f"tritonclient.{protocol}")
    from tritonclient.utils import InferenceServerException

    timeout = job["timeout_s"]
    if protocol == "http":
        more: dict[str, Any] = {"connection_timeout": timeout, "network_timeout": timeout,
                                "ssl": job.get("secure", False)}  # fmt: skip
        per_call: dict[str, Any] = {}
    else:
        more, per_call = {}, {"client_timeout": timeout}
    client = module.InferenceServerClient(job[protocol], **more)
    answers, out, at = [], (folder / f"answers-{protocol}.bin").open("wb"), 0
    problem, started = "", time.perf_counter()
    with out:
        for index, one in enumerate(blobs(job)):
            inputs = [_input(module, name, *tensor) for name, tensor in one.items()]
            if job.get("sequence"):
                who = text_id(index + 1) if job["sequence"] == "text" else index + 1
                per_call |= {"sequence_id": who, "sequence_start": True, "sequence_end": True}
            try:
                result = client.infer(
                    job["model"], inputs, model_version=str(job["version"] or ""), **per_call
                )
            except (InferenceServerException, OSError) as error:
                said = error.message() if hasattr(error, "message") else str(error)
                problem = f"request {index + 1} of {len(job['requests'])}: {said}"
                break
            told = []
            for name, datatype, shape, data in _outputs(protocol, result):
                out.write(data)
                told.append({"name": name, "datatype": datatype, "shape": shape, "at": at,
                             "size": len(data)})  # fmt: skip
                at += len(data)
            answers.append(told)
            print(json.dumps({"said": protocol, "done": index + 1}), flush=True)
    made = {"answers": answers, "problem": problem, "seconds": time.perf_counter() - started}
    (folder / f"answers-{protocol}.json").write_text(json.dumps(made), encoding="utf-8")


def _input(module: Any, name: str, datatype: str, shape: list[int], data: bytes) -> Any:
    import numpy as np

    made = module.InferInput(name, shape, datatype)
    array = decode(datatype, shape, data)
    made.set_data_from_numpy(array.astype(np.float32) if datatype == "BF16" else array)
    return made


def _outputs(protocol: str, result: Any) -> list[tuple[str, str, list[int], bytes]]:
    said = result.get_response()
    if protocol == "grpc":
        return [
            (o.name, o.datatype, list(o.shape), data)
            for o, data in zip(said.outputs, said.raw_output_contents, strict=True)
        ]
    made = []
    for o in said["outputs"]:
        array: np.ndarray = result.as_numpy(o["name"])
        if o["datatype"] == "BF16":
            import ml_dtypes

            array = array.astype(ml_dtypes.bfloat16)
        made.append((o["name"], o["datatype"], o["shape"], encode(array)[2]))
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
