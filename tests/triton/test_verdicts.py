"""Our verdict on a configuration is the real server's, in its words.

A table of 32 files that others wrote and of one case for each rule. The words in it are those of a
real server; a slow test asks that server again. Run as a script, this asks it for what the
table lacks; with ``--all``, for everything.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest
import triton_cases as cases
from triton_judge import ANY, judge

from navigator_lab.triton.checks import check
from navigator_lab.triton.modelconfig import ModelConfig

HERE = Path(__file__).with_name("configs")
TABLE = HERE / "verdicts.json"
FILES = sorted(path.stem for path in HERE.glob("*.pbtxt"))
WORDS = json.loads(TABLE.read_text()) if TABLE.exists() else {}
# What else is judged: the same file with what its family would have beside it.
BESIDE = {
    "00_model_repository__densenet_onnx": {"densenet_labels.txt": "a\n"},
    "34_tensorrt__bad_input_shape_tensor": {"1/model.plan": ""},
    "36_tensorrt__bad_outut_non_linear_format_io": {"1/model.plan": ""},
    "38_noautofill_platform__batch_input_less_source3": {"1/model.onnx": ""},
    "20_noautofill_platform__batch_output_duplicated_target": {"1/model.onnx": ""},
    "40_noautofill_platform__zerodims_input0": {"1/model.xml": ""},
    "50_common__no_version": {"1/model.pt": ""},
    "62_onnx__bad_input_dims": {"1/model.onnx": ""},
}
ROWS = [*FILES, *(f"{name} with {' '.join(more)}" for name, more in BESIDE.items())]


def place(root: Path, row: str) -> tuple[Path, str]:
    """A repository with one of the files in it, and the model's name."""
    file, _, more = row.partition(" with ")
    text = (HERE / f"{file}.pbtxt").read_text()
    name = ModelConfig(text).name or file.partition("__")[2]
    folder = root / row.replace(" ", "_").replace("/", "_") / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(text)
    if 'backend: "python"' in text:
        (folder / "1/model.py").write_text(ANY)
    for path, data in BESIDE[file].items() if more else ():
        (folder / path).write_text(data)
    return folder.parent, name


def everything(root: Path) -> dict[str, tuple[Path, str]]:
    """All that is judged, by its key in the table."""
    asked = {row: place(root, row) for row in ROWS}
    for name in cases.CASES:
        cases.write(root / "cases", name)
    asked |= {f"case {name}": (root / "cases", name) for name in cases.CASES}
    for name in cases.TEXTS:
        cases.write_text(root / "texts", name)
    asked |= {f"text {name}": (root / "texts", name) for name in cases.TEXTS}
    cases.write_pipelines(root / "pipelines")
    return asked | {f"pipeline {name}": (root / "pipelines", name) for name in cases.PIPELINES}


def same(ours: list[str], words: str) -> bool:
    """The same verdict, and one of ours in the server's words."""
    if not words:
        return not ours
    return any(one in words or words in one for one in ours)


def refusals(repository: Path, name: str) -> list[str]:
    """What we would say is refused on a server without GPUs; its own paths are left out."""
    found = check(repository, gpus=0, files=False)
    return [
        one.message.replace(str(repository), "…")
        for one in found
        if one.error and one.model == name
    ]


def test_the_table_is_whole(tmp_path):
    assert set(WORDS) == set(everything(tmp_path))
    assert len(FILES) == 32
    assert sum(not words for words in WORDS.values()) > 40
    assert sum(bool(words) for words in WORDS.values()) > 80


@pytest.mark.parametrize("row", ROWS)
def test_files_of_others(row, tmp_path):
    ours = refusals(*place(tmp_path, row))
    assert same(ours, WORDS[row]), (ours, WORDS[row])


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_for_each_rule(name, tmp_path):
    cases.write(tmp_path, name)
    ours = refusals(tmp_path, name)
    assert same(ours, WORDS[f"case {name}"]), (ours, WORDS[f"case {name}"])


@pytest.mark.parametrize("name", cases.TEXTS)
def test_texts(name, tmp_path):
    """Here the verdict counts: parsers have words of their own."""
    cases.write_text(tmp_path, name)
    assert bool(refusals(tmp_path, name)) == bool(WORDS[f"text {name}"])


def test_pipelines(tmp_path):
    cases.write_pipelines(tmp_path)
    wrong = {
        name: (refusals(tmp_path, name), WORDS[f"pipeline {name}"])
        for name in cases.PIPELINES
        if not same(refusals(tmp_path, name), WORDS[f"pipeline {name}"])
    }
    # A circle has no first model: the server only says that none of them is there.
    assert set(wrong) <= {"circle", "round", "itself"}
    assert all(ours and theirs for ours, theirs in wrong.values())


@pytest.mark.parametrize("file", FILES)
def test_files_of_others_are_kept_whole(file):
    config = ModelConfig((HERE / f"{file}.pbtxt").read_text())
    assert ModelConfig(config.text) == config
    assert ModelConfig(**config.to_dict()) == config
    assert config.differences(ModelConfig(config.text)) == []


@pytest.mark.slow
@pytest.mark.timeout(1500)  # 270 loads, a second or so for each that is taken
def test_a_real_server_says_so_again(tmp_path):
    said = judge(everything(tmp_path))
    assert said == WORDS


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asked = everything(Path(made))
        kept = {} if "--all" in sys.argv else {k: v for k, v in WORDS.items() if k in asked}
        kept |= judge({key: one for key, one in asked.items() if key not in kept})
        TABLE.write_text(json.dumps({k: kept[k] for k in asked}, indent=1, ensure_ascii=False))
