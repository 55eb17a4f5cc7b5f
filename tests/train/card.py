"""A stand-in for a GPU on a machine without one: it counts what would wait, and refuses what would not be found there.

Tensors that are sent to `cuda` stay where they are, and are known by their memory. They say that they lie on `cuda:0`,
so that the program takes the ways of a GPU, and their numbers are the CPU's. Each operation is looked at twice: as it
is called (attributes, copies, reads) and as torch carries it out, in the forward and the backward pass.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from harness.train import setup

CARD = torch.device("cuda", 0)
CPU = torch.device("cpu")
LOAD = torch.load
OF_UNKNOWN_LENGTH = (
    "nonzero",
    "masked_select",
    "unique",
    "bincount",
    "histc",
    "repeat_interleave",
    "is_nonzero",
    "equal",
)
"""Operations whose result the host must look at before it can go on."""
STAGED_BYTES = 2**16
"""What the driver takes from memory that is not pinned before it goes on by itself."""
READS = ("tolist", "numpy", "__array__", "cpu")


class Card:
    """What lies on the stand-in, and the waits so far: the line of the program that asked for each."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self._held: dict[int, StorageWeakRef] = {}
        self._pinned: dict[int, StorageWeakRef] = {}

    def holds(self, tensor: torch.Tensor) -> bool:
        return _is_in(self._held, tensor)

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        _put_in(self._held, tensor)
        return tensor

    def take(self, tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        del self._held[copy.untyped_storage()._cdata]
        return copy

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        copy = torch.empty_like(tensor).copy_(tensor)  # with the strides that it has
        _put_in(self._pinned, copy)
        return copy

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        return _is_in(self._pinned, tensor)

    def group(self, lists: list[list[torch.Tensor]]) -> dict[tuple[torch.device, torch.dtype], object]:
        """Do what torch's own does, which asks below Python where tensors lie."""
        groups = _group_tensors_by_device_and_dtype(lists)
        return {
            (CARD if self.holds(found[0][0]) else key[0], key[1]): (found, of) for key, (found, of) in groups.items()
        }

    def load(self, path: object, map_location: torch.device | str, **settings: object) -> object:
        """Do what torch's own does, which puts bytes on a device below Python."""
        content = LOAD(path, map_location="cpu", **settings)
        return tree_map_only(torch.Tensor, self.put, content) if _is_card(map_location) else content

    def wait(self, what: str) -> None:
        lines = [
            f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack() if "/harness/" in frame.filename
        ]
        self.waits.append(f"{what} at {lines[-1] if lines else 'the test'}")


def _is_in(known: dict[int, StorageWeakRef], tensor: torch.Tensor) -> bool:
    reference = known.get(tensor.untyped_storage()._cdata)
    return reference is not None and not reference.expired()


def _put_in(known: dict[int, StorageWeakRef], tensor: torch.Tensor) -> None:
    storage = tensor.untyped_storage()
    known[storage._cdata] = StorageWeakRef(storage)  # while it is kept, no other memory has this number


class Calls(TorchFunctionMode):
    """Calls as the program writes them."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        own = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if name == "__get__":
            return self._attribute(func, own, args)
        if name == "pin_memory" and own is not None:
            assert not self.card.holds(own), "only memory of the host can be pinned"
            return self.card.pin(own)
        if name in READS and own is not None and self.card.holds(own):
            return self._read(func, name, own)
        if name in ("to", "cuda") and own is not None:
            return self._to(own, args[1:], kwargs)
        if name == "one_hot":  # on a CPU it looks at its numbers, on a GPU it does not
            zeros = torch.zeros((*own.shape, args[1]), dtype=torch.int64)
            return self.card.put(zeros).scatter_(-1, own[..., None], 1)
        if _is_card(kwargs.get("device")):
            made = func(*args, **{**kwargs, "device": CPU})
            if name in ("tensor", "as_tensor"):
                self.card.wait(name)  # a copy from memory that is not pinned
            return self.card.put(made)
        return func(*args, **kwargs)

    def _read(self, func, name, own):
        if name in ("numpy", "__array__"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        self.card.wait(name)
        return self.card.take(own) if name == "cpu" else func(own)

    def _attribute(self, func, own, args):
        names = {"device": CARD, "is_cuda": True, "is_cpu": False}
        name = getattr(func.__self__, "__name__", "")
        return names[name] if name in names and self.card.holds(own) else func(*args)

    def _to(self, own, args, kwargs):
        device = next((_device(item) for item in (*args, kwargs.get("device")) if _device(item) is not None), None)
        non_blocking = kwargs.pop("non_blocking", False)
        rest = [item for item in args if _device(item) is None and not isinstance(item, bool)]
        kwargs = {key: value for key, value in kwargs.items() if key not in ("device", "copy")}
        here, there = self.card.holds(own), self.card.holds(own) if device is None else _is_card(device)
        moved = own.to(*rest, **kwargs) if rest or kwargs else own
        if here == there:
            return moved
        if here or not (non_blocking and (self.card.is_pinned(own) or own.nbytes <= STAGED_BYTES)):
            self.card.wait("to")
        return self.card.put(moved.clone() if moved is own else moved) if there else self.card.take(moved)


def _device(item: object) -> torch.device | None:
    if isinstance(item, torch.device):
        return item
    return torch.device(item) if isinstance(item, str) else None


def _is_card(item: object) -> bool:
    device = _device(item)
    return device is not None and device.type == "cuda"


class Operations(TorchDispatchMode):
    """Operations as torch carries them out."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        tensors = [item for item in tree_flatten((args, kwargs))[0] if isinstance(item, torch.Tensor)]
        here = [self.card.holds(item) for item in tensors]
        if not any(here):
            return func(*args, **kwargs)
        self._look(name, tensors, here)
        result = func(*args, **kwargs)
        return tree_map_only(torch.Tensor, self.card.put, result)

    def _look(self, name: str, tensors, here) -> None:
        if name == "_local_scalar_dense" or name.strip("_").startswith(OF_UNKNOWN_LENGTH):
            self.card.wait(name)
        if name in ("copy_", "_foreach_copy_"):
            if not all(here):
                self.card.wait(name)
            return
        if name.strip("_").startswith("index") and any(item.dtype in (torch.bool, torch.uint8) for item in tensors[1:]):
            self.card.wait(f"{name} with a mask")
        strangers = [item for item, lies in zip(tensors, here, strict=True) if not lies and item.dim()]
        if strangers and not name.startswith("_foreach"):
            shapes = [tuple(item.shape) for item in strangers]
            raise RuntimeError(f"{name}: expected all tensors on the same device; on the CPU are {shapes}")


@contextmanager
def card_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """Let `cuda` be the stand-in while the block runs."""
    card = Card()
    with monkeypatch.context() as patch, Operations(card), Calls(card):
        patch.setattr(setup, "resolve_device", lambda name: CARD if name.startswith("cuda") else CPU)
        patch.setattr(torch.cuda, "set_device", lambda device: None)
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (2**33, 2**34))
        patch.setattr(clip_grad, "_group_tensors_by_device_and_dtype", card.group)
        patch.setattr(torch, "load", card.load)
        yield card
