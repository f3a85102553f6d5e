"""A nested state as one JSON document and a set of named tensors, and back; no pickle, so loading runs no code.

Takes JSON values, dicts, lists, tuples, numpy arrays and scalars, torch tensors, and the dataclasses and enums of
`rethinker.types`, which are named in a closed list. Dataclasses, arrays and tensors that are one object in several
places are stored once and come back as one object; so are tensors that are the same memory (tied weights). Lists,
tuples and dicts are values: each place gets its own. Tensors come back on the CPU.

In the document a plain JSON value stands for itself; everything else is an object with the key "$" that names its kind:

    (1, nan)            {"$": "tuple", "items": [1, {"$": "float", "value": "nan"}]}
    {0: "a"}            {"$": "dict", "items": [[0, "a"]]}
    Outcome.OK          {"$": "Outcome", "value": "ok"}
    np.zeros(3)         {"$": "array", "tensor": "7"}
    Mean(sum=2.0)       {"$": "object", "at": 4}, and in the table of objects {"$": "Mean", "fields": {…}}
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch

from rethinker import types
from rethinker.errors import CheckpointError
from rethinker.types import State

Json = Any
"""Any JSON value."""

_DATACLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        types.Image,
        types.Problem,
        types.Prompt,
        types.Completion,
        types.Verdict,
        types.Rollout,
        types.Rethought,
        types.Group,
        types.About,
        types.Experience,
        types.Mean,
    )
}
_ENUMS: dict[str, type[Enum]] = {cls.__name__: cls for cls in (types.Outcome,)}


def encode(state: State) -> tuple[Json, dict[str, torch.Tensor]]:
    """Split a state into a JSON document (finite numbers only) and tensors, which share no memory with one another.

    Raises:
        TypeError: something in it is of a kind that cannot be stored; the message says where.
    """
    encoder = _Encoder()
    root = encoder.node(state, "state")
    return {"objects": encoder.objects, "root": root}, encoder.tensors


def decode(document: Json, tensors: Mapping[str, torch.Tensor]) -> State:
    """Inverse of `encode`.

    Raises:
        CheckpointError: the document names a type, a field or a tensor that this version does not have.
    """
    try:
        return _Decoder(document["objects"], tensors).node(document["root"])
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the state does not fit this version of rethinker ({type(error).__name__}: {error}); "
            "resume it with the version that saved it"
        ) from error


class _Encoder:
    """Walks a state once; the state keeps its objects alive meanwhile, so ids and addresses stay theirs."""

    def __init__(self) -> None:
        self.objects: list[Json] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self._seen: dict[int, Json] = {}
        self._memory: dict[tuple[object, ...], Json] = {}
        self._storages: set[int] = set()

    def node(self, value: object, where: str) -> Json:
        """The document of one value."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$": "float", "value": repr(value)}
        if type(value) is list:
            return [self.node(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if type(value) is tuple:
            return {"$": "tuple", "items": [self.node(item, f"{where}[{i}]") for i, item in enumerate(value)]}
        if isinstance(value, dict) and type(value) in (dict, OrderedDict):
            return self._dict(value, where)
        if isinstance(value, Enum) and _ENUMS.get(type(value).__name__) is type(value):
            return {"$": type(value).__name__, "value": value.value}
        if isinstance(value, np.generic):
            return {"$": "scalar", "tensor": self._array(np.asarray(value), where)}
        if id(value) not in self._seen:
            self._seen[id(value)] = self._object(value, where)
        return self._seen[id(value)]

    def _dict(self, value: dict[Any, Any], where: str) -> Json:
        items = [(key, self.node(item, f"{where}[{key!r}]")) for key, item in value.items()]
        if all(type(key) is str for key in value) and "$" not in value:
            return dict(items)
        return {"$": "dict", "items": [[self.node(key, f"a key of {where}"), item] for key, item in items]}

    def _object(self, value: object, where: str) -> Json:
        if isinstance(value, np.ndarray):
            return {"$": "array", "tensor": self._array(value, where)}
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        name = type(value).__name__
        if not is_dataclass(value) or _DATACLASSES.get(name) is not type(value):
            raise TypeError(f"{where} is a {type(value).__module__}.{name}, which a checkpoint cannot hold")
        members = {
            field.name: self.node(getattr(value, field.name), f"{where}.{field.name}") for field in fields(value)
        }
        self.objects.append({"$": name, "fields": members})
        return {"$": "object", "at": len(self.objects) - 1}

    def _array(self, value: np.ndarray, where: str) -> str:
        if value.dtype.kind not in "biuf" or not value.dtype.isnative:
            raise TypeError(f"{where} is an array of {value.dtype}, which a checkpoint cannot hold")
        return self._store(torch.from_numpy(np.array(value, order="C")))

    def _tensor(self, value: torch.Tensor) -> Json:
        memory = (value.device, value.dtype, value.data_ptr(), tuple(value.shape), value.stride())
        if value.numel() == 0:
            return {"$": "tensor", "tensor": self._store(torch.empty(value.shape, dtype=value.dtype))}
        if memory not in self._memory:
            self._memory[memory] = {"$": "tensor", "tensor": self._store(self._own(value))}
        return self._memory[memory]

    def _own(self, value: torch.Tensor) -> torch.Tensor:
        """On the CPU, contiguous, and alone in its memory: views would be written with all they are views of."""
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.nbytes() != tensor.nbytes or storage.data_ptr() in self._storages:
            return tensor.clone()
        self._storages.add(storage.data_ptr())
        return tensor

    def _store(self, tensor: torch.Tensor) -> str:
        name = str(len(self.tensors))
        self.tensors[name] = tensor
        return name


class _Decoder:
    """Rebuilds the objects in the order of their table, where each refers only to earlier ones."""

    def __init__(self, objects: list[Json], tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors
        self._arrays: dict[str, np.ndarray] = {}
        self._objects: list[object] = []
        for entry in objects:
            members = {name: self.node(member) for name, member in entry["fields"].items()}
            self._objects.append(_DATACLASSES[entry["$"]](**members))

    def node(self, node: Json) -> Any:
        """The value of one document."""
        if isinstance(node, list):
            return [self.node(item) for item in node]
        if not isinstance(node, dict):
            return node
        match node.get("$"):
            case None:
                return {key: self.node(item) for key, item in node.items()}
            case "float":
                return float(node["value"])
            case "tuple":
                return tuple(self.node(item) for item in node["items"])
            case "dict":
                return {self.node(key): self.node(item) for key, item in node["items"]}
            case "object":
                return self._objects[node["at"]]
            case "tensor":
                return self._tensors[node["tensor"]]
            case "array":
                return self._array(node["tensor"])
            case "scalar":
                return self._array(node["tensor"])[()]
            case enum:
                return _ENUMS[enum](node["value"])

    def _array(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            self._arrays[name] = self._tensors[name].numpy()
        return self._arrays[name]
