"""Stands in for Triton's pytorch backend (TorchScript), with torch's Python package, on the CPU."""

from navigator_standin import TYPES, Standin


def order(names, arguments):
    """Positions as libtorch's backend gives them: by argument, by ``<name>__<index>``, by order."""
    if arguments and all(name in arguments for name in names):
        return [arguments.index(name) for name in names]
    indices = []
    for name in names:
        _, mark, index = name.partition("__")
        if not mark or (index and not index.isdigit()):
            return list(range(len(names)))
        indices.append(int(index or 0))
    return indices


class TritonPythonModel(Standin):
    """What Triton's Python backend looks for."""

    FILENAME = "model.pt"

    def open(self, path):
        import torch

        threads = int(self.parameters.get("INTRA_OP_THREAD_COUNT") or 0)
        if threads:
            torch.set_num_threads(threads)
        self.module = torch.jit.load(path, map_location="cpu").eval()
        arguments = [a.name for a in self.module.forward.schema.arguments[1:]]
        if len(arguments) != len(self.inputs):
            self.refuse(
                f"configuration expects {len(self.inputs)} inputs, model provides {len(arguments)}"
            )
        names = [io["name"] for io in self.inputs]
        self.places = order(names, arguments)
        self.gives = order([io["name"] for io in self.outputs], None)
        if sorted(self.places) != list(range(len(names))):
            self.refuse(f"its inputs {names} stand for the positions {self.places}")

    def call(self, feeds):
        import torch

        arguments = [None] * len(self.places)
        for io, place in zip(self.inputs, self.places, strict=True):
            arguments[place] = torch.from_numpy(feeds[io["name"]])
        with torch.inference_mode():
            made = self.module(*arguments)
        if isinstance(made, torch.Tensor):
            made = (made,)
        answers = {}
        for io, place in zip(self.outputs, self.gives, strict=True):
            if place >= len(made):
                raise ValueError(
                    f"The output {io['name']} in the model configuration refers to an output "
                    f"index which doesn't exist. This model has {len(made)} outputs"
                )
            tensor = made[place]
            if tensor.ndim == 0:
                raise ValueError(f"output '{io['name']}' is a scalar which is not supported.")
            array = tensor.numpy()
            if array.dtype.name != TYPES[io["data_type"]]:
                raise ValueError(
                    f"configuration expects datatype {io['data_type']} for output "
                    f"'{io['name']}', model provides {array.dtype.name}"
                )
            answers[io["name"]] = array
        return answers
