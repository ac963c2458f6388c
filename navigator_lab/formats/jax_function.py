"""A jitted JAX function with its parameters, pickled by value: a source, which nothing builds."""

from __future__ import annotations

from navigator_lab.types.plugin import Format

FORMAT = Format("jax", "callable.pkl", "a jitted JAX function, its parameters bound", family="JAX")
