"""Words for foreign errors."""

from __future__ import annotations

import pytest

from navigator_lab.stages.calls import Refused, out_of_memory, words


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("std::bad_alloc"),
        RuntimeError(
            "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer"
        ),
        type("OutOfMemoryError", (RuntimeError,), {})("x"),
        RuntimeError("killed: OOM"),
    ],
)
def test_memory_that_ran_out(error):
    assert out_of_memory(error)


@pytest.mark.parametrize("text", ["BloomForCausalLM", "no room", "memory format"])
def test_other_errors(text):
    assert not out_of_memory(RuntimeError(text))


def test_the_start_and_the_end_of_a_long_message_are_kept():
    said = words(ValueError("start\n" + "x" * 5000 + "\n end"))
    assert said.startswith("ValueError: start x")
    assert said.endswith("x end")
    assert len(said) < 600
    assert words(KeyError()) == "KeyError"
    assert words(Refused("a fact", "a remedy")) == "a fact"
