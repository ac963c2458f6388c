"""Pipelines of models: an ensemble's configuration, checked across its edges, drawn, and written.

Steps are models that lie in a repository, or Python functions before and after them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import PackageError, unknown
from .checks import check_config
from .checks.pipeline import Member, pipeline
from .modelconfig import ModelConfig
from .pythonmodel import Call, PythonModel, bls_source
from .repositories import Repository
from .repository import checked_name


@dataclass(frozen=True, slots=True)
class Step:
    """One model of a pipeline.

    ``inputs`` and ``outputs`` map its own names to tensors of the pipeline; those that are left out
    keep their names. ``version`` -1 is the newest.
    """

    model: str | PythonModel
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    version: int = -1

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model if isinstance(self.model, str) else self.model.name


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A pipeline that a server would take. ``models`` are those of its steps that it brings."""

    config: ModelConfig
    calls: tuple[Call, ...]
    models: tuple[PythonModel, ...]
    members: Mapping[str, ModelConfig]

    @property
    def name(self) -> str:
        """The ensemble's name."""
        return str(self.config.name)

    def save(self, repository: str | Path | Repository, *, overwrite: bool = False) -> str:
        """Write it into a repository: first the models that it brings, then itself.

        Raises:
            PackageError: a step's model isn't there, or something would be overwritten.
        """
        there = repository if isinstance(repository, Repository) else Repository(repository)
        brought = {model.name for model in self.models}
        for call in self.calls:
            if call.model not in brought and call.model not in there:
                raise unknown(f"model of {there.where}", call.model, list(there))
        with tempfile.TemporaryDirectory(prefix="navigator-lab-ensemble-") as made:
            for model in self.models:
                there.add(model.write(Path(made)), overwrite=overwrite)
            folder = Path(made) / self.name
            (folder / "1").mkdir(parents=True)
            # Folders without a file don't survive in an object store.
            (folder / "1/.keep").touch()
            self.config.save(folder)
            return there.add(folder, overwrite=overwrite)

    def bls(self, name: str = "") -> PythonModel:
        """The same pipeline as one Python model that calls the others: to be changed by hand."""
        config = self.config.edit(
            name=checked_name(name or f"{self.name}_bls"), platform=None, backend="python",
            ensemble_scheduling=None,
        )  # fmt: skip
        inputs = [io["name"] for io in config.input]
        outputs = [io["name"] for io in config.output]
        return PythonModel(config, bls_source(self.calls, inputs, outputs))

    def edges(self) -> list[dict[str, Any]]:
        """The tensors between the steps: name, type, dims, who writes and who reads it."""
        found: dict[str, dict[str, Any]] = {}

        def tensor(name: str, io: Mapping[str, Any]) -> dict[str, Any]:
            shown = {"tensor": name, "data_type": io["data_type"], "dims": io["dims"]}
            return found.setdefault(name, {**shown, "from": "", "to": []})

        for io in self.config.input:
            tensor(io["name"], io)["from"] = "request"
        for call in self.calls:
            member = self.members[call.model]
            for io in member.input:
                if io["name"] in call.inputs:
                    tensor(call.inputs[io["name"]], io)["to"].append(call.model)
            for io in member.output:
                if io["name"] in call.outputs:
                    tensor(call.outputs[io["name"]], io)["from"] = call.model
        for io in self.config.output:
            tensor(io["name"], io)["to"].append("response")
        return list(found.values())

    def graph(self) -> str:
        """The graph as text, a line for each tensor."""
        lines = []
        for edge in self.edges():
            kind = edge["data_type"].removeprefix("TYPE_")
            dims = ", ".join(map(str, edge["dims"]))
            to = ", ".join(edge["to"]) or "nobody"
            lines.append(f"  {edge['from']} ──{edge['tensor']} {kind} [{dims}]──▶ {to}")
        return f"{self.name}, max_batch_size {self.config.max_batch_size}\n" + "\n".join(lines)

    def mermaid(self) -> str:
        """The graph as Mermaid's text, which JupyterLab and GitHub draw."""
        lines = ["flowchart LR", "  request([request])", "  response([response])"]
        places = {call.model: f"m{i}" for i, call in enumerate(self.calls)}
        lines += [f'  {place}["{model}"]' for model, place in places.items()]
        for edge in self.edges():
            said = f"{edge['tensor']} {edge['data_type'].removeprefix('TYPE_')} {edge['dims']}"
            begin = places.get(edge["from"], edge["from"])
            for to in edge["to"]:
                lines.append(f'  {begin} -->|"{said}"| {places.get(to, to)}')
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        return f"```mermaid\n{self.mermaid()}\n```"

    def __repr__(self) -> str:
        return self.graph()


