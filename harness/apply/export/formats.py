"""A traced model as the bytes of a file, and those bytes as something that runs. The one door to onnx and onnxruntime.

Letters: B batch, C class, H, W.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from harness.apply.export.graph import Program, shorten
from harness.data.source import Image
from harness.errors import HarnessError, InputError

Format = Literal["onnx", "torch-export"]
Logits = npt.NDArray[np.float32]
METADATA_FILE = "harness.json"
"""Name of the metadata within a file of torch.export."""


@dataclass(frozen=True)
class Artifact:
    """A model in the format of a file, without its metadata."""

    run: Callable[[npt.NDArray[np.uint8]], Logits]
    """Pictures [B, H, W, 3] -> logits [B, C, H, W], computed from the bytes as another program would."""
    pack: Callable[[Mapping[str, str]], bytes]
    """Metadata -> the bytes of the whole file."""


def make_artifact(program: Program, fmt: Format, threads: int) -> Artifact:
    """Return a traced model in a format; `threads` is the number of CPU threads that `run` uses.

    Raises:
        HarnessError: the format cannot hold the model; the message says what is missing.
    """
    return make_onnx(program, threads) if fmt == "onnx" else _make_torch_export(program)


def make_onnx(program: Program, threads: int) -> Artifact:
    """Return a traced model as ONNX.

    Raises:
        HarnessError: it uses an operation that ONNX cannot express.
    """
    try:
        with _quietly():
            converted = torch.onnx.export(program.exported, dynamo=True, verbose=False, output_names=["logits"])
            assert converted is not None
            proto = converted.model_proto
    except Exception as error:
        raise HarnessError(f"ONNX cannot hold this model: {shorten(error)}") from error
    _name_axes(proto)
    return wrap_onnx(proto, threads)


def wrap_onnx(proto: Any, threads: int) -> Artifact:
    """Return an ONNX model as an artifact; it runs on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def pack(metadata: Mapping[str, str]) -> bytes:
        import onnx

        onnx.helper.set_model_props(proto, dict(metadata))
        return bytes(proto.SerializeToString())

    def run(images_BHWC: npt.NDArray[np.uint8]) -> Logits:
        try:
            logits: Logits = session.run(None, {"image": images_BHWC})[0]
        except Exception as error:
            raise HarnessError(f"onnxruntime stops at pictures {images_BHWC.shape}: {shorten(error)}") from error
        return logits

    return Artifact(run, pack)


def quantize(content: bytes) -> Any:
    """Return an ONNX model with its weights as 8-bit integers, activations quantised as they come (dynamically)."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as place, _quietly():
        before, after = Path(place, "float.onnx"), Path(place, "int8.onnx")
        before.write_bytes(content)
        quantize_dynamic(before, after, weight_type=QuantType.QUInt8)  # onnxruntime convolves unsigned weights only
        return onnx.load(after)


def count_quantized(proto: Any) -> dict[str, str]:
    """Return, for each operation that has weights, how many of its nodes compute in 8 bits: `Conv: 12 of 13`."""
    kinds = {"Conv": "ConvInteger", "MatMul": "MatMulInteger", "Gemm": None, "ConvTranspose": None}
    types = [node.op_type for node in proto.graph.node]
    counted = {plain: (types.count(plain), types.count(integer)) for plain, integer in kinds.items()}
    return {plain: f"{done} of {left + done}" for plain, (left, done) in counted.items() if left + done}


def _make_torch_export(program: Program) -> Artifact:
    def pack(metadata: Mapping[str, str]) -> bytes:
        file = io.BytesIO()
        with _quietly():
            torch.export.save(program.exported, file, extra_files={METADATA_FILE: json.dumps(dict(metadata))})
        return file.getvalue()

    with _quietly():
        module = torch.export.load(io.BytesIO(pack({}))).module()

    @torch.inference_mode()
    def run(images_BHWC: npt.NDArray[np.uint8]) -> Logits:
        try:
            logits: Logits = module(torch.from_numpy(images_BHWC)).numpy()
        except Exception as error:
            raise HarnessError(f"the traced model stops at pictures {images_BHWC.shape}: {shorten(error)}") from error
        return logits

    return Artifact(run, pack)


def require_onnx() -> None:
    """Refuse to begin where onnx, onnxscript or onnxruntime is missing.

    Raises:
        InputError: one of them is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX needs the package {error.name}: pip install 'ablation-harness[export]'") from None


def run_alone(artifact: Artifact, image: Image) -> Logits:
    """Return logits_CHW of one picture [H, W, 3]."""
    logits: Logits = artifact.run(np.ascontiguousarray(image[None]))[0]
    return logits


def _name_axes(proto: Any) -> None:
    """Call the free axes of input and output batch, height and width, in place of the tracer's symbols."""
    given = [axis.dim_param for axis in proto.graph.input[0].type.tensor_type.shape.dim]
    names = {symbol: name for symbol, name in zip(given, ("batch", "height", "width"), strict=False) if symbol}
    for value in (*proto.graph.input, *proto.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporters' own warnings and prints, which are about their internals, from the user."""
    import logging

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
