"""Rows made by hand, so that what a view must say is known."""

from navigator_lab.types.run import Row


def measured(batch, ms, throughput, spread=0.02):
    """A batch as rows have it."""
    made = {"batch": batch, "calls": 50, "stable": True, "note": "", "p90_ms": ms * 1.1,
            "p95_ms": ms * 1.2}  # fmt: skip
    for name, value in (("p50_ms", ms), ("p99_ms", ms * 1.5), ("throughput", throughput)):
        made |= {name: value, f"{name}_low": value * (1 - spread),
                 f"{name}_high": value * (1 + spread)}  # fmt: skip
    return made


def made_row(target, points, **more):
    """A row of a target with (batch, ms, samples a second) points."""
    format, _, rest = target.partition(":")
    precision, _, where = rest.partition("@")
    runner, _, device = where.rpartition("-")
    batches = tuple(measured(*p) for p in points)
    facts = {
        "status": "done", "passed": True, "within_tolerance": True, "worst_ratio": 0.5,
        "ratios": {"scores": 0.5}, "size_bytes": 1000, "host_peak_bytes": 2_000_000,
        "load_ms": 3.0, "stages": {"profile": "done"},
    }  # fmt: skip
    return Row(
        target=target, format=format, precision=precision, runner=runner, device=device,
        batches=batches, p50_ms={b["batch"]: b["p50_ms"] for b in batches},
        throughput={b["batch"]: b["throughput"] for b in batches}, **{**facts, **more},
    )  # fmt: skip
