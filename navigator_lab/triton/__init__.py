"""The shipping side: what goes into a Triton model repository, and a server to try it on.

- `config`: Triton's own ``ModelConfig``, as text and back
- `tensors`, `native`, `carry`: how a target is said to Triton: its backend, or the Python backend
  with the measured runner
- `artefact`: what a model file says of itself
- `rehearsal`: whether the backend computes what was measured
- `repository`: adding to a repository, whole or not at all
- `checks`: what a server would refuse
- `runtime`, `server`, `keeper`, `backends`: a real ``tritonserver`` on loopback

Which package a user gets is the stage's business (`navigator_lab.stages.package`); nothing here
knows of engines or sessions.
"""
