"""A model's configuration in Python: all that Triton's ``ModelConfig`` has, by name, and read back.

A thin front to Triton's own protobuf: it knows no field by itself (see `fields`), and what a server
would say is `checks`' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PackageError, RequestError
from . import config as configs
from .fields import describe, fill, plain, value_of

if TYPE_CHECKING:
    from .checks import Finding


class ModelConfig:
    """A configuration. It is not changed in place: `edit` gives another one.

    Made from its fields, ``ModelConfig(name="m", backend="onnxruntime", max_batch_size=8,
    dynamic_batching={"max_queue_delay_microseconds": 100})``, or from a text, a dict or a protobuf
    message. Its fields are its attributes, as plain Python. ``fields()`` says which there are.
    """

    __slots__ = ("message",)
    __hash__ = None  # type: ignore[assignment]  # what can be compared by value and holds lists

    def __init__(self, given: Any = None, /, **fields: Any) -> None:
        made = configs.messages().ModelConfig()
        if isinstance(given, str):
            made = configs.parse(given)
        elif isinstance(given, ModelConfig):
            made.CopyFrom(given.message)
        elif isinstance(given, Mapping):
            fill(made, given)
        elif getattr(given, "DESCRIPTOR", None) is not None:
            made.ParseFromString(given.SerializeToString())
        elif given is not None:
            raise RequestError(
                f"{given!r} is no model configuration", "give a text, a dict, or the fields by name"
            )
        fill(made, fields)
        object.__setattr__(self, "message", made)

    @classmethod
    def read(cls, path: str | Path) -> ModelConfig:
        """From a ``config.pbtxt``, or from the folder of a model.

        Raises:
            PackageError: there is none, or it can't be parsed; line and column are named.
        """
        from .repository import CONFIG

        place = Path(path)
        place = place / CONFIG if place.is_dir() else place
        try:
            return cls(configs.parse(place.read_text(encoding="utf-8"), str(place)))
        except (OSError, UnicodeError) as error:
            raise PackageError(f"{place} can't be read: {error}") from None

    @property
    def text(self) -> str:
        """As ``config.pbtxt``: same configuration, same bytes."""
        return configs.to_text(self.message)

    def save(self, path: str | Path) -> Path:
        """Write it as a ``config.pbtxt``, or into a model's folder; whole or not at all."""
        import os

        from .repository import CONFIG

        place = Path(path)
        place = place / CONFIG if place.is_dir() else place
        beside = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            beside.write_text(self.text, encoding="utf-8")
            os.replace(beside, place)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise PackageError(f"{place} can't be written: {error.strerror or error}") from error
        return place

    def edit(self, **fields: Any) -> ModelConfig:
        """Another configuration with some fields changed: blocks are merged, None removes.

        ``edit(dynamic_batching={"preferred_batch_size": [8]}, response_cache={"enable": True})``
        """
        return ModelConfig(self, **fields)

    def differences(self, other: Any) -> list[str]:
        """Where another one differs: ``max_batch_size: 8 -> 16``, one a field."""
        return configs.differences(self.message, ModelConfig(other).message)

    def check(self, *, gpus: int | None = None) -> list[Finding]:
        """What a server would refuse of it, in the server's words; files are not looked at."""
        from .checks import check_config

        return check_config(self.message, gpus=gpus)

    def to_dict(self) -> dict[str, Any]:
        """All that is set, as plain Python: what makes the same configuration again."""
        return plain(self.message)

    def to_json(self) -> str:
        """As a server takes it in place of the file: ``client.load_model(name, config=…)``."""
        from google.protobuf import json_format

        return str(json_format.MessageToJson(self.message, preserving_proto_field_name=True))

    @staticmethod
    def fields(path: str = "") -> str:
        """The fields there are, a line each with its type: ``fields("dynamic_batching")``."""
        return describe(configs.messages().ModelConfig.DESCRIPTOR, path)

    def __getattr__(self, name: str) -> Any:
        field = configs.messages().ModelConfig.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise AttributeError(f"a model configuration has no field {name!r}")
        return value_of(self.message, field)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a ModelConfig isn't changed in place: .edit({name}=…) gives another")

    def __dir__(self) -> list[str]:
        names = [field.name for field in configs.messages().ModelConfig.DESCRIPTOR.fields]
        return sorted({*object.__dir__(self), *names})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelConfig) and self.message == other.message

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> Any:
        return ModelConfig, (self.text,)
