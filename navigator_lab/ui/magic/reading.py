"""The commands that read: tables, views, reasons, tolerances and choices. They run no target."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from ...errors import RequestError
from ...session import Session
from ...types.measure import Tolerance
from ..drawn import Drawn, show
from .current import Current

_LIMITS = {  # option: name of the limit, and how many of its unit one is
    "p50_ms": ("p50_ms", 1.0),
    "p95_ms": ("p95_ms", 1.0),
    "p99_ms": ("p99_ms", 1.0),
    "memory_mb": ("memory_bytes", 1e6),
    "size_mb": ("size_bytes", 1e6),
    "error": ("error", 1.0),
    "min_throughput": ("min_throughput", 1.0),
}


class Reading:
    """What can be asked of a run, live or loaded."""

    current: Current
    shell: Any
    dark: bool  # draw for a dark ground

    def do_table(self, asked: argparse.Namespace) -> Any:
        return self.current.get().results

    def _drawn(self, name: str, *args: Any) -> Drawn:
        session = self.current.get()
        if not session.run_data.targets:
            raise RequestError("nothing was run yet", "%navigator profile runs it")
        view = importlib.import_module(f"navigator_lab.views.{name}")
        return show(view, session, *args, dark=self.dark)

    def do_pareto(self, asked: argparse.Namespace) -> Drawn:
        return self._drawn("pareto", asked.latency, _limits(asked))

    def do_heatmap(self, asked: argparse.Namespace) -> Drawn:
        return self._drawn("heatmap")

    def do_latency(self, asked: argparse.Namespace) -> Drawn:
        return self._drawn("latency", asked.latency)

    def do_parallel(self, asked: argparse.Namespace) -> Drawn:
        return self._drawn("parallel")

    def do_timeline(self, asked: argparse.Namespace) -> Drawn:
        return self._drawn("timeline")

    def do_surface(self, asked: argparse.Namespace) -> Drawn:
        return self._drawn("surface", asked.target, asked.output)

    def do_compare(self, asked: argparse.Namespace) -> Any:
        from ...views import compare

        return compare.info(self.current.get(), *asked.targets, batch=asked.batch)

    def do_graph(self, asked: argparse.Namespace) -> Drawn:
        from ...views import graph

        made = self.current.live().graph(
            asked.target, asked.against, batch=asked.batch, depth=asked.depth
        )
        return Drawn(graph, made, repr(made), made._repr_html_(), dark=self.dark)

    def do_drift(self, asked: argparse.Namespace) -> Drawn:
        from ...views import drift

        made = self.current.live().drift(asked.target, asked.against, samples=asked.samples)
        return Drawn(drift, made, repr(made), made._repr_html_(), dark=self.dark)

    def do_roofline(self, asked: argparse.Namespace) -> Drawn:
        from ...session.studied import Studied
        from ...views import roofline

        session = self.current.get()
        if isinstance(session, Studied):
            made = session.roofline(asked.device)
        else:  # a loaded run: what was measured in it
            made = roofline.info(session)
        return Drawn(roofline, made, repr(made), made._repr_html_(), dark=self.dark)

    def do_why(self, asked: argparse.Namespace) -> None:
        print(self.current.get().why(asked.target))  # noqa: T201

    def do_log(self, asked: argparse.Namespace) -> None:
        view = self.current.get()[asked.target]
        stages = [step.stage for step in view.steps]
        if not stages:
            print(view.why())  # noqa: T201
            return
        failed = [s.stage for s in view.steps if type(s.outcome).__name__ == "Failed"]
        stage = asked.stage or (failed[0] if failed else stages[-1])
        text = view.log(stage)
        print(text.rstrip() or f"{stage} of {asked.target} printed nothing")  # noqa: T201

    # judging, choosing, packaging

    def do_tolerance(self, asked: argparse.Namespace) -> Any:
        session = self.current.get()
        if asked.default:
            return self._judged(session, None)
        if asked.relative is None and asked.absolute is None:
            print(f"the tolerance is {_told(session.tolerance)}")  # noqa: T201
            return None
        one = Tolerance(relative=asked.relative or 0.0, absolute=asked.absolute or 0.0)
        if asked.only:
            now = session.tolerance
            return self._judged(
                session, {**(now if isinstance(now, dict) else {}), asked.only: one}
            )
        return self._judged(session, one)

    def _judged(self, session: Any, tolerance: Any) -> Any:
        if isinstance(session, Session) and session.request is not None:
            return session.run(tolerance=tolerance)  # kept with the run, too
        session.tolerance = tolerance
        return session.results

    def do_choose(self, asked: argparse.Namespace) -> Any:
        objective: Any = asked.objective
        if callable(self.shell.user_ns.get(objective)):
            objective = self.shell.user_ns[objective]
        limits = _limits(asked)
        if asked.batch is not None:
            limits["batch"] = asked.batch
        self.current.best = self.current.get().choose(objective, **limits)
        return self.current.best


def _limits(asked: argparse.Namespace) -> dict[str, Any]:
    made = {}
    for option, (name, unit) in _LIMITS.items():
        if (value := getattr(asked, option)) is not None:
            made[name] = value * unit
    return made


def _told(tolerance: Any) -> str:
    if tolerance is None:
        return "the default of each precision"
    if isinstance(tolerance, Tolerance):
        return f"|Δ| ≤ {tolerance.absolute:g} + {tolerance.relative:g}·|reference|"
    return "; ".join(f"{name}: {_told(one)}" for name, one in tolerance.items())
