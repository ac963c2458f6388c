"""When each step ran: a lane a target, bars by stage, what came from the store hatched.

Read from the events that an engine said (its journal); idle time between runs is cut out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import RequestError
from ..types.codec import decode
from ..types.event import Event, Finished, Planned, Started
from ..types.outcome import Cancelled, Done, Failed
from .board import Board
from .numbers import seconds as _seconds
from .results import Results
from .taken import only
from .theme import Theme, axis, layout, safe, short, theme

STAGES = ("export", "convert", "infer", "correctness", "profile", "verify", "package", "probe")
_KINDS = {"compare": "correctness", "reference": "infer"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One step. ``state``: done, cached, failed, cancelled or running; times in seconds from the
    beginning. What is cached has no times."""

    lane: int
    step: str
    stage: str
    state: str
    start: float = 0.0
    end: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that the drawing shows. ``cuts`` are where one run ends and another begins."""

    title: str
    lanes: tuple[str, ...]
    bars: tuple[Bar, ...]
    total: float = 0.0
    cuts: tuple[float, ...] = ()
    ran: int = 0
    cached: int = 0


def info(given: Any, now: float | None = None) -> Info:
    """The data of the view, of a session, a loaded run, a `Board` or events.

    ``now`` (seconds since the epoch) ends the bars of steps that are under way.

    Raises:
        RequestError: there is no journal to read.
    """
    if isinstance(given, Board):
        return _of_board(given, now)
    if isinstance(given, Iterable) and not isinstance(given, Results):
        return of_events(list(given), "", {}, now)
    run = only(given, "the timeline")
    if run.explored is None:
        raise RequestError("rows don't say when steps ran", "give lab, not lab.results")
    stages = {
        step.label: (str(one.target), step.stage)
        for one in reversed(run.explored.run_data.targets)
        for step in reversed(one.steps)
    }
    lanes = [str(one.target) for one in run.explored.run_data.targets if one.steps]
    return of_events(events(_journal(run.explored)), run.name, stages, now, lanes)


def _journal(explored: Any) -> Path:
    places = [Path(explored.root) / "journal.jsonl"]
    if hasattr(explored, "workspace"):  # a session: its own folder among the runs
        places.insert(0, Path(explored.workspace) / "runs" / explored.id / "journal.jsonl")
    for place in places:
        if place.is_file():
            return place
    raise RequestError("nothing was run yet, so there is no timeline", "lab.run(...) first")


def events(path: Path) -> list[Event]:
    """The events of a journal; a last line that was torn by a kill is skipped."""
    found: list[Event] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                data = json.loads(line)
            except json.JSONDecodeError:
                continue
            found.append(decode(Event, data))
    return found


def of_events(
    said: list[Event],
    title: str = "",
    stages: dict[str, tuple[str, str]] | None = None,
    now: float | None = None,
    lanes: Iterable[str] = (),
) -> Info:
    """The data of the view from events. ``stages`` gives the lane and stage of a step."""
    places: dict[str, int] = {lane: i for i, lane in enumerate(lanes)}
    bars: dict[str, Bar] = {}
    cuts: list[float] = []
    began: float | None = None  # of the run that is being read, on its own clock
    end = 0.0

    def bar(step: str, state: str, **more: Any) -> Bar:
        lane, stage = (stages or {}).get(step) or _told(step)
        return Bar(places.setdefault(lane, len(places)), step, stage, state, **more)

    for event in said:
        if isinstance(event, Planned):
            if end > (cuts[-1] if cuts else 0.0):
                cuts.append(end)
            began = None
        elif isinstance(event, Started):
            if began is None:
                began = event.at - end
            start = max(event.at - began, 0.0)
            reason = "; ".join(event.why)
            bars[event.step] = bar(event.step, "running", start=start, end=start, reason=reason)
            end = max(end, start)
        elif isinstance(event, Finished):
            known, state = bars.get(event.step), _state(event)
            if known is not None and known.state == "running" and began is not None:
                stop = max(event.at - began, known.start)
                reason = event.outcome.reason if state in ("failed", "cancelled") else known.reason
                bars[event.step] = replace(known, state=state, end=stop, reason=reason)
                end = max(end, stop)
            elif known is None and state:
                bars[event.step] = bar(event.step, state, reason=event.outcome.reason)
    if now is not None and began is not None:
        for step, one in bars.items():
            if one.state == "running":
                bars[step] = replace(one, end=max(now - began, one.start))
                end = max(end, now - began)
    made = sorted(bars.values(), key=lambda b: (b.lane, b.start))
    made, used = _only_used(made, list(places))
    ran = sum(1 for b in made if b.state not in ("cached",) and b.end > 0)
    cached = sum(1 for b in made if b.state == "cached")
    inner = tuple(c for c in cuts if 0 < c < end)
    return Info(title, tuple(used), tuple(made), end, inner, ran, cached)


def _only_used(bars: list[Bar], names: list[str]) -> tuple[list[Bar], list[str]]:
    used = sorted({b.lane for b in bars})
    at = {lane: i for i, lane in enumerate(used)}
    return [replace(b, lane=at[b.lane]) for b in bars], [names[lane] for lane in used]


def _state(event: Finished) -> str:
    match event.outcome:
        case Done(_, _, cached, _):
            return "cached" if cached else "done"
        case Failed(_, _, recalled):
            return "cached" if recalled else "failed"
        case Cancelled():
            return "cancelled"
    return ""  # skipped: it took no time and has its reason in the table


def _told(step: str) -> tuple[str, str]:
    """Lane and stage of a step from its label alone: ``infer onnx:fp32@ort-cpu``."""
    kind, _, rest = step.partition(" ")
    if kind == "probe":
        return kind, kind
    return rest or step, _KINDS.get(kind, kind)


def _of_board(board: Board, now: float | None) -> Info:
    timed = [s for s in board.steps.values() if s.started]
    first = min((s.started for s in timed), default=0.0)
    places: dict[str, int] = {}
    bars = []
    for name, one in board.steps.items():
        if one.state in ("waiting", "skipped"):
            continue
        lane, stage = _told(name)
        end = one.finished or (now if now is not None else one.started)
        times = {"start": one.started - first, "end": end - first} if one.started else {}
        bars.append(Bar(places.setdefault(lane, len(places)), name, stage, one.state,
                        reason=one.text, **times))  # fmt: skip
    total = max((b.end for b in bars), default=0.0)
    cached = sum(1 for b in bars if b.state == "cached")
    return Info(board.run, tuple(places), tuple(bars), total, (), len(bars) - cached, cached)


def draw(info: Info, *, dark: bool = False) -> Any:
    """The view as a plotly ``Figure``."""
    import plotly.graph_objects as go

    look = theme(dark)
    count = max(len(info.lanes), 1)
    total = max(info.total, 1e-3)
    slot = total * 0.02
    used = [s for s in STAGES if any(b.stage == s and b.state == "cached" for b in info.bars)]
    gutter = max(slot * (len(used) + 1), total * 0.13) if used else 0.0
    figure = go.Figure()
    for state, colour in _colours(look).items():
        bars = [b for b in info.bars if b.state == state]
        if not bars:
            continue
        cached = state == "cached"
        stage = {s: i for i, s in enumerate(used)}
        starts = [
            -gutter + slot * stage.get(b.stage, len(used) - 1) if cached else b.start for b in bars
        ]
        widths = [slot * 0.86 if cached else max(b.end - b.start, total * 0.003) for b in bars]
        pattern = {
            "shape": "/",
            "fgcolor": colour,
            "bgcolor": look.ground,
            "size": 5,
            "solidity": 0.4,
        }
        figure.add_trace(
            go.Bar(
                orientation="h",
                base=starts,
                x=widths,
                y=[count - 1 - b.lane for b in bars],
                width=0.58,
                name=f"{state} ({len(bars)})",
                marker={
                    "color": look.ground if cached else colour,
                    "line": {"color": colour, "width": 1},
                    "pattern": pattern if cached else {},
                },
                text=[
                    b.stage if w > total * 0.08 else "" for b, w in zip(bars, widths, strict=True)
                ],
                textposition="inside",
                insidetextanchor="start",
                constraintext="none",
                textfont={"size": 11, "color": look.ground},
                hovertext=[_hover(b) for b in bars],
                hoverinfo="text",
            )
        )
    marks = _marks(total)
    heading = [
        {"x": -gutter, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "left",
         "text": "cached", "showarrow": False, "font": {"size": 11, "color": look.muted}}
    ] if used else []  # fmt: skip
    figure.update_layout(
        **layout(look, f"{info.title}: {info.ran} steps ran in {_seconds(info.total)}, "
                 f"{info.cached} from the store"),
        height=120 + 24 * count,
        margin={"l": 10, "r": 16, "t": 76, "b": 10},
        barmode="overlay",
        hovermode="closest",
        xaxis=axis(look, side="top", range=[-gutter - slot * 0.4, total * 1.01], tickvals=marks,
                   ticktext=[f"{m:g} s" if m else "0" for m in marks]),
        yaxis=axis(look, showgrid=False, tickvals=list(range(count)), range=[-0.6, count - 0.4],
                   ticktext=[safe(short(lane, 40)) for lane in reversed(info.lanes)]),
        legend={"orientation": "h", "x": 0, "y": 0, "yanchor": "top", "font": {"size": 11}},
        shapes=[
            {"type": "line", "x0": cut, "x1": cut, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"color": look.muted, "width": 1, "dash": "dot"}}
            for cut in info.cuts
        ],
        annotations=heading,
    )  # fmt: skip
    return figure


def _colours(look: Theme) -> dict[str, str]:
    return {
        "cached": look.done, "done": look.done, "failed": look.failed, "cancelled": look.muted,
        "running": look.running,
    }  # fmt: skip


def _hover(bar: Bar) -> str:
    import textwrap

    said = f"<b>{safe(bar.step)}</b><br>"
    if bar.state == "cached":
        said += "from the store"
    else:
        said += f"{bar.state}, {bar.end - bar.start:.2f} s from {bar.start:.1f} s on"
    why = [safe(part) for part in textwrap.wrap(bar.reason, 80)[:4]]
    return "<br>".join([said, *why])


def _marks(total: float) -> list[float]:
    from math import floor, log10

    rough = total / 6
    ten = 10.0 ** floor(log10(rough))
    step = next(k * ten for k in (1, 2, 5, 10) if k * ten >= rough)
    return [round(step * i, 9) for i in range(int(total / step) + 1)]
