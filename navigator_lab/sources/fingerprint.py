"""Identity of live objects: what a module or a callable is, not how it would be pickled.

Two equal fresh instances have one fingerprint, in any process; a changed weight, attribute or line
of the user's code gives another. Installed packages count by their version, the user's own code by
its instructions and constants: these are what runs, while the source file may have been edited
since it was imported. What doesn't change an answer doesn't count: comments, docstrings, places,
train mode (the model is always evaluated), gradients, the device.

Weights are hashed at each call, in two threads, 1 to 3 GB/s: no memo by tensor version, because
``weight.data.mul_(2)`` changes a weight and not its version, and an overlooked change is worse
than the time.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePath
from typing import Any

from .arrays import CHUNK_BYTES, of_array, of_arrays, of_file, of_tensor, size_bytes
from .code import installed_version

__all__ = ["Identity", "of_array", "of_arrays", "of_callable", "of_file", "of_module", "of_tensor"]

# Of torch.nn.Module: bookkeeping that changes no answer, or is looked at in another way.
_MODULE_IGNORED = {
    "training",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_compiled_call_impl",
    "_forward_hooks_always_called",
    "_is_full_backward_hook",
    "_is_torch_compile",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_non_persistent_buffers_set",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
}
# Keyed by numbers that count up in a process; only what they hold, and its order, counts.
_MODULE_HOOKS = {
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
}
_CLASS_IGNORED = {
    "__abstractmethods__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
_PLAIN = {type(None), bool, int, float, complex, str, bytes}
_GLOBAL_OPS = {"LOAD_GLOBAL", "LOAD_NAME"}


class Identity:
    """Digests of python objects, and which of the user's own modules they rest on.

    ``modules`` are the names of modules that aren't installed packages: whoever opens the object
    elsewhere won't have them.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._made: dict[int, str] = {}
        self._alive: list[Any] = []  # an id is only good while its object lives
        self._weights: dict[int, Future[str]] = {}

    def of(self, value: Any) -> str:
        """The digest of any object."""
        return self._of(value)

    def of_module(self, module: Any) -> str:
        """The digest of a torch module; its weights are hashed in two threads meanwhile."""
        with ThreadPoolExecutor(2) as pool:
            tensors = [*module.parameters(), *module.buffers()]
            for tensor in tensors:
                self._alive.append(tensor)
                if size_bytes(tensor) <= CHUNK_BYTES:
                    self._weights[id(tensor)] = pool.submit(of_tensor, tensor)
                elif id(tensor) not in self._made:  # piece by piece, from here: a pool's thread
                    digest = of_tensor(
                        tensor, pool.map
                    )  # that waits for its pool may wait for ever
                    self._made[id(tensor)] = _sha("tensor", digest)
            return self._of(module)

    def _of(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return _sha(f"{type(value).__name__}:{value!r}")
        known = self._made.get(id(value))
        if known is not None:
            return known
        # While it is being looked at, whoever leads back to it sees only this.
        self._made[id(value)] = _sha(f"cycle:{type(value).__qualname__}")
        self._alive.append(value)
        made = self._made[id(value)] = _sha(*self._parts(value))
        return made

    def _parts(self, value: Any) -> Iterator[str]:
        kind = type(value)
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch is not None and isinstance(value, torch.Tensor):
            waiting = self._weights.get(id(value))
            yield from ("tensor", waiting.result() if waiting else of_tensor(value))
        elif numpy is not None and isinstance(value, numpy.ndarray):
            yield from ("array", *self._array(value))
        elif isinstance(value, enum.Enum):
            yield from ("enum", self._of(kind), value.name)
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, types.CodeType):
            yield from self._code(value)
        elif isinstance(value, types.MethodType):
            yield from ("method", self._of(value.__func__), self._of(value.__self__))
        elif isinstance(value, types.ModuleType):
            yield from self._module(value)
        elif isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            inner = "" if owner is None or isinstance(owner, types.ModuleType) else self._of(owner)
            yield from ("builtin", str(value.__module__), value.__qualname__, inner)
        elif isinstance(value, functools.partial):
            yield from ("partial", self._of(value.func), self._of(value.args))
            yield self._of(value.keywords)
        elif isinstance(value, property):
            yield from ("property", self._of(value.fget), self._of(value.fset))
        elif isinstance(value, staticmethod | classmethod):
            yield from (kind.__name__, self._of(value.__func__))
        elif isinstance(value, Mapping) and kind.__module__ in ("builtins", "collections"):
            yield kind.__name__
            for key, one in value.items():
                yield from (self._of(key), self._of(one))
            yield self._of(getattr(value, "default_factory", None))
        elif kind in (list, tuple):
            yield kind.__name__
            yield from (self._of(one) for one in value)
        elif kind in (set, frozenset):
            yield "set"
            yield from sorted(self._of(one) for one in value)
        elif isinstance(value, PurePath | range | slice) or _named_value(value):
            yield f"{kind.__name__}:{value!r}"
        else:
            yield from self._object(value)

    def _array(self, array: Any) -> Iterator[str]:
        if array.dtype.hasobject:
            yield from (str(array.dtype), str(array.shape), self._of(array.tolist()))
        else:
            yield of_array(array)

    def _object(self, value: Any) -> Iterator[str]:
        """An instance: its class and its state."""
        kind = type(value)
        yield from ("object", self._of(kind))
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.nn.Module):
            for name, one in vars(value).items():
                if name in _MODULE_HOOKS:
                    yield from (name, self._of(list(one.values())))
                elif name not in _MODULE_IGNORED and not (name == "_graph" and _traced(value)):
                    yield from (name, self._of(one))
            if _traced(value):
                yield value.code
            return
        own = kind.__reduce_ex__ is not object.__reduce_ex__
        own = own or kind.__reduce__ is not object.__reduce__
        own = own or getattr(kind, "__getstate__", None) is not getattr(
            object, "__getstate__", None
        )
        if not own and hasattr(value, "__dict__"):
            for name, one in vars(value).items():
                yield from (name, self._of(one))
            for name in _slots(kind):
                yield from (name, self._of(getattr(value, name, None)))
            return
        try:
            state = value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 — foreign code; what can't be taken apart (a lock, a file)
            return  # is known by its class
        if isinstance(state, str):
            yield state
            return
        made, *rest = state
        if getattr(made, "__name__", "") in ("__newobj__", "__newobj_ex__"):
            rest[0] = rest[0][1:]  # the class, said already
        else:
            yield self._of(made)
        for one in rest[:2]:
            yield self._of(one)
        for many in rest[2:4]:  # items of a list, of a dict
            yield self._of(list(many) if many is not None else None)

    def _class(self, cls: type) -> Iterator[str]:
        version = installed_version(cls.__module__)
        yield from ("class", cls.__qualname__)
        if version is not None:
            yield from (cls.__module__, version)
            if "<locals>" not in cls.__qualname__:
                return
        else:
            self.modules.add(cls.__module__)
        yield from (self._of(base) for base in cls.__bases__)
        for name, one in vars(cls).items():
            if name == "__annotations__":
                yield from (f"{key}: {hint}" for key, hint in one.items())
            elif name not in _CLASS_IGNORED and not isinstance(one, types.MemberDescriptorType):
                yield from (name, self._of(one))

    def _function(self, function: types.FunctionType) -> Iterator[str]:
        version = installed_version(function.__module__)
        inner = "<" in function.__qualname__  # made by another function: the name isn't enough
        if version is not None:
            yield from ("installed", f"{function.__module__}.{function.__qualname__}", version)
        elif function.__module__:
            self.modules.add(function.__module__)
        if version is None or inner:
            yield from ("function", self._of(function.__code__))
            yield from (self._of(function.__defaults__), self._of(function.__kwdefaults__))
            for cell in function.__closure__ or ():
                try:
                    yield self._of(cell.cell_contents)
                except ValueError:  # a name that is not bound yet
                    yield "empty"
            wrapped = {k: v for k, v in vars(function).items() if k != "__doc__"}
            yield self._of(wrapped)
        if version is None:
            for name in sorted(_globals_used(function.__code__)):
                if name in function.__globals__:
                    yield from (name, self._of(function.__globals__[name]))

    def _code(self, code: types.CodeType) -> Iterator[str]:
        constants = list(code.co_consts)
        # The first constant of a function is its docstring, if it is text and is never loaded.
        if constants and isinstance(constants[0], str) and not _loads_first(code):
            constants[0] = None
        yield from ("code", code.co_code.hex(), str(code.co_flags))
        yield from (str(code.co_argcount), str(code.co_kwonlyargcount))
        yield from (str(code.co_names), str(code.co_varnames), str(code.co_freevars))
        yield from (self._of(one) for one in constants)

    def _module(self, module: types.ModuleType) -> Iterator[str]:
        version = installed_version(module.__name__)
        yield from ("module", module.__name__)
        if version is not None:
            yield version
            return
        self.modules.add(module.__name__)
        for name, one in sorted(vars(module).items(), key=lambda item: item[0]):
            if not name.startswith("__"):
                yield from (name, self._of(one))


