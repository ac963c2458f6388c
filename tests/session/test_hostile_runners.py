"""One bad candidate never hurts another, and no wrong answer is a good row."""

from pathlib import Path

import numpy as np
import pytest

import navigator_lab as nav
from navigator_lab.testing import Affine

PLUGINS = ["navigator_lab.testing", Path(__file__).with_name("hostile_runners.py")]
FAILS = {  # no answer: and the true reason
    "segfault": "SIGSEGV",
    "abort": "SIGABRT",
    "hang": "no answer within",
    "memory": "more than",
    "garbage": "garbage",
    "one-size": "",
    "nothing": "output",
    "other-name": "output",
    "none": "",
    "late": "no more than 3",
}
WRONG = {  # an answer, and not the right one
    "shifted": "times the tolerance",
    "constant": "times the tolerance",
    "half": "float16",
    "nan": "NaN",
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    x = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
    with nav.explore(
        Affine(), {"x": x}, workspace=tmp_path_factory.mktemp("w"), plugins=PLUGINS
    ) as lab:
        results = lab.run(
            formats=["toy"], precisions=["fp32"], seconds=0.05, max_batch=2, min_calls=5,
            timeout_s=5, memory_limit_bytes=800 << 20,
        )  # fmt: skip
        rows = {row.runner.removeprefix("bad-"): row for row in results}
        rows["chosen"] = lab.choose("throughput").target
        yield rows


def test_the_good_one_is_chosen_among_them(rows):
    assert rows["toy"].passed
    assert rows["toy"].throughput
    assert rows["chosen"] == "toy:fp32@toy-cpu"
    assert set(FAILS) | set(WRONG) | {"toy", "chosen"} == set(rows)


@pytest.mark.parametrize("name", FAILS)
def test_no_answer_is_a_failed_row_with_its_reason(rows, name):
    row = rows[name]
    if name == "one-size" and row.status == "done":
        assert row.passed is False
        return
    assert row.status == "failed", row
    assert FAILS[name] in row.reason
    assert not row.throughput


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_never_a_good_row(rows, name):
    row = rows[name]
    assert row.passed is False
    assert WRONG[name] in row.reason
