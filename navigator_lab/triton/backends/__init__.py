"""Stand-ins for Triton's C++ backends, one folder each, as Python-based backends of their names.

They run inside a server's stub processes, never in ours. They prove that a package loads (names,
types, dims and batch of the configuration against the model file) and answers right. They prove
nothing about the speed of the C++ backends, about GPUs, or about what only the C++ code refuses.
"""
