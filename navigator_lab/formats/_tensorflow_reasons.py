"""What TensorFlow's errors mean, in few words, and what to do about those that are known."""

from __future__ import annotations

import re

_PLACE = re.compile(r"^(<unknown>:0: )?((error|note): )?(loc\(.*\): )?((error|note): )?")


def said(error: BaseException, length: int = 400) -> str:
    """The first lines of a long message of TensorFlow's, on one line, without places in its code."""
    lines = [_PLACE.sub("", line.strip()) for line in str(error).splitlines()]
    noise = ("Detected at node", "Original stack trace", "Traceback", "File ", "[[{{", "<unknown>")
    useful = [x for x in dict.fromkeys(lines) if x not in ("", "called from")]
    useful = [line for line in useful if not line.startswith(noise)]
    text = "; ".join(useful[:4]) or " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


# In order: the first text that is found in the error's wins.
KNOWN = (
    ("requires element_shape to be static",
     "a loop whose sizes vary has no form in TFLite: serve the SavedModel, ONNX or OpenVINO"),
    ("Flex", "TFLite has no such operator of its own: serve the SavedModel or ONNX"),
    ("neither a custom op nor a flex op",
     "TFLite has no such operator of its own: serve the SavedModel or ONNX"),
    ("is not supported", "an operator has no counterpart there: serve the SavedModel itself"),
    ("could not be deserialized",
     "its classes must give their arguments: write get_config(), or give the SavedModel that "
     "model.export(folder) makes"),
    ("Unknown layer",
     "the file doesn't carry the code of its own classes: load it and give the model itself, or "
     "give the SavedModel that model.export(folder) makes"),
    ("Could not locate",
     "the file doesn't carry the code of its own classes: load it and give the model itself, or "
     "give the SavedModel that model.export(folder) makes"),
    ("Detected unsupported operations when trying to compile graph",
     "XLA can't compile this model: use option jit_compile=False"),
)  # fmt: skip


def explain(error: BaseException) -> str:
    """The remedy for an error of TensorFlow's that is known, or ""."""
    seen: BaseException | None = error
    texts = []
    while seen is not None and len(texts) < 8:
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(texts)
    return next((remedy for part, remedy in KNOWN if part in text), "")