def of_module(module: Any) -> str:
    """The fingerprint of a torch module."""
    return Identity().of_module(module)


def of_callable(function: Callable[..., Any]) -> str:
    """The fingerprint of a function, method or callable object, with all it refers to."""
    return Identity().of(function)


def _sha(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _named_value(value: Any) -> bool:
    """A torch dtype, device, layout or memory format: its text says all."""
    return type(value).__module__ == "torch" and not hasattr(value, "__dict__")


def _traced(module: Any) -> bool:
    """A torch.fx.GraphModule: made at run time, its code is text and its graph a deep chain."""
    fx = sys.modules.get("torch.fx")
    return fx is not None and isinstance(module, fx.GraphModule)


def _slots(kind: type) -> Iterator[str]:
    for cls in kind.__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                yield name


def _globals_used(code: types.CodeType) -> set[str]:
    found = {str(one.argval) for one in dis.get_instructions(code) if one.opname in _GLOBAL_OPS}
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            found |= _globals_used(one)
    return found


def _loads_first(code: types.CodeType) -> bool:
    return any(one.opname in _CONST_OPS and one.arg == 0 for one in dis.get_instructions(code))


_CONST_OPS = {"LOAD_CONST", "RETURN_CONST", "KW_NAMES", "LOAD_CONST_IMMORTAL"}
