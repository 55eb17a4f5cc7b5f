"""Models of segmentation_models_pytorch (smp), any architecture with any encoder, as networks. Letters: B, C, H, W."""

from __future__ import annotations

import copy
import difflib
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import InputError, SettingError, did_you_mean, first_line
from harness.models.channels import RGB
from harness.models.network import Features, Freeze, Network, Stages
from harness.models.weights import CLASSIFICATION, load_state, load_weights, require_digest, require_one_start

TIMM = "tu-"
"""What smp writes before the name of an encoder that is a model of timm."""
CLASSIFIER = ("segmentation_head.",)
PROBE_PX = (64, 224, 256, 384)
"""Sides of images that are tried; windowed transformers take those of one size alone."""


def make_smp(
    architecture: str, encoder: str, num_classes: int, in_channels: int, *, weights: str, backbone_weights: str
) -> Network:
    """Return a model of smp with one of its encoders.

    `weights` (whole model) is `none` or the path of a state dict; `backbone_weights` (the encoder's) may be `default`.

    Raises:
        InputError: no such encoder, the two do not go together, or weights cannot be had or do not fit.
    """
    require_one_start(weights, backbone_weights)
    _require_encoder(encoder)
    try:
        module = _create(architecture, encoder, num_classes, in_channels)
        min_batch = _find_min_batch(module, in_channels)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, AssertionError) as error:  # any of these
        raise InputError(f"model smp: {architecture} and encoder {encoder} do not go together: {error}") from None
    rebuilt = f"first convolution rebuilt for {in_channels} input channels"
    notes: tuple[str, ...] = (rebuilt,) if in_channels != RGB else ()
    if weights != "none":
        notes += load_weights(module, weights, optional=CLASSIFIER)
    elif backbone_weights == "default":
        notes += load_state(module.encoder, _fetch_encoder(architecture, encoder), encoder)
    elif backbone_weights != "none":
        notes += load_weights(module.encoder, backbone_weights, optional=CLASSIFICATION)
    return Network(
        module=module,
        read=lambda logits_BCHW: (logits_BCHW, ()),
        backbone=("encoder.",),
        classifier=CLASSIFIER,
        min_batch=min_batch,
        notes=notes,
        stages=_cut(module, architecture),
    )


def _require_encoder(name: str) -> None:
    known = smp.encoders.get_encoder_names()
    if name.startswith(TIMM):
        known = [TIMM + model for model in timm.list_models()]
        if name.split(".")[0] not in known:  # behind a dot stands which of its weights
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() lists those there are"
            raise SettingError(("encoder",), f"timm has no model '{name.removeprefix(TIMM)}'; {hint}")
    elif name not in known:
        raise SettingError(
            ("encoder",), f"smp has no encoder '{name}'; {did_you_mean(name, known)}; and {TIMM}<model of timm>"
        )


def _create(
    architecture: str, encoder: str, num_classes: int, in_channels: int, encoder_weights: str | bool | None = None
) -> Any:
    """Return a model of smp that takes images of any size."""
    # A vision transformer takes images of one size only, unless it is told to interpolate its position embeddings.
    extra = {"dynamic_img_size": True} if architecture == "dpt" else {}
    module = smp.create_model(
        architecture, encoder, encoder_weights=encoder_weights, in_channels=in_channels, classes=num_classes, **extra
    )
    if module.requires_divisible_input_shape:
        module.forward = partial(_forward_any_size, module.forward, partial(_pad, *_strides(module, architecture)))
    return module


def _strides(module: Any, architecture: str) -> tuple[int, int]:
    """Return what an image's sides must be multiples of, and the least that they may be (pixels)."""
    # DPT halves the map of patches once more; PAN halves the encoder's map three times.
    stride: int = module.encoder.output_stride
    return stride * (2 if architecture == "dpt" else 1), stride * (8 if architecture == "pan" else 1)


