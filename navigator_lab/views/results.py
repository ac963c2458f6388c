"""Rows as a table: text for a terminal, HTML for a notebook, a DataFrame for the rest.

Every value that comes from a model, a file or a message is escaped.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..errors import unknown
from ..types.codec import encode
from ..types.run import Row
from .choice import folded
from .numbers import bytes_, interval, ratio, significant

if TYPE_CHECKING:
    import pandas

MARK = {"done": "✓", "failed": "✗", "skipped": "»", "cancelled": "■"}
WRONG = "×"  # an answer, but a wrong one


class Results(Sequence[Row]):
    """The rows of a run, one a target. Indexed by position, or by a target's text form."""

    def __init__(self, rows: Sequence[Row], title: str = "", baseline: str = "") -> None:
        self.rows = tuple(rows)
        self.title = title
        self.baseline = baseline
        found = dict.fromkeys(
            name
            for row in self.rows
            for name, value in row.metrics.items()
            if isinstance(value, int | float) and name != "passed"
        )
        self._metrics = tuple(found)[:_METRICS]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            for row in self.rows:
                if row.target == index:
                    return row
            raise KeyError(index)
        return self.rows[index]

    def only(self, targets: Iterable[str]) -> Results:
        """The rows of these targets, in the order that they have here.

        Raises:
            RequestError: a target that has no row.
        """
        wanted, have = set(targets), [row.target for row in self.rows]
        for name in wanted.difference(have):
            raise unknown("target", name, have)
        return Results(
            [row for row in self.rows if row.target in wanted], self.title, self.baseline
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """Plain data, as ``--json`` prints it: a dict a target."""
        made: list[dict[str, Any]] = []
        for row in self.rows:
            data = {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
            plain = encode(data)
            made.append(_finite(plain))
        return made

    def to_frame(self) -> pandas.DataFrame:
        """A pandas DataFrame with the columns of `Row`, one line a target."""
        import pandas

        names = [f.name for f in dataclasses.fields(Row)]
        data = [[getattr(row, name) for name in names] for row in self.rows]
        return pandas.DataFrame(data, columns=names)

    # as text

    def __repr__(self) -> str:
        if not self.rows:
            return "no results yet: lab.run(...) makes some"
        import io

        from rich.console import Console

        sink = io.StringIO()
        # Not as in Jupyter: there rich would display what is to be a string.
        console = Console(
            file=sink, width=150, no_color=True, legacy_windows=False, force_jupyter=False
        )
        console.print(self.__rich__())
        return sink.getvalue().rstrip()

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
        shown, columns, cells = self._filled()
        last = len(columns) - 1 if columns and columns[-1][0] == "why" else len(columns)
        for name, side in columns[:last]:
            table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
        for row, texts in zip(shown, cells, strict=True):
            style = {"failed": "red", "cancelled": "dim"}.get(row.status, "")
            style = "magenta" if row.passed is False and row.status == "done" else style
            table.add_row(*(Text(text) for text in texts[:last]), style=style)
        parts: list[Any] = [table] if shown else []
        # Why stands under the table: a reason is a sentence, and a column would break it in ten.
        for row in shown:
            if row.reason:
                colour = "magenta" if row.status == "done" else "red"
                named = "" if row.target in row.reason else f"{row.target}: "
                parts.append(Text(f"{mark(row)} {named}{_why(row)}", style=colour))
        parts += [Text(line, style="dim") for line in self._left_out()]
        return Group(*parts)

    def _columns(self) -> tuple[tuple[str, str], ...]:
        """Heading and side of each; the user's own metrics stand beside our accuracy."""
        shown = (name if len(name) <= 16 else f"{name[:15]}…" for name in self._metrics)
        return (*_COLUMNS[:4], *((name, "right") for name in shown), *_COLUMNS[4:])

    def _filled(self) -> tuple[list[Row], list[tuple[str, str]], list[list[str]]]:
        """The rows that are shown, and their columns: not those in which nothing stands yet."""
        shown = [row for row in self.rows if row.status != "skipped" or row.stages]
        cells = [self._cells(row) for row in shown]
        kept = [i for i in range(len(self._columns())) if any(texts[i] for texts in cells)]
        columns = self._columns()
        return shown, [columns[i] for i in kept], [[texts[i] for i in kept] for texts in cells]

    def _cells(self, row: Row) -> list[str]:
        best = row.best()
        first = min(row.batches, key=lambda b: b["batch"], default=None)
        return [
            mark(row),
            row.target,
            "" if row.worst_ratio is None else ratio(row.worst_ratio),
            "" if row.sqnr_db is None else f"{row.sqnr_db:.0f}",
            *(_metric(row.metrics.get(name)) for name in self._metrics),
            "" if first is None else interval(
                first["p50_ms"], first["p50_ms_low"], first["p50_ms_high"]),
            "" if best is None else interval(best.value, best.low, best.high),
            "" if best is None else str(self._best_batch(row)),
            self._gain(row),
            "" if row.size_bytes is None else bytes_(row.size_bytes),
            _why(row),
        ]  # fmt: skip

    @staticmethod
    def _best_batch(row: Row) -> int:
        return int(max(row.batches, key=lambda b: b["throughput"])["batch"])

    def _gain(self, row: Row) -> str:
        best = row.best()
        base = next((r.best() for r in self.rows if r.target == self.baseline), None)
        if best is None or base is None or not base.value:
            return ""
        return f"{significant(best.value / base.value, 2)}×"

    def _left_out(self) -> list[str]:
        """Targets that can't be had here, gathered by their reason."""
        out = [
            (row.target, f"{row.reason}{f' ({row.remedy})' if row.remedy else ''}")
            for row in self.rows
            if row.status == "skipped" and not row.stages
        ]
        return [f"» {who}: {why}" for who, why in folded(out)]

    # as HTML

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<p>No results yet. <code>lab.run(…)</code> makes some.</p>"
        shown, columns, cells = self._filled()
        head = "".join(f'<th style="text-align:{side}">{escape(n)}</th>' for n, side in columns)
        body = ""
        for row, texts in zip(shown, cells, strict=True):
            line = "".join(
                f'<td style="text-align:{side}">{escape(cell)}</td>'
                for cell, (_, side) in zip(texts, columns, strict=True)
            )
            body += f'<tr title="{escape(row.remedy, quote=True)}">{line}</tr>'
        rest = "".join(f"<li>{escape(line)}</li>" for line in self._left_out())
        counted = Counter(row.status for row in self.rows)
        said = ", ".join(f"{n} {word}" for word, n in counted.items())
        title = f"{escape(self.title)}: " if self.title else ""
        more = f"<details><summary>{len(self.rows) - len(shown)} not available here</summary>"
        more += f"<ul>{rest}</ul></details>"
        return (
            f'<div class="navigator-results"><p>{title}{escape(said)}</p>'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"{more if rest else ''}</div>"
        )


_COLUMNS = (
    ("", "left"),
    ("target", "left"),
    ("error÷tol", "right"),
    ("SQNR dB", "right"),
    ("p50 ms, batch 1", "right"),
    ("best /s", "right"),
    ("batch", "right"),
    ("gain", "right"),
    ("size", "right"),
    ("why", "left"),
)


_METRICS = 3  # of the user's own, as columns; all are in the frame


def _metric(value: Any) -> str:
    if value is None:
        return ""
    return significant(value, 4) if isinstance(value, float) else str(value)


def mark(row: Row) -> str:
    """A row's state as one sign: a wrong answer is not a missing one."""
    if row.status == "done" and row.passed is False:
        return WRONG
    return MARK[row.status]


def _why(row: Row) -> str:
    text = " ".join(row.reason.split())
    text = text if len(text) <= 160 else text[:157] + "…"
    if row.remedy and row.status != "done":
        text += f" → {row.remedy}"
    return text


def _finite(data: Any) -> Any:
    """NaN and infinities as null: strict JSON has no word for them."""
    if isinstance(data, dict):
        if data.get("is") == "float":
            return None
        return {k: _finite(v) for k, v in data.items() if k != "is"}
    return [_finite(v) for v in data] if isinstance(data, list) else data
