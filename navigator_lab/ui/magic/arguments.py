"""What can be typed after ``%navigator``: commands and their options, as one argparse tree."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ...errors import RequestError, unknown
from ...types.request import STAGES
from . import serving

OBJECTIVES = (  # `choose` takes these names, and a variable that holds a function on a row
    "throughput", "latency", "max_throughput", "min_latency", "max_throughput_and_min_latency",
    "max_throughput_with_latency_budget",
)  # fmt: skip
LATENCIES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
AXES = (*LATENCIES, "memory_bytes", "size_bytes", "load_ms", "error")


DRAWN = (
    "heatmap",
    "pareto",
    "latency",
    "parallel",
    "timeline",
    "surface",
    "graph",
    "drift",
    "roofline",
)


class Asked(Exception):
    """Help was asked for; carries its text."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong as an error of ours, and never ends the kernel."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(message, f"%{self.prog} -h shows what it takes")

    def print_help(self, file: Any = None) -> None:
        raise Asked(self.format_help())

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = "command" if action.dest == "command" else action.dest.replace("_", " ")
            raise unknown(what, value, action.choices)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in _list(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no batch sizes; as 1,8,32") from None


def parser() -> Parser:
    """The whole tree."""
    made = Parser("navigator", add_help=True, allow_abbrev=False, description=(
        "Explore what a model can be built as, how right and how quick that is, and package the "
        "best. Without a command: the dashboard of the current session."
    ))  # fmt: skip
    made.add_argument("-o", "--out", metavar="NAME", help="bind the result to this variable")
    made.add_argument(
        "--side",
        action="store_true",
        help="the dashboard beside the notebook, not in it; needs sidecar",
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def command(name: str, help: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        if name in DRAWN:
            one.add_argument("--dark", action="store_true", help="for a dark notebook")
        one.add_argument("-o", "--out", metavar="NAME", help="bind the result to this variable")
        return one

    one = command("open", "take in a model and samples; the current session from then on")
    one.add_argument("model", help="a variable, a file, or package.module:function")
    one.add_argument("--samples", required=True, help="a variable, or an .npz file")
    one.add_argument("--name", help="of the model")
    one.add_argument("--workspace", help="the folder that keeps all results")
    one.add_argument("--inputs", type=_list, metavar="A,B", help="names of the inputs")
    one.add_argument("--outputs", type=_list, metavar="A,B", help="names of the outputs")
    one.add_argument("--plugins", type=_list, default=[], metavar="A,B", help="files or modules")
    one.add_argument("--no-batch", action="store_true", help="the model has no batch axis")
    one.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel that has several; of a graph IN -> OUT"
    )
    one.add_argument("--environments", type=_list, metavar="A=ENV", help="where formats run")
    one.add_argument("--trust", action="store_true", help="open pickled files, which can run code")
    one = command("use", "make a session that a variable holds the current one")
    one.add_argument("session", help="the variable")
    one = command("targets", "every target there is, available or why not")
    _which(one)
    for stage in STAGES:
        one = command(stage, _STAGE_HELP[stage])
        if stage == "verify":
            one.add_argument("metric", nargs="?", help="a function: (outputs, reference) -> value")
        _which(one)
        _how(one)
    one = command("run", "several stages in the background: gives a job at once")
    one.add_argument("--until", choices=STAGES, default="profile", help="the last stage")
    one.add_argument("--metric", help="a function, for --until verify")
    _which(one)
    _how(one)
    one = command("package", "the chosen target, or another, as an entry of a Triton repository")
    one.add_argument("directory", help="the repository")
    one.add_argument("target", nargs="?", help="default: what was chosen last, else the best")
    one.add_argument("--name", help="of the model on the server")
    one.add_argument("--version", type=int, default=1)
    one.add_argument("--overwrite", action="store_true", help="replace a version that is there")
    serving.add(command)
    command("table", "the results, a row a target")
    command("heatmap", "errors as multiples of the tolerance, outputs by targets")
    one = command("pareto", "throughput against latency, and the front")
    one.add_argument("--latency", choices=AXES, default="p50_ms", help="the x axis")
    _limits(one)
    one = command("latency", "latency by batch size")
    one.add_argument("--latency", choices=LATENCIES, default="p50_ms")
    command("parallel", "parallel coordinates: drag along an axis to filter")
    command("timeline", "when each step ran, and what came from the store")
    one = command("surface", "one output under every tolerance")
    one.add_argument("target")
    one.add_argument("output", nargs="?", help="default: the worst")
    one = command("graph", "a target's graph by blocks: operators, bytes, FLOPs")
    one.add_argument("target")
    one.add_argument("--against", metavar="TARGET", help="tell what differs from this one")
    one.add_argument("--batch", type=int, default=1, help="that bytes and FLOPs are of")
    one.add_argument("--depth", type=int, metavar="N", help="levels of the model's modules")
    one = command("drift", "error layer by layer beside a reference, and where it starts")
    one.add_argument("target")
    one.add_argument("--against", metavar="TARGET", help="default: the same in fp32")
    one.add_argument("--samples", type=int, default=4, help="so many are run")
    one = command("roofline", "how near each target comes to what its device can do")
    one.add_argument("--device", default="", help="default: all that were profiled on")
    one = command("compare", "two to four targets: only what differs")
    one.add_argument("targets", nargs="+", metavar="TARGET")
    one.add_argument("--batch", type=int, help="where speed is compared")
    one = command("why", "what each step of a target did, and why")
    one.add_argument("target")
    one = command("log", "what the steps of a target printed")
    one.add_argument("target")
    one.add_argument("stage", nargs="?", help="default: of the step that failed, else the last")
    one = command("tolerance", "judge again by another tolerance; runs nothing")
    one.add_argument("--relative", type=float, help="share of the reference's value")
    one.add_argument("--absolute", type=float, help="in the output's own unit")
    one.add_argument("--only", metavar="NAME", help="for one precision or output")
    one.add_argument("--default", action="store_true", help="back to the defaults by precision")
    one = command("choose", "the best target under limits")
    one.add_argument("objective", nargs="?", default="throughput",
                     help="throughput, latency, … or a variable with a function on a row")  # fmt: skip
    one.add_argument("--batch", type=int, help="only at this batch size")
    _limits(one)
    command("status", "how far the job is")
    command("wait", "attach to the job again, until it is done")
    command("cancel", "end the job; finished steps are kept")
    one = command("save", "the run as one file, readable without frameworks")
    one.add_argument("file")
    one = command("load", "a saved run; the current session from then on")
    one.add_argument("file")
    one = command("attach", "a run of another kernel by its id, under way or finished")
    one.add_argument("id", help="what the dashboard and the snapshot of that run name")
    one.add_argument("--workspace", help="the folder that keeps all results")
    return made


_STAGE_HELP = {
    "export": "build the formats that come straight from the model",
    "convert": "build all formats and precisions",
    "correctness": "compare the answers of every target with the model's own",
    "profile": "measure latency and throughput",
    "verify": "ask your own metric; with %%, the cell's body defines it",
}


def _which(one: argparse.ArgumentParser) -> None:
    for name in ("formats", "precisions", "runners", "devices"):
        one.add_argument(f"--{name}", type=_list, metavar="A,B", help=f"only these {name}")
    one.add_argument("--targets", type=_list, metavar="A,B", help="exact targets instead")


def _how(one: argparse.ArgumentParser) -> None:
    one.add_argument("--batches", type=_sizes, metavar="1,8", help="batch sizes to time")
    one.add_argument("--max-batch", type=int, metavar="N", help="largest batch size to time")
    one.add_argument("--seconds", type=float, help="budget of one batch size of one target")
    one.add_argument("--timeout", type=float, dest="timeout_s", metavar="S", help="of one step")
    one.add_argument("--retry-failed", action="store_true", default=None,
                     help="try again what failed last time")  # fmt: skip


def _limits(one: argparse.ArgumentParser) -> None:
    for name, help in (
        ("p50-ms", "median latency"),
        ("p95-ms", "95th percentile"),
        ("p99-ms", "99th percentile"),
        ("memory-mb", "peak memory"),
        ("size-mb", "size of the model"),
        ("error", "worst error ÷ tolerance"),
    ):
        one.add_argument(f"--{name}", type=float, metavar="N", help=f"at most: {help}")
    one.add_argument("--min-throughput", type=float, metavar="N", help="at least: samples/s")


def commands(tree: Parser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    for action in tree._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the tree has commands")


def _usage(name: str, one: argparse.ArgumentParser) -> str:
    """A command with its places and its first options, on a line."""
    said = [name]
    options = []
    for action in one._actions:
        word = str(action.metavar or action.dest.upper())
        if action.dest in ("help", "out"):
            continue
        if not action.option_strings:
            said.append(f"[{word}]" if action.nargs == "?" else word)
        else:
            text = action.option_strings[-1] + (f" {word}" if action.nargs != 0 else "")
            options.append(text if action.required else f"[{text}]")
    while options and len(" ".join([*said, options[0]])) < 76:
        said.append(options.pop(0))
    return " ".join([*said, "…"] if options else said)


def documentation(tree: Parser) -> str:
    """What ``%navigator?`` shows."""
    lines = [
        "Explore a model: targets, accuracy, speed, choice, package.",
        "",
        "    %navigator [--side]                 the dashboard of the current session; --side: beside",
    ]
    for name, one in commands(tree).items():
        lines.append(f"    %navigator {_usage(name, one)}")
        lines.append(f"        {one.description}")
    lines += [
        "    %%navigator verify                  the cell's body defines the metric",
        "",
        "-o NAME binds the result to a variable; %navigator COMMAND -h shows all options of a",
        "command. Stages build on each other: profile runs what it still needs, and says so.",
        "Interrupting a cell detaches: the job goes on, %navigator wait attaches again.",
    ]
    return "\n".join(lines)