def _cut(module: Any, architecture: str) -> dict[Freeze, Stages]:
    """Return a model of smp cut behind its encoder (but not DPT, whose encoder returns more), and before its head."""
    any_size = not module.requires_divisible_input_shape

    def encode(images_BCHW: Tensor) -> Any:
        return module.encoder(images_BCHW if any_size else _pad(*_strides(module, architecture), images_BCHW))

    def decode(images_BCHW: Tensor) -> Features:
        encoded = encode(images_BCHW)
        return (module.decoder(*encoded) if architecture == "dpt" else module.decoder(encoded),)

    def classify(features: Features, size: tuple[int, int]) -> Tensor:
        logits_BCHW: Tensor = module.segmentation_head(features[0])
        return logits_BCHW if any_size else logits_BCHW[:, :, : size[0], : size[1]]

    stages: dict[Freeze, Stages] = {"all_but_classifier": Stages(decode, classify)}
    if architecture != "dpt":
        stages["backbone"] = Stages(
            lambda images_BCHW: tuple(encode(images_BCHW)),
            lambda features, size: classify((module.decoder(list(features)),), size),
        )
    return stages


def _fetch_encoder(architecture: str, encoder: str) -> dict[str, Tensor]:
    """Return the encoder's published weights, by way of a second model: smp and timm know their own files' names."""
    which: str | bool
    if encoder.startswith(TIMM):
        which, of_repository = True, ""
        known = timm.models.get_pretrained_cfg(encoder.removeprefix(TIMM), allow_unregistered=True)
        repository = getattr(known, "hf_hub_id", None) or ""
    else:
        published = smp.encoders.encoders[encoder]["pretrained_settings"]
        which = "imagenet" if "imagenet" in published else next(iter(published))
        repository = published[which]["repo_id"]
        of_repository = f" of {repository}"
    _require_whole(repository)
    try:
        state: dict[str, Tensor] = _create(architecture, encoder, 1, RGB, which).encoder.state_dict()
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"model.backbone_weights: default: the weights of encoder {encoder} cannot be fetched "
            f"({first_line(error)}); copy the folder {HF_HUB_CACHE} from a machine that has them, or give the path of "
            f"model.safetensors{of_repository}"
        ) from None
    return state


def _require_whole(repository: str) -> None:
    """Require the weights of a repository that were fetched before to be whole: large files bear their SHA-256 as name.

    `repository` is empty where it is not known.

    Raises:
        InputError: a file is damaged.
    """
    for path in (Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs").glob("*"):
        if len(path.name) == 64:
            require_digest(path, path.name, "model.backbone_weights")


def _find_min_batch(module: nn.Module, in_channels: int) -> int:
    """Try a training step's forward pass on one image, with a copy: 2 where BatchNorm cannot take one, else 1.

    No list could be kept of which of some thousand encoders and twelve decoders normalise a map of one pixel.
    """
    probe = copy.deepcopy(module).train()
    refused: list[AssertionError] = []
    for side in PROBE_PX:
        try:
            with torch.no_grad():
                probe(torch.zeros(1, in_channels, side, side))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            return 2
        except AssertionError as error:  # of the size, says timm
            refused.append(error)
        else:
            return 1
    raise refused[0]


def _forward_any_size(
    forward: Callable[[Tensor], Tensor], pad: Callable[[Tensor], Tensor], images_BCHW: Tensor
) -> Tensor:
    """Run a model that takes multiples of its stride only: pad, and cut the logits back."""
    height, width = images_BCHW.shape[2:]
    return forward(pad(images_BCHW))[:, :, :height, :width]


def _pad(multiple: int, least: int, images_BCHW: Tensor) -> Tensor:
    """Pad below and right with zeros: near the mean colour of normalised images, and what convolutions add."""
    below, right = (max(least, side + -side % multiple) - side for side in images_BCHW.shape[2:])
    return functional.pad(images_BCHW, (0, right, 0, below))
