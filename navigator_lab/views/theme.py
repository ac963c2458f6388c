"""How plots look: colours, shapes and words of the design, and text that is never markup.

Families have colours and precisions have shapes; states keep to chips and cells. Plain data: the
same tables serve plotly figures, the dashboard and HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

# Colours of plots by family, for a light and a dark ground: at least 3:1 on both.
FAMILIES: dict[str, tuple[str, str]] = {
    "PyTorch": ("#3a3a3a", "#dcdcdc"),
    "AOTInductor": ("#0072b2", "#5aaeea"),
    "ONNX Runtime": ("#b37700", "#e69f00"),
    "TensorRT": ("#008a64", "#2fc498"),
    "Torch-TensorRT": ("#2d87bb", "#9ad6f7"),
    "OpenVINO": ("#bb5f92", "#e39bc5"),
    "TensorFlow": ("#c95500", "#f58a4b"),
    "JAX": ("#7a4fa3", "#b58ae0"),
    "Python": ("#6f6f6f", "#a8a8a8"),
}
_MORE = (("#5b6fb5", "#9fb0ee"), ("#7d6b3f", "#cdbb8c"), ("#a0485a", "#e598a8"))  # plug-ins'
_OF_RUNNER = {
    "eager": "PyTorch", "eager-graphs": "PyTorch", "compile": "PyTorch", "compile-graphs": "PyTorch",
    "jit": "PyTorch", "export": "PyTorch", "aoti": "AOTInductor", "aoti-cuda": "AOTInductor",
    "ort": "ONNX Runtime", "ort-trt": "ONNX Runtime", "ort-ov": "ONNX Runtime", "ov": "OpenVINO",
    "trt": "TensorRT", "trt-rtx": "TensorRT", "torch-trt": "Torch-TensorRT",
    "keras": "TensorFlow", "tf-function": "TensorFlow", "savedmodel": "TensorFlow",
    "graphdef": "TensorFlow", "tf-trt": "TensorFlow", "tf": "TensorFlow",
    "tflite": "TensorFlow Lite", "jax": "JAX", "stablehlo": "JAX", "python": "Python",
}  # fmt: skip

# plotly's names of the shapes, and the signs that stand for them in text.
SHAPES: dict[str, tuple[str, str]] = {
    "fp32": ("circle", "●"),
    "tf32": ("hexagon", "⬢"),
    "fp16": ("square", "■"),
    "bf16": ("diamond", "◆"),
    "int8": ("triangle-up", "▲"),
    "int8-dynamic": ("triangle-right", "▶"),
    "fp8": ("triangle-down", "▼"),
    "int8-weights": ("star", "★"),
    "int4-weights": ("pentagon", "⬟"),
}


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one ground."""

    text: str
    muted: str
    ground: str
    soft: str
    line: str
    done: str
    running: str
    failed: str
    wrong: str  # out of tolerance
    stale: str
    low: str  # ends of the diverging scale of error ÷ tolerance
    middle: str
    high: str
    dark: bool


LIGHT = Theme(
    "#212121", "#595959", "#ffffff", "#f6f6f6", "#e0e0e0", "#007a59", "#00629b", "#b04a00",
    "#97406f", "#7d5700", "#7db4d8", "#f7f7f7", "#f0a66b", False,
)  # fmt: skip
DARK = Theme(
    "#e3e3e3", "#b3b3b3", "#212121", "#2a2a2a", "#424242", "#4fd0a9", "#7cc7f2", "#ff9d66",
    "#ecaacf", "#f0c04a", "#1d5f8a", "#3a3a3a", "#944a0c", True,
)  # fmt: skip

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'SFMono-Regular', Menlo, Consolas, monospace"

AXES: dict[str, tuple[str, str, float]] = {  # name: words, unit, value shown per value stored
    "p50_ms": ("latency p50", "ms per call", 1.0),
    "p90_ms": ("latency p90", "ms per call", 1.0),
    "p95_ms": ("latency p95", "ms per call", 1.0),
    "p99_ms": ("latency p99", "ms per call", 1.0),
    "memory_bytes": ("peak memory", "MB", 1e-6),
    "size_bytes": ("size of the model", "MB", 1e-6),
    "load_ms": ("load time", "ms", 1.0),
    "error": ("worst error ÷ tolerance", "×", 1.0),
    "throughput": ("throughput", "samples/s", 1.0),
}


def theme(dark: bool) -> Theme:
    """The colours of a ground."""
    return DARK if dark else LIGHT


def family(format: str, runner: str) -> str:
    """Whose colour a target has: its runtime's; of a plug-in's runner, the format's name."""
    return _OF_RUNNER.get(runner) or format


def colours(families: Iterable[str], dark: bool = False) -> dict[str, str]:
    """A colour by family; families of plug-ins share a few of their own, in order."""
    made, at = {}, 1 if dark else 0
    for name in dict.fromkeys(families):
        if name in FAMILIES:
            made[name] = FAMILIES[name][at]
        else:
            strange = sum(1 for other in made if other not in FAMILIES)
            made[name] = _MORE[strange % len(_MORE)][at]
    return made


def faint(colour: str) -> str:
    """A colour that stays behind what it belongs to."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.45)"


def shape(precision: str) -> str:
    """plotly's name of a precision's shape."""
    return SHAPES.get(precision, ("star", "★"))[0]


def safe(text: Any) -> str:
    """Text as plotly shows it literally: its texts read tags, entities and TeX."""
    plain = " ".join(str(text).split())
    return escape(plain, quote=False).replace("$", "&#36;").replace("%{", "%&#123;")


def short(text: str, width: int = 36) -> str:
    """A long name without its middle; of a target, ``:precision@runner`` always shows."""
    if len(text) <= width:
        return text
    at = text.rfind(":", 0, text.rfind("@") + 1 or None)
    tail = text[at:] if at > 0 and len(text) - at < width - 6 else text[-(width // 3) :]
    return f"{text[: width - 1 - len(tail)]}…{tail}"


def layout(theme: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    """What all figures share: quiet ground, no frame, one font."""
    return {
        "template": "none",
        "paper_bgcolor": theme.ground,
        "plot_bgcolor": theme.ground,
        "font": {"family": FONT, "size": 12, "color": theme.text},
        "title": {
            "text": safe(title), "font": {"size": 14}, "x": 0, "xref": "paper", "xanchor": "left",
            "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 12},
        },
        "hoverlabel": {
            "bgcolor": theme.soft, "bordercolor": theme.line, "align": "left",
            "font": {"family": FONT, "size": 12, "color": theme.text},
        },
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.text,
        },
        **more,
    }  # fmt: skip


def axis(theme: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    """An axis: light lines, small figures."""
    return {
        "title": {"text": title, "font": {"size": 11, "color": theme.muted}, "standoff": 8},
        "tickfont": {"size": 11, "color": theme.muted},
        "gridcolor": theme.line,
        "linecolor": theme.line,
        "zeroline": False,
        "automargin": True,
        **more,
    }


CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "showSendToCloud": False,  # nothing is sent to any host
    "responsive": True,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
