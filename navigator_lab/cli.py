"""``navigator-lab``: the same requests from a shell.

Exit codes: 0 at least one target reached what was asked (each row says its own status) · 1 none
did, or there is nothing to choose · 2 the request itself is wrong · 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, NavigatorError, NothingToChoose, WorkspaceError
from .types.request import STAGES

if TYPE_CHECKING:
    from .session import Session

WORKSPACE = "navigator_workspace"
NOTEBOOKS = "navigator_notebooks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line says; its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        return int(asked.do(asked))
    except NavigatorError as error:
        _wrong(asked, error)
        return 2 if isinstance(error, InputError | WorkspaceError) else 1
    except KeyboardInterrupt:
        print("interrupted; finished steps are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _wrong(asked: argparse.Namespace, error: NavigatorError) -> None:
    if getattr(asked, "json", False):
        print(json.dumps({"error": type(error).__name__, "reason": error.message,
                          "remedy": error.remedy}))  # fmt: skip
    print(f"error: {error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="navigator-lab",
        description="From a model to its best deployment on Triton Inference Server.",
    )
    from . import __version__

    parser.add_argument("--version", action="version", version=f"navigator-lab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Any, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(do=do)
        made.add_argument("--json", action="store_true", help="machine-readable output")
        made.add_argument(
            "--workspace", type=Path, default=Path(WORKSPACE), metavar="DIR",
            help=f"the folder that keeps all results (default: ./{WORKSPACE})",
        )  # fmt: skip
        return made

    one = command("demo", _demo, "train a small CNN on bundled digits and take it the whole way")
    one.add_argument("--repository", type=Path, default=Path("model_repository"), metavar="DIR",
                     help="where the Triton repository goes (default: ./model_repository)")  # fmt: skip
    _what(one)
    one = command("run", _run, "explore a model: build, compare, time and verify its targets")
    one.add_argument(
        "model", help='an ONNX, TorchScript or .pt2 file, or "package.module:function"'
    )
    one.add_argument("--samples", required=True, metavar="FILE", help="an .npz of inputs by name")
    one.add_argument("--name", help="of the model (default: from its file)")
    one.add_argument(
        "--verify", metavar="MODULE:FUNCTION", help="your metric: (outputs, reference)"
    )
    one.add_argument("--no-batch", action="store_true", help="the model has no batch axis")
    one.add_argument("--trust", action="store_true", help="open pickled files, which can run code")
    one.add_argument("--relative", type=float, help="tolerance: share of the reference's value")
    one.add_argument("--absolute", type=float, help="tolerance: in the output's own unit")
    _what(one)
    one = command("targets", _targets, "every target there is, available or why not")
    one.add_argument("model", nargs="?", help="as seen from this model (default: a torch module)")
    one = command("results", _results, "the rows of the last run")
    one = command("why", _why, "what each step of a target did, and why")
    one.add_argument("target", help="as onnx:int8@ort-cpu")
    one = command("package", _package, "a target as an entry of a Triton repository")
    one.add_argument("target", help='as onnx:int8@ort-cpu, or "best"')
    one.add_argument("repository", metavar="DIR", help="a folder, or an fsspec URL")
    one.add_argument("--name", help="of the model on the server")
    one.add_argument("--version", type=int, default=1)
    one.add_argument("--overwrite", action="store_true", help="replace a version that is there")
    one = command("check", _check, "what a Triton server would refuse in a model repository")
    one.add_argument("repository", metavar="REPO", help="a folder, or an fsspec URL")
    one.add_argument("--gpus", type=int, metavar="N", help="how many the server has")
    one.add_argument("--triton", metavar="VERSION", help="the server's version, as 2.51")
    one = command("replay", _replay, "serve a model repository with a real Triton server, send it "
                  "samples over HTTP and gRPC, compare the answers, and stop it")  # fmt: skip
    _served(one)
    one.add_argument("--expected", metavar="FILE", help="an .npz of the right answers by output")
    one.add_argument("--relative", type=float, help="tolerance: share of the reference's value")
    one.add_argument("--absolute", type=float, help="tolerance: in the output's own unit")
    one.add_argument("--protocols", type=_list, default=["http", "grpc"], metavar="A,B")
    one = command("load-test", _load_test, "load on a model of a repository: latency, throughput, "
                  "queue and batches")  # fmt: skip
    _served(one)
    one.add_argument("--concurrency", type=_list, metavar="1,8", help="closed loop: under way")
    one.add_argument("--rate", type=_list, metavar="50,100", help="open loop: requests a second")
    one.add_argument("--arrivals", choices=("poisson", "constant"), default="poisson")
    one.add_argument("--trace", type=Path, metavar="FILE", help="open loop: seconds, one a line")
    one.add_argument("--p99-ms", type=float, help="search the highest rate that keeps it")
    one.add_argument("--sweep", type=_list, nargs="+", metavar="NAME=1,2", help="settings to try: "
                     "max_batch_size, max_queue_delay_us, instance_count")  # fmt: skip
    one.add_argument("--request-batch", type=int, default=1, metavar="N", help="samples in each")
    one.add_argument("--seconds", type=float, default=3.0, help="of each load")
    one.add_argument("--count", type=int, help="requests of each load, instead of seconds")
    one.add_argument("--processes", type=int, help="that send; more as needed by default")
    one.add_argument("--plot", type=Path, metavar="FILE.html", help="write the plots there")
    one = command("doctor", _doctor, "what this machine can do, and the line that adds the rest")
    one = command("lab", _lab, "JupyterLab on a copy of the notebooks: start with quickstart")
    one.add_argument("--dir", type=Path, default=Path(NOTEBOOKS), metavar="DIR",
                     help=f"where the copy goes (default: ./{NOTEBOOKS})")  # fmt: skip
    one.add_argument("--copy-only", action="store_true", help="don't start JupyterLab")
    one.add_argument("--no-browser", action="store_true", help="don't open a browser")
    one.add_argument("--port", type=int, help="of the server")
    one.add_argument("jupyter", nargs="*", help="after --: more for JupyterLab, as --allow-root")
    one = command("trim", _trim, "drop the longest unused products from a workspace")
    one.add_argument(
        "--max", default="10GB", metavar="SIZE", help="as 500MB or 10GB (default 10GB)"
    )
    return parser


def _served(one: argparse.ArgumentParser) -> None:
    """Arguments that say which model, on which server, and what it is sent."""
    one.add_argument("repository", type=Path, metavar="REPO")
    one.add_argument("--model", metavar="NAME", help="of the repository; may be left out if alone")
    one.add_argument("--samples", metavar="FILE", help="an .npz of inputs by name "
                     "(default: what the model is warmed up with)")  # fmt: skip
    one.add_argument("--url", metavar="HOST:PORT", help="a Triton that runs already, HTTP address")
    one.add_argument("--grpc", metavar="HOST:PORT", help="its gRPC address (default: next port)")
    one.add_argument("--server", choices=("auto", "path", "wheel"), default="auto",
                     help="the tritonserver on PATH, or the wheel's (default: the first there is)")  # fmt: skip


def _what(one: argparse.ArgumentParser) -> None:
    """Arguments that say which targets, and how far."""
    for name in ("formats", "precisions", "runners", "devices", "targets"):
        one.add_argument(f"--{name}", type=_list, metavar="A,B", help=f"only these {name}")
    one.add_argument("--until", choices=STAGES, help="the last stage (default: profile)")
    one.add_argument("--batches", type=_list, metavar="1,8", help="batch sizes to time")
    one.add_argument("--max-batch", type=int, metavar="N", help="largest batch size to time")
    one.add_argument("--seconds", type=float, help="budget of one batch size of one target")
    one.add_argument("--timeout", type=float, metavar="S", help="of one step")
    one.add_argument("--plugins", type=_list, default=[], metavar="FILE", help="plug-in files")
    one.add_argument("--retry-failed", action="store_true", help="try again what failed last time")
    one.add_argument("--objective", default="throughput", help="what the choice is by")
    one.add_argument("--p99-ms", type=float, help="limit of the choice: 99th percentile latency")
    one.add_argument("--save", type=Path, metavar="FILE.nav", help="save the run as one file")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _wanted(asked: argparse.Namespace) -> dict[str, Any]:
    names = ("formats", "precisions", "runners", "devices", "targets", "until", "batches",
             "max_batch", "seconds")  # fmt: skip
    wanted = {n: getattr(asked, n) for n in names if getattr(asked, n) is not None}
    if asked.timeout is not None:
        wanted["timeout_s"] = asked.timeout
    if asked.retry_failed:
        wanted["retry_failed"] = True
    return wanted


def _limits(asked: argparse.Namespace) -> dict[str, Any]:
    return {} if asked.p99_ms is None else {"p99_ms": asked.p99_ms}


def _print(data: Any) -> None:
    print(json.dumps(data, indent=2, allow_nan=False))


def _show(thing: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    console.print(thing, highlight=False, markup=False, soft_wrap=False)


# The demo's own defaults: enough to see the order of targets, in minutes on two cores.
_QUICK = {"seconds": 0.2, "max_batch": 16}


def _demo(asked: argparse.Namespace) -> int:
    from .demo import digits
    from .session import explore

    say = (lambda text: None) if asked.json else (lambda text: print(text, flush=True))
    made = digits(asked.workspace)
    say(f"digits CNN: {made.accuracy:.3f} right on {len(made.labels)} images it has not seen\n")
    with explore(
        made.model, made.images, name="digits", input_names=["image"], output_names=["logits"],
        workspace=asked.workspace, plugins=asked.plugins,
    ) as lab:  # fmt: skip
        results = lab.run(verify=made.metric(), **{**_QUICK, **_wanted(asked)})
        if asked.save:
            lab.save(asked.save)
        if not asked.json:
            _show(results)
        best = lab.choose(asked.objective, **_limits(asked))
        folder = best.package(asked.repository, name="digits", overwrite=True)
        front = lab.front()
        if asked.json:
            _print({
                "rows": results.to_dicts(), "choice": best.target, "batch": best.batch,
                "front": [list(point) for point in front], "package": str(folder),
            })  # fmt: skip
            return 0
        print(f"\nthe front, throughput against latency\n{_front(lab, front)}")
        print(f"\nthe choice\n{best!r}")
        print(f"\n{folder}/config.pbtxt and its files are ready for Triton:")
        print(f"  tritonserver --model-repository={asked.repository.absolute()}")
        if not any(row.steps_run for row in results):
            print("\nnothing had to be done: every step was still true")
    return 0


def _front(lab: Session, front: list[tuple[str, int | None]]) -> str:
    from .views.numbers import interval

    lines = []
    for target, batch in front:
        row = lab.results[target]
        one = next(b for b in row.batches if b["batch"] == batch)
        p50 = interval(one["p50_ms"], one["p50_ms_low"], one["p50_ms_high"])
        top = interval(one["throughput"], one["throughput_low"], one["throughput_high"])
        lines.append(f"  {target:<34} batch {batch:>3}   p50 {p50:>18} ms   {top:>18} /s")
    return "\n".join(lines)


def _run(asked: argparse.Namespace) -> int:
    from .session import explore
    from .types.measure import Tolerance

    wanted = _wanted(asked)
    if asked.verify:
        wanted["verify"] = _function(asked.verify)
    if asked.relative is not None or asked.absolute is not None:
        wanted["tolerance"] = Tolerance(asked.relative or 0.0, asked.absolute or 0.0)
    more = {"batch_axis": None} if asked.no_batch else {}
    with explore(
        asked.model, asked.samples, name=asked.name, workspace=asked.workspace,
        trust=asked.trust, plugins=asked.plugins, **more,
    ) as lab:  # fmt: skip
        results = lab.run(**wanted)
        if asked.save:
            lab.save(asked.save)
        if asked.json:
            _print(results.to_dicts())
        else:
            _show(results)
            for note in lab.notes:
                print(f"note: {note}")
            if any(row.batches for row in results):
                try:
                    print(f"\nthe choice\n{lab.choose(asked.objective, **_limits(asked))!r}")
                except NothingToChoose as error:
                    print(f"\nno choice: {error}")
    return 0 if any(row.status == "done" for row in results) else 1


def _function(text: str) -> Any:
    from .sources.factory import resolve

    return resolve(text)


def _targets(asked: argparse.Namespace) -> int:
    from .catalog import Catalog
    from .engine.host import host, version_here
    from .types.target import Precision, Variant
    from .views.targets import Targets, TargetState

    catalog = Catalog.installed()
    source = Variant("torch", Precision.FP32)
    if asked.model:
        from .sources import capture

        source = capture(asked.model).variant
    found = catalog.targets(source, host(), lambda name, _: version_here(name))
    table = Targets(
        [TargetState(t, why, tuple(str(v) for _, v in way.edges) if way else ())
         for t, way, why in found],
        dict(catalog.broken),
    )  # fmt: skip
    if asked.json:
        _print(table.to_dicts())
    else:
        print(f"as seen from a model in {source}\n{table!r}")
    return 0


def _results(asked: argparse.Namespace) -> int:
    from .session.saving import last_run

    results = last_run(_existing(asked.workspace)).results
    if asked.json:
        _print(results.to_dicts())
    else:
        _show(results)
    return 0


def _why(asked: argparse.Namespace) -> int:
    from .session.saving import last_run

    view = last_run(_existing(asked.workspace))[asked.target]
    if asked.json:
        steps = [
            {"stage": s.stage, "step": s.label, "outcome": type(s.outcome).__name__.lower(),
             "ran": s.ran, "reason": s.outcome.reason, "reproduce": view.reproduce.get(s.stage)}
            for s in view.steps
        ]  # fmt: skip
        _print({"target": asked.target, "steps": steps})
    else:
        print(view.why())
        for stage, line in view.reproduce.items():
            print(f"  again: {stage:<12} {line}")
    return 0


def _package(asked: argparse.Namespace) -> int:
    from .catalog import Catalog
    from .engine.engine import Engine
    from .engine.host import host, version_in
    from .engine.store import Store
    from .session.packaging import package
    from .session.saving import last_run

    root = _existing(asked.workspace)
    explored = last_run(root)
    target = explored.choose().target if asked.target == "best" else asked.target
    store = Store(root)
    engine = Engine(Catalog.installed(), store, host(), version_in)
    options = {"version": asked.version, "overwrite": asked.overwrite}
    if asked.name:
        options["name"] = asked.name
    try:
        folder = package(engine, explored.run_data, target, asked.repository, options)
    finally:
        engine.close()
        store.close()
    if asked.json:
        _print({"target": target, "package": str(folder)})
    else:
        print(folder)
    return 0


def _check(asked: argparse.Namespace) -> int:
    from .triton import check

    more = {"triton": asked.triton} if asked.triton else {}
    found = check(asked.repository, gpus=asked.gpus, **more)
    refused = any(one.error for one in found)
    if asked.json:
        _print({
            "refused": refused,
            "findings": [
                {"model": one.model, "error": one.error, "finding": one.message,
                 "remedy": one.remedy} for one in found
            ],
        })  # fmt: skip
    else:
        for one in found:
            print(f"{one.model}: {'refused' if one.error else 'note'}: {one.message}")
            if one.remedy:
                print(f"    {one.remedy}")
        print("a server would refuse this" if refused else "a server would take this")
    return 1 if refused else 0


def _serving(asked: argparse.Namespace) -> dict[str, Any]:
    def say(text: str) -> None:
        if sys.stderr.isatty() and not asked.json:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    return {
        "samples": asked.samples, "url": asked.url, "grpc": asked.grpc, "which": asked.server,
        "say": say,
    }  # fmt: skip


def _replay(asked: argparse.Namespace) -> int:
    from .session.repository import replay_repository
    from .types.measure import Tolerance

    limit = None
    if asked.relative is not None or asked.absolute is not None:
        limit = Tolerance(asked.relative or 0.0, asked.absolute or 0.0)
    how = _serving(asked)
    found = replay_repository(
        asked.repository, asked.model, expected=asked.expected, tolerance=limit,
        protocols=asked.protocols, **how,
    )  # fmt: skip
    how["say"]("")
    if asked.json:
        _print({"replays": [one.to_dict() for one in found]})
    else:
        print("\n\n".join(map(str, found)))
    return 1 if any(one.passed is False for one in found) else 0


def _load_test(asked: argparse.Namespace) -> int:
    from .session.loading import load_test
    from .session.repository import serve_repository

    how = _serving(asked)
    wanted: dict[str, Any] = {
        "concurrency": _numbers(asked.concurrency, int), "rate": _numbers(asked.rate, float),
        "trace": _numbers(asked.trace.read_text().split(), float) if asked.trace else None,
        "arrivals": asked.arrivals, "p99_ms": asked.p99_ms, "request_batch": asked.request_batch,
        "seconds": asked.seconds, "count": asked.count, "processes": asked.processes,
    }  # fmt: skip
    if asked.sweep:
        wanted["sweep"] = _settings(asked.sweep)
    with serve_repository(asked.repository, asked.model, send=False, **how) as served:
        found = load_test(served, say=how["say"], **wanted)
    how["say"]("")
    if asked.plot:
        from .views import load

        asked.plot.write_text(load.page(found), encoding="utf-8")
    if asked.json:
        _print(found.to_dict())
    else:
        print(found)
    stopped = any(point.ended for point in found.points)
    return 1 if stopped or (found.limit_ms is not None and found.best is None) else 0


def _numbers(texts: Sequence[str] | None, kind: type[int] | type[float]) -> list[Any] | None:
    from .errors import RequestError

    try:
        return None if texts is None else [kind(text) for text in texts]
    except ValueError as error:
        raise RequestError(f"{', '.join(texts or ())} are no numbers: {error}") from None


def _settings(parts: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """``max_batch_size=4,8 instance_count=1,2`` as a dict."""
    from .errors import RequestError

    made: dict[str, list[int]] = {}
    for part in parts:
        name, mark, first = part[0].partition("=")
        if not mark:
            raise RequestError(f"{part[0]!r} is no setting", "as max_batch_size=4,8")
        made[name] = _numbers([first, *part[1:]], int) or []
    return made


def _doctor(asked: argparse.Namespace) -> int:
    from .doctor import diagnose

    found = diagnose()
    if asked.json:
        _print(found.to_dict())
    else:
        print(found)
    return 0


def _lab(asked: argparse.Namespace) -> int:
    from .lab import copy, start

    copied = copy(asked.dir.absolute())
    if asked.json:
        _print({"folder": str(copied.folder), "notebooks": copied.states})
    else:
        print(copied)
    if asked.copy_only:
        return 0
    more = ["--no-browser"] if asked.no_browser else []
    if asked.port is not None:
        more.append(f"--port={asked.port}")
    return start(copied.folder, [*more, *asked.jupyter])


def _trim(asked: argparse.Namespace) -> int:
    from .engine.store import Store

    store = Store(_existing(asked.workspace))
    try:
        dropped, freed = store.trim(_bytes(asked.max))
        left = store.size_bytes()
    finally:
        store.close()
    if asked.json:
        _print({"dropped": dropped, "freed_bytes": freed, "left_bytes": left})
    else:
        print(f"dropped {dropped} products, {freed / 1e6:.1f} MB; {left / 1e6:.1f} MB are left")
    return 0


def _bytes(text: str) -> int:
    from .errors import RequestError

    units = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    number = text.strip().upper().rstrip("BKMGT")
    unit = text.strip().upper()[len(number) :]
    try:
        value = float(number) * units[unit]
    except (ValueError, KeyError):
        raise RequestError(f"{text!r} is no size", "write it as 500MB or 10GB") from None
    if value < 0:
        raise RequestError(f"{text!r} is negative", "write it as 500MB or 10GB")
    return int(value)


def _existing(workspace: Path) -> Path:
    if not workspace.is_dir():
        raise WorkspaceError(
            f"there is no workspace {workspace}", "name it by --workspace, or run something first"
        )
    return workspace.absolute()


if __name__ == "__main__":
    sys.exit(main())
