"""TF-TRT: a SavedModel in which TensorRT computes what it can, TensorFlow the rest.

It ended with TensorFlow 2.17, built against TensorRT 8.6: from 2.18 on the converter only raises. So
it wants an environment of its own, and there is no build of it without NVIDIA's libraries. What lives
is SavedModel, ONNX, TensorRT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError
from navigator_lab.types import samples as stored
from navigator_lab.types.plugin import At, Format, edge, option
from navigator_lab.types.signature import Signature
from navigator_lab.types.target import Precision

from . import _tensorflow as shared
from .savedmodel import FORMAT as SAVEDMODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from navigator_lab.types.outcome import Product

ENVIRONMENT = "tf-trt"
NEEDS = ("tensorflow<2.18",)
FORMAT = Format(
    "tf-trt",
    shared.FOLDER,
    "SavedModel with TensorRT inside",
    family="TensorFlow",
    unserved=shared.UNSERVED,
)


@dataclass(frozen=True, slots=True)
class TrtOptions:
    """How TensorRT takes a SavedModel's parts."""

    minimum_segment_size: int = option(3, "parts of fewer operators stay TensorFlow's")
    workspace_bytes: int = option(1 << 30, "memory that TensorRT may try kernels in", unit="bytes")


@edge(
    SAVEDMODEL.name,
    FORMAT.name,
    "fp32",
    ("fp32", "fp16"),
    ("fp32", "int8"),
    environment=ENVIRONMENT,
    options=TrtOptions,
    hardware=True,
    **{**shared.EDGE, "needs": NEEDS, "timeout_s": 3600},
)
def from_savedmodel(at: At, model: Product, samples: Product) -> None:
    """Let TensorRT take what it can of the SavedModel, built for the samples' sizes."""
    converter = loaded()
    feeds = stored.read(samples.path)
    signature = samples.read(Signature)
    keys = shared.keys(model.path)

    def each() -> Iterator[dict[str, Any]]:
        for feed in feeds:
            yield {keys.get(s.name, s.name): feed[s.name] for s in signature.inputs}

    name = shared.chosen(model.path)
    mode = {Precision.FP32: "FP32", Precision.FP16: "FP16", Precision.INT8: "INT8"}
    made = converter(
        input_saved_model_dir=str(model.path / shared.FOLDER),
        input_saved_model_signature_key=name,
        precision_mode=mode[at.about.precision],
        minimum_segment_size=at.options.minimum_segment_size,
        max_workspace_size_bytes=at.options.workspace_bytes,
        use_calibration=at.about.precision == Precision.INT8,
    )
    at.say("converting")
    calibrated = at.about.precision == Precision.INT8
    made.convert(calibration_input_fn=each if calibrated else None)
    at.say("building engines")
    made.build(input_fn=each)
    made.save(str(at.out / shared.FOLDER))
    shared.choose(at.out, name, keys)


def loaded() -> Any:
    """The converter, if TensorRT's libraries are there.

    Raises:
        NavigatorError: which they are, and why they aren't.
    """
    from tensorflow.compiler.tf2tensorrt import _pywrap_py_utils as wrapped
    from tensorflow.python.compiler.tensorrt import trt_convert

    linked = wrapped.get_linked_tensorrt_version()
    if not any(linked):
        raise NavigatorError(
            "this TensorFlow was built without TF-TRT",
            "pip install 'tensorflow==2.17.1' (not -cpu)",
        )
    built = ".".join(map(str, linked))
    # Asking for the version that is loaded would end the process where there is none.
    if not wrapped.is_tensorrt_enabled():
        raise NavigatorError(
            f"TensorRT's libraries are not there: TF-TRT was built against {built}, and "
            f"libnvinfer.so.{linked[0]} can't be loaded",
            f"install TensorRT {built} from NVIDIA's own index (pip install tensorrt=={built} "
            "--extra-index-url https://pypi.nvidia.com), and have its folder on LD_LIBRARY_PATH",
        )
    return trt_convert.TrtGraphConverterV2
