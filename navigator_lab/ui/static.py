"""Snapshots: what is left of a view where nothing runs. Words, tables and small inline SVG.

They read the same on a file viewer without a kernel, and in a notebook whose kernel is gone.
Every value is escaped; there is no script and no style sheet in them.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from ..views.numbers import interval, ratio, seconds, significant
from ..views.theme import LIGHT, SHAPES, colours, short

# words


def front_text(info: Any) -> str:
    """The front of a Pareto view, a line a point."""
    if not info.front:
        return f"{info.title}: no target is on the front of {info.x_words}"
    lines = [f"{info.title}: the front, {info.y_words} against {info.x_words}"]
    for index, batch in info.front:
        line = info.lines[index]
        point = next(p for p in line.points if p.batch == batch)
        x = interval(point.x, point.x_low, point.x_high)
        y = interval(point.y, point.y_low, point.y_high)
        lines.append(
            f"  {line.target:<36} batch {batch:>3}  {x:>16} {info.x_unit.split()[0]:<3} {y:>18} /s"
        )
    return "\n".join(lines)


def heatmap_text(info: Any) -> str:
    """The worst output of each target."""
    lines = [f"{info.title}: {info.passed} of {len(info.lines)} targets within tolerance"]
    for line in info.lines:
        worst = "–" if line.worst is None else f"{ratio(line.worst)} × the tolerance"
        lines.append(f"  {'✓' if line.passed else '×'} {line.target:<36} {worst}")
    return "\n".join(lines)


def latency_text(info: Any) -> str:
    """The curve of each target as a line."""
    lines = [f"{info.title}: {info.kind.replace('_ms', '')}, ms by batch"]
    for line in info.lines:
        said = "  ".join(f"{p.batch}: {significant(p.ms)}" for p in line.points)
        lines.append(f"  {line.target:<36} {said}")
    return "\n".join(lines)


def parallel_text(info: Any) -> str:
    """How many targets and axes there are."""
    return (
        f"{info.title}: {len(info.lines)} targets by {', '.join(info.axes) or 'nothing measured'}"
    )


def timeline_text(info: Any) -> str:
    """The longest steps."""
    head = (
        f"{info.title}: {info.ran} steps ran in {seconds(info.total)}, {info.cached} from the store"
    )
    ran = sorted((b for b in info.bars if b.end > b.start), key=lambda b: b.start - b.end)[:8]
    return "\n".join([head, *(f"  {b.step:<50} {b.end - b.start:8.2f} s" for b in ran)])


def surface_text(info: Any) -> str:
    """How much is equal, and the worst."""
    said = f"{info.target} → {info.output}: {info.exact} of {info.elements} elements are equal"
    worst = info.worst
    if worst is not None:
        said += f"; worst |Δ| {worst.error:.3g} at sample {worst.sample}, index {list(worst.index)}"
    return said


# pictures


def pareto_html(info: Any) -> str:
    """The Pareto view as one SVG of a few kilobytes, and its front as a table."""
    return f'<div class="navigator-snapshot">{pareto_svg(info)}{front_table(info)}</div>'


def front_table(info: Any) -> str:
    """The front as an HTML table."""
    rows = ""
    for index, batch in info.front:
        line = info.lines[index]
        point = next(p for p in line.points if p.batch == batch)
        gain = "" if point.gain is None else f"{significant(point.gain, 2)}×"
        cells = (
            line.target, str(batch), interval(point.x, point.x_low, point.x_high),
            interval(point.y, point.y_low, point.y_high), gain,
        )  # fmt: skip
        rows += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    unit = info.x_unit.split()[0]
    heads = ("on the front", "batch", f"{info.x_words}, {unit}", f"{info.y_words}, /s", "gain")
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""


def pareto_svg(info: Any, width: int = 720, height: int = 320) -> str:
    """Points, lines by target, and the step line of the front."""
    points = [(line, p) for line in info.lines for p in line.points if p.x > 0]
    if not points:
        return "<p>Nothing was measured yet.</p>"
    xs = [math.log10(p.x) for _, p in points]
    low, high = min(xs), max(xs)
    pad = max((high - low) * 0.06, 0.05)
    low, high = low - pad, high + pad
    top = max(p.y for _, p in points) * 1.1
    left, right, bottom = 64, width - 12, height - 34

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low)
        return left + (right - left) * across, bottom - (bottom - 10) * y / top

    hues = colours(line.family for line in info.lines)
    parts = [_grid(info, low, high, top, at, left, right, bottom)]
    for line in info.lines:
        spots = [at(p.x, p.y) for p in line.points if p.x > 0]
        hue, wrong = hues[line.family], not line.fit
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        dash = ' stroke-dasharray="2 3"' if wrong else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{hue}" opacity=".6"{dash}>'
            f"<title>{escape(line.target)}</title></polyline>"
        )
        sign = "×" if wrong else SHAPES.get(line.precision, ("", "★"))[1]
        for (x, y), p in zip(spots, [p for p in line.points if p.x > 0], strict=True):
            colour = LIGHT.wrong if wrong else hue
            faded = 1 if p.front else 0.55
            parts.append(
                f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="12" '
                f'fill="{colour}" opacity="{faded}">{sign}<title>{escape(line.target)}, batch '
                f"{p.batch}</title></text>"
            )
    if info.steps:
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in info.steps)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{LIGHT.text}" stroke-width="1.5"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'style="max-width:100%;background:#fff" role="img" font-family="sans-serif" '
        f'aria-label="{escape(front_text(info), quote=True)}">{"".join(parts)}</svg>'
    )


def _grid(
    info: Any, low: float, high: float, top: float, at: Any, left: int, right: int, bottom: int
) -> str:
    small = f'font-size="11" fill="{LIGHT.muted}"'
    made = ""
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for k in (1, 2, 5):
            value = k * 10.0**decade
            if low <= math.log10(value) <= high:
                x, _ = at(value, 0)
                made += f'<path d="M{x:.1f} 10V{bottom}" stroke="{LIGHT.line}"/>'
                made += f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" {small}>{value:g}</text>'
    step = 10.0 ** math.floor(math.log10(top / 2))
    step = next(k * step for k in (1, 2, 5, 10) if top / (k * step) <= 6)
    for i in range(int(top / step) + 1):
        _, y = at(10**low, i * step)
        made += f'<path d="M{left} {y:.1f}H{right}" stroke="{LIGHT.line}"/>'
        made += f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" {small}>{significant(i * step, 2)}</text>'
    x_title = escape(f"{info.x_words}, {info.x_unit} (log) →")
    made += f'<text x="{right}" y="{bottom + 30}" text-anchor="end" {small}>{x_title}</text>'
    made += f'<text x="{left}" y="{bottom + 30}" {small}>{escape(f"↑ {info.y_words}, {info.y_unit}")}</text>'
    return made


def heatmap_html(info: Any) -> str:
    """The heatmap as a table whose cells have a colour and a number."""
    if not info.lines:
        return "<p>Nothing was compared yet.</p>"
    head = "".join(f"<th>{escape(short(name, 24))}</th>" for name in info.outputs)
    body = ""
    for line in info.lines:
        cells = ""
        for cell in line.cells:
            wrong = cell.ratio > 1 or bool(cell.problem)
            said = (
                "–"
                if math.isnan(cell.ratio)
                else "∞"
                if math.isinf(cell.ratio)
                else ratio(cell.ratio)
            )
            said = f"<b>× {escape(said)}</b>" if wrong else escape(said)
            cells += f'<td style="background:{_shade(cell.ratio)};color:#1c1c1c">{said}</td>'
        body += (
            f'<tr><th scope="row" style="text-align:left">{escape(line.target)}</th>{cells}</tr>'
        )
    return (
        '<div class="navigator-snapshot"><p>error ÷ tolerance: '
        f"{info.passed} of {len(info.lines)} targets keep it</p>"
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _shade(value: float) -> str:
    if math.isnan(value):
        return "transparent"
    level = math.log10(min(max(value, 1e-3), 10.0))
    end, share = (LIGHT.high, level) if level > 0 else (LIGHT.low, -level / 3)
    mixed = [
        round(int(LIGHT.middle[i : i + 2], 16) * (1 - share) + int(end[i : i + 2], 16) * share)
        for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def snapshot(explored: Any) -> str:
    """A whole run as static HTML: the front as a picture, and the table of results."""
    from ..views import pareto

    drawn = pareto_html(pareto.info(explored)) if any(r.batches for r in explored.results) else ""
    return f'<div class="navigator-snapshot">{explored.results._repr_html_()}{drawn}</div>'
