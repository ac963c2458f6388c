"""Two to four targets beside each other: only what differs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

from ..errors import RequestError, unknown
from ..types.run import Row
from .numbers import bytes_, interval, ratio, significant
from .taken import take
from .theme import layout, safe, short, theme

_LOWER, _HIGHER = "lower", "higher"


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same for all. ``best`` are the columns that have it best.

    Where the intervals of several reach into each other none is best, and ``tied`` are those.
    """

    group: str
    name: str
    values: tuple[str, ...]
    best: tuple[int, ...] = ()
    tied: tuple[int, ...] = ()

    def mark(self, column: int) -> str:
        """What stands before a value: ◆ the best, ≈ within noise of it."""
        return "◆ " if column in self.best else "≈ " if column in self.tied else ""


@dataclass(frozen=True, slots=True)
class Info:
    """A table: a column a target, a row a difference. ``batch`` is where speed is compared."""

    title: str
    targets: tuple[str, ...]
    batch: int | None
    rows: tuple[Difference, ...]
    same: tuple[str, ...] = ()  # facts that are equal, and therefore not shown

    def __repr__(self) -> str:
        cut = [[row.mark(i) + short(v, 44) for i, v in enumerate(row.values)] for row in self.rows]
        widths = [
            max(len(name), *(len(cells[i]) for cells in cut), 1) if cut else len(name)
            for i, name in enumerate(self.targets)
        ]
        names = ["", *(row.name for row in self.rows)]
        first = max(len(name) for name in names)
        lines = [
            "  ".join(
                [name.ljust(first), *(c.rjust(w) for c, w in zip(cells, widths, strict=True))]
            )
            for name, cells in zip(names, [list(self.targets), *cut], strict=True)
        ]
        return "\n".join([*lines, _foot(self)])

    def _repr_html_(self) -> str:
        right = 'style="text-align:right"'
        head = "".join(f"<th {right}>{escape(t)}</th>" for t in self.targets)
        body = ""
        for row in self.rows:
            cells = "".join(
                f"<td {right}>{row.mark(i)}{escape(value)}</td>"
                for i, value in enumerate(row.values)
            )
            body += (
                f'<tr><th scope="row" style="text-align:left">{escape(row.name)}</th>{cells}</tr>'
            )
        return (
            f'<div class="navigator-compare"><table><thead><tr><th></th>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table><p>{escape(_foot(self))}</p></div>"
        )


def info(results: Any, *targets: str, batch: int | None = None) -> Info:
    """What differs between two to four targets.

    Args:
        results: results, a session, a loaded run; or a list of runs, whose targets are then named
            ``TARGET`` where only one run has it, else ``RUN/TARGET``.
        targets: their text forms.
        batch: where speed is compared; by default the largest that all were measured at.

    Raises:
        RequestError: an unknown target, or fewer than two or more than four.
    """
    if not 2 <= len(targets) <= 4:
        raise RequestError(
            f"compare shows 2 to 4 targets, {len(targets)} were named", "name two, three or four"
        )
    runs = take(results)
    by_name: dict[str, Row] = {}
    for run in runs:
        for row in run.results:
            if len(runs) > 1:
                by_name[f"{run.name}/{row.target}"] = row
            by_name.setdefault(row.target, row)
    chosen = []
    for name in targets:
        if str(name) not in by_name:
            raise unknown("target of this run", name, by_name)
        chosen.append(by_name[str(name)])
    common = set.intersection(*({b["batch"] for b in row.batches} for row in chosen))
    if batch is not None and batch not in common:
        raise RequestError(
            f"not all were measured at batch {batch}",
            f"common batches are: {', '.join(map(str, sorted(common))) or 'none'}",
        )
    at = batch if batch is not None else max(common, default=None)
    every = [*_facts(chosen), *_accuracy(chosen), *_speed(chosen, at), *_rest(chosen)]
    differing = tuple(row for row in every if len(set(row.values)) > 1)
    same = tuple(row.name for row in every if len(set(row.values)) == 1 and row.values[0] != "–")
    names = ", ".join(run.name for run in runs)
    return Info(names, tuple(str(t) for t in targets), at, differing, same)


def _facts(chosen: list[Row]) -> list[Difference]:
    made = [
        Difference("target", name, tuple(str(getattr(row, name)) for row in chosen))
        for name in ("format", "precision", "runner", "device", "status")
    ]
    words = {True: "yes", False: "no", None: "–"}
    for name, field in (("within tolerance", "within_tolerance"), ("verified", "verified")):
        made.append(Difference("target", name, tuple(words[getattr(r, field)] for r in chosen)))
    made.append(Difference("target", "reason", tuple(_cut(row.reason) for row in chosen)))
    return made


