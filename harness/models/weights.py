"""State dicts: read without running code, fitted to a module, loaded with an account of what was left out."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import urlparse

import torch
from safetensors.torch import load_file
from torch import Size, Tensor, nn

from harness.errors import InputError, describe, describe_missing, first_line, name_some
from harness.fingerprint import digest_file
from harness.models.channels import sees_rgb, widen_input
from harness.models.tensor_files import NotTensors, load_tensors

State = Mapping[str, Tensor]
CLASSIFICATION = ("fc.", "_fc.", "classifier.", "head.", "last_linear.", "linear.")
"""What networks that classify whole images name the layers that a backbone has no use for."""
SHOWN = 3
"""Names listed in a message before it only counts."""


def require_one_start(weights: str, backbone_weights: str) -> None:
    """Refuse two kinds of weights at once: one would overwrite the other.

    Raises:
        InputError: neither is `none`.
    """
    if "none" not in (weights, backbone_weights):
        raise InputError(
            f"model.weights is {weights} and model.backbone_weights is {backbone_weights}: the first would overwrite "
            "the second; set one of them to none"
        )


def load_weights(module: nn.Module, path: str | Path, *, optional: Sequence[str] = ()) -> tuple[str, ...]:
    """Load a state dict from a file; see `load_state`. Return notes on what was done.

    Raises:
        InputError: the file cannot be read, holds no state dict, or does not fit the module.
    """
    place = Path(path).expanduser()
    return load_state(module, read_state(place), str(place), optional=optional)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict written by `torch.save` or as safetensors; nothing in the file is executed.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else load_tensors(path)
    except FileNotFoundError:
        raise InputError(f"{describe_missing(path, 'file')}; give none, or the path of a state dict") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give none, or the path of a state dict") from None
    except Exception as error:  # noqa: BLE001 - damaged files make the readers raise errors of any kind
        reason = str(error) if isinstance(error, NotTensors) else describe(error)
        raise InputError(
            f"{path}: cannot be read as weights: {reason}; give a file of tensors alone, written by "
            "torch.save(model.state_dict(), path), or a .safetensors file"
        ) from None
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        keys = name_some([*map(str, content)], SHOWN) if isinstance(content, Mapping) else None
        kind = type(content).__name__ if keys is None else f"a mapping of {keys}"
        raise InputError(
            f"{path}: holds {kind}, not a state dict (names -> tensors); save that alone: "
            "torch.save(model.state_dict(), path)"
        )
    return dict(content)


def fetch_state(url: str, setting: str) -> dict[str, Tensor]:
    """Return a state dict that torchvision publishes, from torch's cache or else from the network.

    Raises:
        InputError: it can be had from neither; the message says which file to place where.
    """
    name, folder = Path(urlparse(url).path).name, Path(torch.hub.get_dir()) / "checkpoints"
    if named := re.search(r"-([a-f0-9]{8,})\.", name):  # torch itself checks what it has just fetched only
        require_digest(folder / name, named.group(1), setting)
    try:
        with redirect_stdout(sys.stderr):  # torch announces downloads on stdout, which is for results
            content = torch.hub.load_state_dict_from_url(
                url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{setting}: default: {name} cannot be fetched ({first_line(error)}); place a file of this name in the "
            f"folder {folder}, or give its path as {setting}"
        ) from None
    return dict(content)


def require_digest(path: Path, digest: str, setting: str) -> None:
    """Require a file of published weights, if it is there, to have the SHA-256 that its name begins or ends with.

    Raises:
        InputError: it has another.
    """
    if path.exists() and not digest_file(path).startswith(digest):
        raise InputError(
            f"{setting}: default: {path}: damaged (its SHA-256 is not {digest}, as its name says); remove it: it is"
            " then fetched again"
        )


def load_state(module: nn.Module, state: State, origin: str, *, optional: Sequence[str] = ()) -> tuple[str, ...]:
    """Load a state dict strictly, and return notes on what was done.

    Two things are no misfit. Names that begin with one of `optional` may differ in shape or be on one side only: what
    the module has of them keeps its initial values. Convolutions that see the image may be made for RGB in the file and
    for another number of channels here: see `harness.models.channels`.

    Raises:
        InputError: anything else differs; the first names of each kind are listed, and the module is unchanged.
    """
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    # First what can be fitted (RGB to other channels), then the misfits, all of them: one message lists every kind.
    rgb = [name for name, tensor in state.items() if name in wanted and sees_rgb(tensor, wanted[name])]
    fitted = {**state, **{name: widen_input(state[name], wanted[name][1]) for name in rgb}}
    given = {name: tensor.shape for name, tensor in fitted.items()}
    # Old files, and those made for inference, lack BatchNorm's count of batches, which decides no number.
    compared = [name for name in {**wanted, **given} if not name.endswith(".num_batches_tracked")]
    misfits = [name for name in compared if wanted.get(name) != given.get(name)]
    wrong = [name for name in misfits if not name.startswith(tuple(optional))]
    if wrong:
        raise InputError(f"{origin}: does not fit the model: {_explain(wrong, wanted, given)}")
    loaded = {name: tensor for name, tensor in fitted.items() if name in wanted and name not in misfits}
    # Some models of segmentation_models_pytorch override the method with repairs of their own: not asked for here.
    nn.Module.load_state_dict(module, loaded, strict=False)
    file = Path(origin).name
    notes = {
        f"{file}: RGB weights adapted to {wanted[rgb[0]][1] if rgb else 0} input channels": rgb,
        f"{file}: initial values kept, because the file's differ in shape or are missing": set(misfits) & wanted.keys(),
        f"{file}: not used": set(misfits) - wanted.keys(),
    }
    return tuple(f"{note}: {name_some(sorted(names), SHOWN)}" for note, names in notes.items() if names)


def _explain(wrong: Sequence[str], wanted: Mapping[str, Size], given: Mapping[str, Size]) -> str:
    shapes = [f"{n} is {tuple(given[n])}, not {tuple(wanted[n])}" for n in wrong if n in wanted and n in given]
    kinds = {
        "missing in the file": [name for name in wrong if name not in given],
        "unknown to the model": [name for name in wrong if name not in wanted],
        "of another shape": shapes,
    }
    problems = [f"{len(names)} {kind} ({name_some([*names], SHOWN)})" for kind, names in kinds.items() if names]
    return f"{'; '.join(problems)}. {_advice(wanted, given)}"


def _advice(wanted: Iterable[str], given: Iterable[str]) -> str:
    prefixes = {name.split(".")[0] + "." for name in given}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    if prefix and any(name.removeprefix(prefix) in set(wanted) for name in given):
        return f"The names fit without '{prefix}' in front: save the state dict without it"
    return (
        "A state dict of this very architecture would work: of the whole model as model.weights, of its backbone alone "
        "as model.backbone_weights"
    )
