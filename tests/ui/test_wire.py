"""What goes to the browser: only what changed, and all of it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

import navigator_lab
from navigator_lab.types.event import Finished, Planned, Started
from navigator_lab.types.outcome import Skipped
from navigator_lab.ui.panels import stages
from navigator_lab.ui.widgets import wire
from navigator_lab.ui.widgets.panel import Panel
from navigator_lab.views.board import Board

JS = Path(navigator_lab.__file__).parent / "ui/widgets/js/wire.js"


def plain(rnd, depth=0):
    """Some JSON."""
    kind = rnd.randrange(7 if depth < 3 else 5)
    if kind == 5:
        return {rnd.choice("abcdef"): plain(rnd, depth + 1) for _ in range(rnd.randrange(5))}
    if kind == 6:
        return [plain(rnd, depth + 1) for _ in range(rnd.randrange(5))]
    return [None, True, rnd.randrange(3), rnd.random(), rnd.choice(["", "x", "é\u2028"])][kind]


def moved(rnd, value, depth=0):
    """The same with a part of it changed."""
    if isinstance(value, dict) and value and depth < 3 and rnd.random() < 0.8:
        key = rnd.choice(list(value))
        made = {k: v for k, v in value.items() if rnd.random() < 0.9}
        return made | {key: moved(rnd, value[key], depth + 1)}
    if isinstance(value, list) and value and depth < 3 and rnd.random() < 0.8:
        at = rnd.randrange(len(value))
        made = [*value[:at], moved(rnd, value[at], depth + 1), *value[at + 1 :]]
        return made[: rnd.randrange(len(made) + 1)] if rnd.random() < 0.3 else made
    return plain(rnd, depth)


def test_the_browser_puts_together_what_python_took_apart(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: apt-get install nodejs")
    rnd = random.Random(1)
    cases = []
    while len(cases) < 400:
        old = {"top": plain(rnd), "list": [plain(rnd) for _ in range(3)]}
        new = moved(rnd, old)
        change = wire.change(old, new)
        if change is None:
            assert json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
        else:
            cases.append([old, change, new])
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "check.mjs").write_text(
        f"""
        import assert from "node:assert/strict";
        import {{ readFileSync }} from "node:fs";
        import {{ applied }} from {json.dumps(JS.as_uri())};
        const cases = JSON.parse(readFileSync({json.dumps(str(tmp_path / "cases.json"))}, "utf8"));
        for (const [old, change, made] of cases) {{
          assert.deepEqual(applied(old, change), made);
          assert.deepEqual(applied(made, change), made);
        }}
        console.log(cases.length);
        """
    )
    done = subprocess.run([node, str(tmp_path / "check.mjs")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "400\n"


def test_equal_to_python_is_not_the_same_to_a_browser():
    assert wire.change({"a": 1}, {"a": True}) == ["~", {"a": ["=", True]}, []]
    assert wire.change({"a": [1, 2]}, {"a": (1, 2)}) is None


class Wire:
    """The end of a comm: keeps what would be sent."""

    comm_id = "x"
    kernel = True

    def __init__(self):
        self.sent = []

    def send(self, data=None, **_):
        self.sent.append(json.loads(json.dumps(data)))

    def close(self, **_):
        pass

    def on_msg(self, _):
        pass


@pytest.fixture
def panel():
    made = Panel()
    made.comm = Wire()
    made.seen(made.sent)
    assert not made.comm.sent
    yield made
    made.comm = None


ROWS = {"rows": [{"target": f"onnx:fp32@ort-cuda:{i}", "p50_ms": 1.5 * i} for i in range(60)]}


def test_the_first_time_is_whole_then_only_what_changed_then_whole_on_request(panel):
    panel.results = ROWS
    (first,) = panel.comm.sent
    assert first["method"] == "update"
    assert first["state"]["results"] == ROWS
    number = first["state"]["sent"]["results"]
    rows = [dict(row) for row in ROWS["rows"]]
    rows[7]["p50_ms"] = 9
    panel.results = {"rows": rows}
    change = {"rows": ["~", {"7": ["~", {"p50_ms": ["=", 9]}, []]}, 60]}
    assert panel.comm.sent[1]["content"] == {
        "changes": {"results": [number + 1, ["~", change, []]]}
    }
    panel.whole()
    assert panel.comm.sent[2]["state"]["results"]["rows"][7]["p50_ms"] == 9
    assert panel.comm.sent[2]["state"]["sent"]["results"] == number + 2
    panel.whole()  # nothing is behind any more
    assert len(panel.comm.sent) == 3


def test_until_a_browser_listens_all_is_whole_and_then_what_it_lacks(panel):
    panel._heard = False
    panel.results = ROWS
    panel.results = {"rows": ROWS["rows"][:59]}
    assert [m["method"] for m in panel.comm.sent] == ["update", "update"]
    panel.seen({**panel.sent, "results": 1})
    assert set(panel.comm.sent[2]["state"]) == {"results", "sent"}
    panel.results = ROWS
    assert "changes" in panel.comm.sent[3]["content"]


def test_what_a_thread_gathers_goes_together_and_the_users_own_traits_whole(panel):
    with panel.gathered():
        panel.results = ROWS
        panel.printed = {"text": "a"}
        panel.selection = ["b"]
        assert not panel.comm.sent
    (one,) = panel.comm.sent
    assert set(one["state"]) == {"results", "printed", "selection", "sent"}
    panel.selection = ["c"]
    assert panel.comm.sent[1]["state"] == {"selection": ["c"]}


def test_what_goes_beside_a_change_does_not_stand_for_it(panel):
    panel.results = ROWS
    with panel.gathered():
        panel.results = {"rows": ROWS["rows"][:59]}
        panel.printed = {"text": "a"}
    change, whole = panel.comm.sent[1:]
    assert change["content"]["changes"]["results"][0] == 2
    assert set(whole["state"]) == {"printed", "sent"}
    assert whole["state"]["sent"]["results"] == 1


def test_a_browser_that_comes_later_is_given_all_there_is(panel):
    panel.results = ROWS
    panel.results = {"rows": ROWS["rows"][:59]}
    panel._handle_msg({"content": {"data": {"method": "request_state"}}})
    state = panel.comm.sent[-1]["state"]
    assert len(state["results"]["rows"]) == 59
    number = state["sent"]["results"]
    assert number > panel.sent["results"]  # which says when it was sent whole, to all others
    panel.results = ROWS  # and goes on from there
    assert panel.comm.sent[-1]["content"]["changes"]["results"][0] == number + 1


def test_two_minutes_of_sixty_targets_are_less_than_a_megabyte(panel):
    """480 drawings, in each of which one step moves on, then all of it whole at the end."""
    targets = [f"onnx:fp32@ort-cuda:{i}" for i in range(60)]
    kinds = ("build", "infer", "compare", "profile")
    board = Board()
    labels = [f"{kind} {target}" for kind in kinds for target in targets]
    board(Planned("run", tuple(labels), 0.0))
    for tick in range(480):
        label = labels[tick // 2]
        if tick % 2:
            board(Finished(label, Skipped("the worker died while it was opened"), tick / 4))
        else:
            board(Started(label, ("never run",), tick / 4))
        made = stages.job("running", "profile", targets, board, 0.0, tick / 4)
        states = {t: {"state": "queued", "text": f"{i + tick} of 4"} for i, t in enumerate(targets)}
        states |= {t: {"state": "off", "text": ""} for t in targets if t != targets[tick % 60]}
        panel.run_state = {**made, "states": states}
    panel.whole()
    total = sum(len(json.dumps(message)) for message in panel.comm.sent)
    assert len(panel.comm.sent) == 481
    assert panel.comm.sent[-1]["state"]["run_state"] == json.loads(json.dumps(panel.run_state))
    assert total < 1_000_000
    assert total < 480 * len(json.dumps(panel.run_state)) / 10
