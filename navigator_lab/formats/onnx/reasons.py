"""What the errors of ONNX tools mean, and what helps. Text in, text out: no tool is imported."""

from __future__ import annotations

import re

# In order: the first pattern that is found in the error's text wins.
KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"data-dependent|DataDependent|GuardOnDataDependent|UserError.*(cond|dynamic control flow)",
        "forward branches on the values of its inputs: use torch.cond or torch.where there, or "
        "stay with torch:*@eager, or script it (format torchscript-script)",
    ),
    (
        r"marked .* as dynamic but|Constraints violated|specialized (it )?to",
        "the model computes with that size as a number, so the axis can't vary: read it from "
        "x.shape inside forward, or declare the model without that axis",
    ),
    (
        r"Unsupported (opset|ONNX opset)|opset.*(not supported|only guaranteed|unsupported)"
        r"|No Op registered for|is under development and support for this is limited",
        "this ONNX Runtime is older than the file's operator set: export with a lower opset "
        "option, or upgrade onnxruntime",
    ),
    (
        r"Could not find an implementation for|NOT_IMPLEMENTED|Provider type for .* is not set",
        "this runtime has no kernel for that operator in that precision on that device: use "
        "another precision, device or runner (bf16 needs a GPU or OpenVINO)",
    ),
    (
        r"Training mode is not supported",
        "something in the model stays in training mode: drop training=True (or self.training) "
        "from forward and call eval()",
    ),
    (
        r"does not support f64",
        "OpenVINO's CPU kernels have no float64 there: bring the model to float32 first",
    ),
    (
        r"OpConversionFailure|wasn't fully converted|No conversion rule",
        "OpenVINO has no translation for one of the operators: stay with ONNX Runtime",
    ),
    (
        r"is not a registered function/op|No opset import for domain|Custom op|custom ops",
        "the graph uses operators that are not standard: the library that defines them is needed",
    ),
    (
        r"No ONNX function found|UnsupportedOperatorError|Missing (decomp|ONNX function)"
        r"|DispatchError|ConversionError",
        "the exporter has no translation for that torch operator: try the other exporter "
        "(option exporter), or replace the operator in the model",
    ),
    (
        r"SymbolicValueError|does NOT support exporting|SymbolicONNX|OnnxExporterError",
        "the exporter has no ONNX counterpart for a part of the graph: rewrite that part, or run "
        "the model as it is (torchscript, torch) through Triton",
    ),
    (
        r"exceeds? (maximum )?protobuf|2GB|2 ?GiB|larger than 2|EncodeError|Failed to serialize",
        "a protobuf holds at most 2 GiB: keep the weights as external data beside the file",
    ),
    (
        r"[Ee]xternal data|external_data|ExternalData",
        "keep the external data file beside the .onnx file, under the name it was saved with",
    ),
    (
        r"(Quantiz|quantiz|calib).*(LSTM|GRU|RNN|Loop|Scan|If)\b|(LSTM|GRU|RNN|Loop|Scan)\b.*quantiz",
        "recurrent graphs are not quantised well: use int8-dynamic, fp16, or leave it in fp32",
    ),
    (
        r"topologically sorted|is not valid ONNX",
        "the tool that built the graph got it wrong: leave the model in the precision it had, or "
        "use another format",
    ),
    (
        r"Exception during initialization|TypeInferenceError|ShapeInferenceError",
        "ONNX Runtime can't open the graph: try its option optimization='basic' or 'disabled', or "
        "another precision or runner",
    ),
    (
        r"TorchExportError|torch\.export\.export",
        "torch.export can't capture this model: try option exporter='torchscript', which traces",
    ),
)


# Where in OpenVINO's own C++ a check failed says nothing to a user; nor do its headings.
_NOISE = re.compile(
    r"^(Check '.*' failed at .*|Exception from .*|FrontEnd API failed with.*|Summary:|"
    r"Model wasn't fully converted.*|While validating .*|-- Conversion is failed for: .*|"
    r"-- \S+ with a message:)$"
)


def summary(error: BaseException, length: int = 300) -> str:
    """What a converter's long message says, on one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    useful = [line.removeprefix("-- ") for line in lines if line and not _NOISE.match(line)]
    text = "; ".join(useful) or " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


def explain(error: BaseException) -> str:
    """The remedy for an error of an exporter, converter or runtime, or ""."""
    seen: BaseException | None = error
    texts = []
    while seen is not None and len(texts) < 8:
        texts.append(f"{type(seen).__name__}: {seen}")
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(texts)
    return next((remedy for pattern, remedy in KNOWN if re.search(pattern, text)), "")
