"""What the dashboard sends to a browser: opened on the digits CNN, then a run of most that it can be.

    python tests/benchmarks/bench_wire.py [seconds of one batch size]

Bytes of the messages as a kernel packs them, by kind. Nothing here is a test; `tests/ui/test_wire.py`
holds the bound.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import navigator_lab as nav
from navigator_lab.demo import digits
from navigator_lab.ui.dashboard import Dashboard


class Counting:
    """The kernel's end of a comm."""

    comm_id, kernel = "bench", True

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()
        self.messages = 0

    def send(self, data=None, **_) -> None:
        self.messages += 1
        inner = data.get("state") or (data.get("content") or {}).get("changes") or {}
        self.bytes["the frame of each message"] += 500  # header, parent header, signature
        for name, value in inner.items():
            self.bytes[name] += len(json.dumps(value)) + len(name) + 4

    def close(self, **_) -> None: ...

    def on_msg(self, _) -> None: ...


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
    with tempfile.TemporaryDirectory() as folder:
        made = digits(Path(folder))
        lab = nav.explore(made.model, made.images, name="digits", workspace=folder)
        panel = Dashboard(lab, namespace={})
        panel.comm = wire = Counting()
        panel.seen(panel.sent)
        opened = sum(len(json.dumps(v)) for v in panel.get_state().values())
        panel.settle()
        panel.settings = {"max_batch": 32, "seconds": seconds}
        every = panel.matrix["presets"]["all"]["targets"]
        # What compiles takes minutes in which nothing is sent.
        panel.wanted = [t for t in every if "aoti" not in t and "@compile" not in t]
        began = time.monotonic()
        panel.run("profile").wait()
        while panel.run_state["state"] == "running":
            panel.settle()
        panel.settle()
        took = time.monotonic() - began
        total = sum(wire.bytes.values())
        print(f"opened: {opened / 1e3:.0f} kB, of which the script {len(panel._esm) / 1e3:.0f} kB")
        print(f"a run of {len(panel.wanted)} targets, {took:.0f} s: {wire.messages} messages, "
              f"{total / 1e3:.0f} kB, {total / took / 1e3:.1f} kB/s")  # fmt: skip
        for name, count in wire.bytes.most_common():
            print(f"  {name:<28} {count / 1e3:8.1f} kB")
        panel.close()
        lab.close()


if __name__ == "__main__":
    main()
