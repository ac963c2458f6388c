"""Importing the package, and collecting the plug-ins, costs nothing and changes nothing."""

import subprocess
import sys

HEAVY = (
    "torch", "torchvision", "tensorflow", "keras", "jax", "onnx", "onnxscript", "onnxruntime",
    "openvino", "nncf", "tensorrt", "plotly", "ipywidgets", "anywidget", "IPython", "numpy",
    "pandas", "tritonclient", "rich", "sklearn",
)  # fmt: skip


def loaded(code: str) -> tuple[set[str], str]:
    code = f"import sys\n{code}\nprint('MODULES', *sys.modules)"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    said, _, modules = made.stdout.partition("MODULES")
    return set(modules.split()), said + made.stderr


def test_import_loads_no_framework_and_prints_nothing():
    modules, said = loaded("import navigator_lab")
    assert not modules & set(HEAVY)
    assert said == ""


def test_the_catalog_loads_no_framework():
    modules, said = loaded(
        "from navigator_lab.catalog import Catalog\n"
        "c = Catalog.installed()\nassert 'onnx' in c.formats and not c.broken"
    )
    assert not modules & set(HEAVY)
    assert said == ""


def test_the_session_and_cli_load_no_framework():
    modules, _ = loaded("import navigator_lab.session, navigator_lab.cli")
    assert not modules & {*HEAVY} - {"numpy"}


def test_import_sets_nothing_global():
    _, said = loaded(
        "import logging, signal, multiprocessing, warnings, os\n"
        "def state(): return (logging.root.level, list(logging.root.handlers),"
        " signal.getsignal(signal.SIGINT), multiprocessing.get_start_method(allow_none=True),"
        " list(warnings.filters), dict(os.environ))\n"
        "before = state()\nimport navigator_lab\nnavigator_lab.explore\n"
        "assert state() == before, 'changed'"
    )
    assert said == ""


def test_exported_names_are_the_public_ones():
    import navigator_lab as nav

    assert nav.__all__ == sorted(nav.__all__, key=lambda n: n)
    for name in nav.__all__:
        assert getattr(nav, name) is not None
