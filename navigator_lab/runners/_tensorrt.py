"""An opened engine: its execution contexts, the memory of each call, and its recorded graphs.

It declares no runner, and loads no library: what it is given is one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from navigator_lab.errors import NavigatorError
from navigator_lab.formats.tensorrt import Engine
from navigator_lab.formats.tensorrt.engine import asked, choose

from ._cuda import Cuda, Memory

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

GRAPHS = 16  # recorded ones that are kept: one for each set of addresses that the pool hands out


class Contexts:
    """An execution context for each profile, made when it is first needed."""

    def __init__(self, plan: Any, config: Any) -> None:
        self.plan, self.config = plan, config
        self.by_profile: dict[int, Any] = {}

    def of(self, profile: int, stream: int) -> Any:
        if profile not in self.by_profile:
            made = (
                self.plan.create_execution_context()
                if self.config is None
                else self.plan.create_execution_context(self.config)
            )
            if made is None or not made.set_optimization_profile_async(profile, stream):
                raise NavigatorError(
                    f"there is no execution context for profile {profile}: "
                    "the device has not enough memory for it",
                    "build it with fewer profiles or a smaller largest batch",
                )
            self.by_profile[profile] = made
        return self.by_profile[profile]


@dataclass(slots=True)
class Bound:
    """Inputs on the device, and the profile that they are for."""

    profile: int
    shapes: dict[str, tuple[int, ...]]
    held: dict[str, Memory]
    host: dict[str, Any]  # of inputs whose values are shapes


@dataclass(slots=True)
class Raw:
    """Outputs on the device."""

    held: dict[str, Memory]
    shapes: dict[str, tuple[int, ...]]


class Session:
    """An opened engine: each call's memory is its own, from a pool, and nothing is copied twice."""

    def __init__(
        self,
        api: Any,
        engine: Engine,
        contexts: Contexts,
        cuda: Cuda,
        errors: list[str],
        graphs: bool,
    ) -> None:
        self.engine, self.contexts, self.cuda = engine, contexts, cuda
        self.errors, self.graphs = errors, graphs
        self.recorded: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self.types = {one.name: _type(one.dtype) for one in (*engine.inputs, *engine.outputs)}
        self.growing = _growing(api, cuda)

    def put(self, feeds: Arrays) -> Bound:
        """Inputs on the device."""
        given = asked(self.engine.inputs, feeds)
        made = Bound(choose(self.engine.profiles, given), {}, {}, {})
        for one in self.engine.inputs:
            array = feeds[one.name].astype(self.types[one.name], copy=False)
            made.shapes[one.name] = array.shape
            if one.values:
                made.host[one.name] = array.copy()
            else:
                made.held[one.name] = self.cuda.upload(array)
        self.cuda.wait()
        return made

    def run(self, bound: Bound) -> Raw:
        """Compute, and return when the device is done."""
        context = self.contexts.of(bound.profile, self.cuda.stream)
        for one in self.engine.inputs:
            where = bound.host[one.name].ctypes.data if one.values else bound.held[one.name].address
            if not context.set_input_shape(one.name, bound.shapes[one.name]):
                raise NavigatorError(
                    f"the engine refuses {one.name!r} with the shape {list(bound.shapes[one.name])}"
                )
            context.set_tensor_address(one.name, where)
        unknown = context.infer_shapes()
        if unknown:
            raise NavigatorError(f"the engine was not told {', '.join(unknown)}")
        made = Raw({}, {})
        open_ended = []
        for one in self.engine.outputs:
            shape = tuple(context.get_tensor_shape(one.name))
            if min(shape, default=0) < 0:  # known when it is computed
                context.set_output_allocator(one.name, self.growing)
                open_ended.append(one.name)
                continue
            made.shapes[one.name] = shape
            made.held[one.name] = self.cuda.take(_size(shape, self.types[one.name]))
            context.set_tensor_address(one.name, made.held[one.name].address)
        self._execute(context, bound, made, replay=not open_ended)
        for name in open_ended:
            made.held[name] = self.growing.held.pop(name)
            made.shapes[name] = self.growing.shapes.pop(name)
        return made

    def _execute(self, context: Any, bound: Bound, made: Raw, *, replay: bool) -> None:
        def queue() -> None:
            if not context.execute_async_v3(self.cuda.stream):
                said = "; ".join(self.errors)[:500] or "it says no more"
                raise NavigatorError(f"the engine failed while it ran: {said}")

        if not (self.graphs and replay):
            queue()
            self.cuda.wait()
            return
        where = (
            *(m.address for m in bound.held.values()),
            *(m.address for m in made.held.values()),
        )
        key = (bound.profile, *where, *(s for shape in bound.shapes.values() for s in shape))
        graph = self.recorded.pop(key, None)
        if graph is None:
            queue()  # what is done once for a shape must not be in the graph
            self.cuda.wait()
            graph = self.cuda.record(queue)
        self.recorded[key] = graph
        while len(self.recorded) > GRAPHS:
            self.recorded.popitem(last=False)
        graph.launch()
        self.cuda.wait()

    def get(self, raw: Raw) -> Arrays:
        """Numpy arrays by output name."""
        return {
            name: self.cuda.download(held, raw.shapes[name], self.types[name])
            for name, held in raw.held.items()
        }

    def close(self) -> None:
        self.recorded.clear()


def _type(name: str) -> np.dtype[Any]:
    import ml_dtypes
    import numpy as np

    return np.dtype(getattr(ml_dtypes, name, name))


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    size = int(dtype.itemsize)
    for one in shape:
        size *= one
    return size


def _growing(api: Any, cuda: Cuda) -> Any:
    """Memory for outputs whose size is known when they are computed."""

    class Growing(api.IOutputAllocator):  # type: ignore[misc]  # its base has no types
        def __init__(self) -> None:
            api.IOutputAllocator.__init__(self)
            self.held: dict[str, Memory] = {}
            self.shapes: dict[str, tuple[int, ...]] = {}

        def reallocate_output_async(
            self, tensor_name: str, memory: int, size: int, alignment: int, stream: int
        ) -> int:
            held = self.held.get(tensor_name)
            if held is None or held.room < size:
                held = self.held[tensor_name] = cuda.take(size)
            return held.address

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            self.shapes[tensor_name] = tuple(shape)

    return Growing()
