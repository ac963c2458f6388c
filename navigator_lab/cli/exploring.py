"""Commands that explore a model: demo, run, targets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NothingToChoose
from ..types.request import STAGES
from .words import as_json, command, listed, show

if TYPE_CHECKING:
    from ..session import Session
    from .words import Commands

# The demo's own defaults: enough to see the order of targets, in minutes on two cores.
_QUICK = {"seconds": 0.2, "max_batch": 16}


def declare(commands: Commands) -> None:
    """The commands demo, run and targets, with their arguments."""
    one = command(
        commands, "demo", _demo, "train a small CNN on bundled digits and take it the whole way"
    )
    one.add_argument("--repository", type=Path, default=Path("model_repository"), metavar="DIR",
                     help="where the Triton repository goes (default: ./model_repository)")  # fmt: skip
    _what(one)
    one = command(
        commands, "run", _run, "explore a model: build, compare, time and verify its targets"
    )
    one.add_argument(
        "model",
        help="an ONNX, TorchScript, .pt2, .keras or TFLite file, a SavedModel folder, or "
        '"package.module:function"',
    )
    one.add_argument("--samples", required=True, metavar="FILE", help="an .npz of inputs by name")
    one.add_argument("--name", help="of the model (default: from its file)")
    one.add_argument(
        "--verify", metavar="MODULE:FUNCTION", help="your metric: (outputs, reference)"
    )
    one.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel that has several; of a graph IN -> OUT"
    )
    one.add_argument(
        "--environments",
        type=listed,
        default=[],
        metavar="A=ENV,B=ENV",
        help="formats or runners, and the environment (see env) or interpreter that they run in",
    )
    one.add_argument("--no-batch", action="store_true", help="the model has no batch axis")
    one.add_argument("--trust", action="store_true", help="open pickled files, which can run code")
    one.add_argument("--relative", type=float, help="tolerance: share of the reference's value")
    one.add_argument("--absolute", type=float, help="tolerance: in the output's own unit")
    _what(one)
    one = command(commands, "targets", _targets, "every target there is, available or why not")
    one.add_argument("model", nargs="?", help="as seen from this model (default: a torch module)")


def _what(one: argparse.ArgumentParser) -> None:
    """Arguments that say which targets, and how far."""
    for name in ("formats", "precisions", "runners", "devices", "targets"):
        one.add_argument(f"--{name}", type=listed, metavar="A,B", help=f"only these {name}")
    one.add_argument("--until", choices=STAGES, help="the last stage (default: profile)")
    one.add_argument("--batches", type=listed, metavar="1,8", help="batch sizes to time")
    one.add_argument("--max-batch", type=int, metavar="N", help="largest batch size to time")
    one.add_argument("--seconds", type=float, help="budget of one batch size of one target")
    one.add_argument("--timeout", type=float, metavar="S", help="of one step")
    one.add_argument("--plugins", type=listed, default=[], metavar="FILE", help="plug-in files")
    one.add_argument("--retry-failed", action="store_true", help="try again what failed last time")
    one.add_argument("--objective", default="throughput", help="what the choice is by")
    one.add_argument("--p99-ms", type=float, help="limit of the choice: 99th percentile latency")
    one.add_argument("--save", type=Path, metavar="FILE.nav", help="save the run as one file")


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


def _demo(asked: argparse.Namespace) -> int:
    from ..demo import digits
    from ..session import explore

    def say(text: str) -> None:
        if not asked.json:
            print(text, flush=True)

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
            show(results)
        best = lab.choose(asked.objective, **_limits(asked))
        folder = best.package(asked.repository, name="digits", overwrite=True)
        front = lab.front()
        if asked.json:
            as_json({
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
    from ..views.numbers import interval

    lines = []
    for target, batch in front:
        row = lab.results[target]
        one = next(b for b in row.batches if b["batch"] == batch)
        p50 = interval(one["p50_ms"], one["p50_ms_low"], one["p50_ms_high"])
        top = interval(one["throughput"], one["throughput_low"], one["throughput_high"])
        lines.append(f"  {target:<34} batch {batch:>3}   p50 {p50:>18} ms   {top:>18} /s")
    return "\n".join(lines)


def _run(asked: argparse.Namespace) -> int:
    from ..session import explore
    from ..types.measure import Tolerance

    wanted = _wanted(asked)
    if asked.verify:
        wanted["verify"] = _function(asked.verify)
    if asked.relative is not None or asked.absolute is not None:
        wanted["tolerance"] = Tolerance(asked.relative or 0.0, asked.absolute or 0.0)
    more = {"batch_axis": None} if asked.no_batch else {}
    with explore(
        asked.model, asked.samples, name=asked.name, workspace=asked.workspace,
        trust=asked.trust, signature=asked.signature, plugins=asked.plugins,
        environments=asked.environments, **more,
    ) as lab:  # fmt: skip
        results = lab.run(**wanted)
        if asked.save:
            lab.save(asked.save)
        if asked.json:
            as_json(results.to_dicts())
        else:
            show(results)
            for note in lab.notes:
                print(f"note: {note}")
            if any(row.batches for row in results):
                try:
                    print(f"\nthe choice\n{lab.choose(asked.objective, **_limits(asked))!r}")
                except NothingToChoose as error:
                    print(f"\nno choice: {error}")
    return 0 if any(row.status == "done" for row in results) else 1


def _function(text: str) -> Any:
    from ..sources.factory import resolve

    return resolve(text)


def _targets(asked: argparse.Namespace) -> int:
    from ..catalog import Catalog
    from ..engine.host import host, version_here
    from ..types.target import Precision, Variant
    from ..views.targets import Targets, TargetState

    catalog = Catalog.installed()
    source = Variant("torch", Precision.FP32)
    if asked.model:
        from ..sources import capture

        source = capture(asked.model).variant
    found = catalog.targets(source, host(), lambda name, _: version_here(name))
    table = Targets(
        [TargetState(t, why, tuple(str(v) for _, v in way.edges) if way else ())
         for t, way, why in found],
        dict(catalog.broken),
    )  # fmt: skip
    if asked.json:
        as_json(table.to_dicts())
    else:
        print(f"as seen from a model in {source}\n{table!r}")
    return 0