def _accuracy(chosen: list[Row]) -> list[Difference]:
    made = [
        _numbers(
            "accuracy", "worst error ÷ tolerance", [r.worst_ratio for r in chosen], ratio, _LOWER
        )
    ]
    outputs = dict.fromkeys(name for row in chosen for name in row.ratios)
    if len(outputs) > 1:
        made += [
            _numbers("accuracy", f"  of {short(name)}", [r.ratios.get(name) for r in chosen], ratio,
                     _LOWER)
            for name in outputs
        ]  # fmt: skip
    made.append(_numbers("accuracy", "signal kept, dB", [r.sqnr_db for r in chosen],
                         lambda v: "∞" if math.isinf(v) else f"{v:.0f}", _HIGHER))  # fmt: skip
    made.append(_numbers("accuracy", "same label, top 1", [r.top1_agreement for r in chosen],
                         lambda v: f"{v:.3f}", _HIGHER))  # fmt: skip
    for name in dict.fromkeys(k for row in chosen for k in row.metrics if k != "passed"):
        values = [row.metrics.get(name) for row in chosen]
        said = tuple("–" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v)
                     for v in values)  # fmt: skip
        made.append(Difference("accuracy", f"metric {short(name)}", said))
    return made


def _speed(chosen: list[Row], batch: int | None) -> list[Difference]:
    if batch is None:
        return []
    rows = [next(b for b in row.batches if b["batch"] == batch) for row in chosen]
    made = []
    for name, key, better in (
        ("p50, ms", "p50_ms", _LOWER),
        ("p99, ms", "p99_ms", _LOWER),
        ("throughput, /s", "throughput", _HIGHER),
    ):
        spans = [(b[key], b[f"{key}_low"], b[f"{key}_high"]) for b in rows]
        made.append(_spans(f"{name}, batch {batch}", spans, better))
    tops = [top for row in chosen if (top := row.best()) is not None]
    made.append(_spans("best throughput, /s", [(t.value, t.low, t.high) for t in tops], _HIGHER))
    return made


def _spans(name: str, spans: list[tuple[float, float, float]], better: str) -> Difference:
    """A row of intervals: the best one is marked only where no other reaches into it."""
    pick = min if better == _LOWER else max
    best = pick(range(len(spans)), key=lambda i: spans[i][0])
    close = [i for i, s in enumerate(spans) if s[1] <= spans[best][2] and spans[best][1] <= s[2]]
    alone = close == [best]
    said = tuple(interval(*span) for span in spans)
    return Difference("speed", name, said, (best,) if alone else (), () if alone else tuple(close))


def _rest(chosen: list[Row]) -> list[Difference]:
    size = [float(r.size_bytes) if r.size_bytes is not None else None for r in chosen]
    host = [float(r.host_peak_bytes) if r.host_peak_bytes else None for r in chosen]
    device = [float(r.device_peak_bytes) if r.device_peak_bytes else None for r in chosen]
    return [
        _numbers("cost", "size of the model", size, bytes_, _LOWER),
        _numbers("cost", "load time, ms", [r.load_ms for r in chosen], significant, _LOWER, 0.1),
        _numbers("cost", "peak host memory", host, bytes_, _LOWER, 0.1),
        _numbers("cost", "peak device memory", device, bytes_, _LOWER, 0.1),
    ]


def _numbers(
    group: str, name: str, values: list[float | None], words: Any, better: str, noise: float = 0.0
) -> Difference:
    """A row of numbers; the best one is marked where it reads as another than the others.

    ``noise`` is the share of it within which single measurements say nothing.
    """
    said = tuple("–" if v is None or math.isnan(v) else words(v) for v in values)
    known = [v for v in values if v is not None and not math.isnan(v)]
    best: tuple[int, ...] = ()
    if known and len(set(said)) > 1:
        top = min(known) if better == _LOWER else max(known)
        best = tuple(i for i, v in enumerate(values) if v == top)
        near = [v for v in known if v != top and abs(v - top) <= noise * abs(top)]
        best = () if near else best
    return Difference(group, name, said, best)


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return (plain if len(plain) <= 90 else plain[:89] + "…") or "–"


def _foot(info: Info) -> str:
    same = f"the same: {', '.join(name.strip() for name in info.same)}" if info.same else ""
    if not info.rows:
        return f"nothing differs; {same}"
    return "; ".join(part for part in (_key(info), same) if part)


def _key(info: Info) -> str:
    tied = any(row.tied for row in info.rows)
    return "◆ best, ≈ within noise of the best" if tied else "◆ best"


def draw(info: Info, *, dark: bool = False) -> Any:
    """The table as a plotly ``Figure``."""
    import plotly.graph_objects as go

    look = theme(dark)
    cells = [[safe(row.name) for row in info.rows]]
    for i in range(len(info.targets)):
        said = [safe(row.mark(i) + row.values[i]) for row in info.rows]
        cells.append([
            f"<b>{text}</b>" if i in row.best else text
            for text, row in zip(said, info.rows, strict=True)
        ])  # fmt: skip
    align = ["left", *["right"] * len(info.targets)]
    common = {"align": align, "line": {"color": look.line, "width": 1}}
    figure = go.Figure(
        go.Table(
            header={
                **common, "values": ["", *(safe(short(t, 40)) for t in info.targets)],
                "fill": {"color": look.soft}, "font": {"size": 12, "color": look.text},
                "height": 30,
            },
            cells={
                **common, "values": cells, "fill": {"color": look.ground},
                "font": {"size": 12, "color": look.text}, "height": 27,
            },
        )
    )  # fmt: skip
    figure.update_layout(
        **layout(look, f"{info.title}: what differs ({_key(info)})"),
        height=110 + 28 * len(info.rows) + 30,
        margin={"l": 10, "r": 10, "t": 52, "b": 10},
    )
    return figure
