"""How results read: plain data first (`rows`, `info`), then a drawing of it.

Looks at types only: it is given runs, never an engine or a store.
"""
