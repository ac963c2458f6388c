"""navigator_lab: from a model to its best deployment on Triton Inference Server."""
