"""What a key is made of, and how a miss is explained."""

import codecs
import importlib
import sys
import threading
from pathlib import Path

import pytest

from navigator_lab.engine import keys
from navigator_lab.engine.keys import Codes, difference, facts, key
from navigator_lab.types.plugin import Action, Host
from navigator_lab.types.step import Step
from navigator_lab.types.target import Target

HOST = Host("cpu", 2, 1 << 30)
SOURCE = '''
"""A plug-in."""
from . import helper

LIMIT = 3

def act(at):
    """Do it."""
    return helper.double(LIMIT)  # a comment
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "keyed"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "plugin.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [m for m in sys.modules if m.startswith("keyed")]:
        del sys.modules[name]


def code(folder):
    for name in [m for m in sys.modules if m.startswith("keyed")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return Codes().of(importlib.import_module("keyed.plugin").act)


def test_comments_layout_and_docstrings_do_not_count(package):
    before = code(package)
    text = SOURCE.replace("# a comment", "# another").replace("Do it.", "Really do it.")
    (package / "plugin.py").write_text(text.replace("LIMIT = 3", "LIMIT = (\n    3\n)"))
    assert code(package) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("plugin.py", "LIMIT = 3", "LIMIT = 4"), ("helper.py", "2 * x", "3 * x")],
)
def test_code_counts_here_and_in_what_it_imports(package, file, old, new):
    before = code(package)
    path = package / file
    path.write_text(path.read_text().replace(old, new))
    assert code(package) != before


def facts_of(action, step, versions, host=HOST):
    return facts(step, [action], {"model": "m" * 64}, host, versions.get, Codes())


def test_only_what_matters_enters(package):
    act = importlib.import_module("keyed.plugin").act
    plain = Action("a", act, needs=("numpy|other",))
    known = facts_of(plain, Step("a"), {"other": "1.2"})
    assert known["packages"] == {"other": "1.2"}
    assert "hardware" not in known
    timed = Action("a", act, hardware=True)
    assert facts_of(timed, Step("a"), {})["hardware"]["cores"] == 2
    # A gate and a label are no facts.
    assert key(facts_of(plain, Step("a", label="x"), {})) == key(facts_of(plain, Step("a"), {}))


def test_a_miss_says_which_fact_changed(package):
    act = importlib.import_module("keyed.plugin").act
    action = Action("a", act, needs=("numpy",), hardware=True)
    target = Target.parse("onnx:fp32@ort-cpu")
    before = facts_of(action, Step("a", target, 17), {"numpy": "2.0"})
    after = facts_of(action, Step("a", target, 20), {"numpy": "2.1"}, Host("cpu", 4, 1 << 30))
    assert difference(before, after) == (
        "hardware.cores: 2 -> 4",
        "options: 17 -> 20",
        "packages.numpy: 2.0 -> 2.1",
    )
    assert difference(None, after) == ("never run",)
    assert difference(after, after) == ("its result is no longer in the store",)


def test_many_threads_may_read_code_at_once():
    source = Path(codecs.__file__).read_bytes()
    wrong = []

    def read():
        try:
            for _ in range(8):
                keys._parsed(source)
        except SystemError as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