def ensemble(
    name: str,
    steps: Sequence[Step | PythonModel | str],
    repository: str | Path | Repository | None = None,
    *,
    outputs: Sequence[str] = (),
    max_batch_size: int | None = None,
    **config: Any,
) -> Ensemble:
    """A pipeline of models, checked as a server would check it before it is written anywhere.

    Args:
        name: of the ensemble.
        steps: in the order of the data: names of models in ``repository``, `python_model`s, or
            `Step`s that say which tensor goes where. Tensors of the same name are connected.
        repository: where the models lie that are given by name.
        outputs: the tensors that are answered; by default those that no step reads.
        max_batch_size: by default the smallest of the steps', 0 where one doesn't batch.
        config: further fields of the configuration.

    Raises:
        PackageError: the edges don't fit, or a server would refuse it, in the server's words.
    """
    checked_name(name)
    planned = [one if isinstance(one, Step) else Step(one) for one in steps]
    if not planned:
        raise PackageError(f"must specify 'step' for ensemble '{name}'", "give at least one step")
    members = _members(planned, repository)
    calls = [_call(step, members[step.name]) for step in planned]
    batches = [one.max_batch_size for one in members.values()]
    if max_batch_size is None:
        max_batch_size = min(batches) if all(batches) else 0
    made = _config(name, calls, members, list(outputs), max_batch_size).edit(**config)
    _refuse(made, members)
    brought = {one.model.name: one.model for one in planned if isinstance(one.model, PythonModel)}
    return Ensemble(made, tuple(calls), tuple(brought.values()), members)


def _members(
    steps: list[Step], repository: str | Path | Repository | None
) -> dict[str, ModelConfig]:
    found: dict[str, ModelConfig] = {}
    there = None
    for step in steps:
        if isinstance(step.model, PythonModel):
            found[step.name] = step.model.config
            continue
        if repository is None:
            raise PackageError(
                f"the step {step.name!r} is a name, and no repository was given",
                "ensemble(…, repository=…) says where the model lies",
            )
        if there is None:
            there = repository if isinstance(repository, Repository) else Repository(repository)
        config = there[step.name]
        if not config.input or not config.output:
            raise PackageError(
                f"{step.name!r} has no inputs and outputs in its configuration",
                "write them: an ensemble's edges are checked against them",
            )
        found[step.name] = config.edit(name=step.name)
    return found


def _call(step: Step, config: ModelConfig) -> Call:
    names = {
        "input": [io["name"] for io in config.input],
        "output": [io["name"] for io in config.output],
    }
    for kind, given in (("input", step.inputs), ("output", step.outputs)):
        for own in given:
            if own not in names[kind]:
                raise unknown(f"{kind} of {step.name}", own, names[kind])
    optional = {io["name"] for io in config.input if io.get("optional")}
    inputs = {
        own: step.inputs.get(own, own)
        for own in names["input"]
        if own in step.inputs or own not in optional
    }
    outputs = {own: step.outputs.get(own, own) for own in names["output"]}
    return Call(step.name, inputs, outputs, step.version)


def _config(
    name: str,
    calls: list[Call],
    members: Mapping[str, ModelConfig],
    outputs: list[str],
    largest: int,
) -> ModelConfig:
    read = [tensor for call in calls for tensor in call.inputs.values()]
    written = [tensor for call in calls for tensor in call.outputs.values()]
    if not outputs:
        outputs = [tensor for tensor in written if tensor not in read]
    for tensor in outputs:
        if tensor not in written:
            raise unknown("tensor that a step writes", tensor, written)
    wanted = {*read, *outputs}
    # An output that nobody wants need not be mapped; a tensor that nobody reads is refused.
    calls[:] = [
        replace(call, outputs={own: t for own, t in call.outputs.items() if t in wanted})
        for call in calls
    ]
    steps = [
        {"model_name": call.model, "model_version": call.version,
         "input_map": dict(call.inputs), "output_map": dict(call.outputs)}
        for call in calls
    ]  # fmt: skip
    begin = [tensor for tensor in dict.fromkeys(read) if tensor not in written]
    return ModelConfig(
        name=name, platform="ensemble", max_batch_size=largest,
        input=[_spec(tensor, calls, members, largest) for tensor in begin],
        output=[_spec(tensor, calls, members, largest) for tensor in outputs],
        ensemble_scheduling={"step": steps},
    )  # fmt: skip


def _spec(
    tensor: str, calls: list[Call], members: Mapping[str, ModelConfig], largest: int
) -> dict[str, Any]:
    """A tensor of the ensemble, as the first step that has it says; the batch axis where needed."""
    for call in calls:
        member = members[call.model]
        for mapping, specs in ((call.inputs, member.input), (call.outputs, member.output)):
            for io in specs:
                if mapping.get(io["name"]) == tensor:
                    dims = list(io["dims"])
                    if member.max_batch_size and not largest:
                        dims = [-1, *dims]
                    return {"name": tensor, "data_type": io["data_type"], "dims": dims}
    raise KeyError(tensor)


def _refuse(config: ModelConfig, members: Mapping[str, ModelConfig]) -> None:
    found = [one for one in check_config(config.message) if one.error]
    if not found:
        there = {name: Member(one.message, (1,)) for name, one in members.items()}
        this = ModelConfig(config).message
        found = list(pipeline(Member(this, (1,)), {**there, str(config.name): Member(this, (1,))}))
    refused = [one for one in found if one.error]
    if refused:
        raise PackageError(refused[0].message, refused[0].remedy)
