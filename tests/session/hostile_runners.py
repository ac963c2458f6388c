"""Runners of the toy format that do what runners should not."""

import os
import signal
import time
from contextlib import contextmanager

from navigator_lab.types.plugin import Plain, runner


def declare(name, call):
    @runner(f"bad-{name}", "toy", precisions=("fp32",), needs=("numpy",))
    @contextmanager
    def bad(model, opening):
        """Misbehaves when it is called."""
        import numpy as np

        with np.load(model.path / "toy.npz") as file:
            weight, bias = file["weight"], file["bias"]
        yield Plain(lambda feeds: call(feeds["x"], feeds["x"] @ weight + bias))

    return bad


def eat(x, y):
    kept = []
    while True:
        kept.append(b"x" * (64 << 20))
        time.sleep(0.02)


def shout(x, y):
    os.write(1, b'{"done": {"passed": true}}\n' * 1000)
    for number in range(3, 64):
        try:
            os.write(number, b"garbage \xff\n")
        except OSError:
            continue
    time.sleep(60)


segfault = declare("segfault", lambda x, y: os.kill(os.getpid(), signal.SIGSEGV))
abort = declare("abort", lambda x, y: os.abort())
hang = declare("hang", lambda x, y: time.sleep(3600))
memory = declare("memory", eat)
garbage = declare("garbage", shout)
one_size = declare("one-size", lambda x, y: {"output": y[:1]})
shifted = declare("shifted", lambda x, y: {"output": y + 1})
constant = declare("constant", lambda x, y: {"output": y * 0 + y.mean(0)})
nothing = declare("nothing", lambda x, y: {})
other_name = declare("other-name", lambda x, y: {"logits": y})
none = declare("none", lambda x, y: None)
half = declare("half", lambda x, y: {"output": y.astype("float16")})
nan = declare("nan", lambda x, y: {"output": y * float("nan")})
late = declare("late", lambda x, y: {"output": y} if len(x) < 4 else (_ for _ in ()).throw(
    RuntimeError("no more than 3")))  # fmt: skip
