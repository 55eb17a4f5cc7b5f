"""What a process has of its machine that numbers or their cost depend on: variables, cores, the processor's name.

Environment variables choose kernels, precision or the number of threads below torch and numpy, where no setting of a
run reaches. Sources: the documentation of each library, and the names that torch 2.14, cuDNN 9, MKL and OpenBLAS have
in their binaries. Those that choose only speed, memory or logging are not here, nor is OMP_NUM_THREADS: a run sets its
threads.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.errors import InputError

NUMERIC = (
    # torch's own CPU kernels
    "ATEN_CPU_CAPABILITY",
    "TORCH_MKLDNN_MATMUL_MIN_DIM",
    "TORCH_MKLDNN_MATMUL_MIN_SIZE",
    "TORCH_LINEAR_FLATTEN_3D",
    # oneDNN (convolutions): instruction set, and bfloat16 or TF32 in place of float32; DNNL_ is its older prefix
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_CPU_ISA_HINTS",
    "DNNL_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    # MKL (matrix products); MKL_DEBUG_CPU_TYPE until 2020
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_DISABLE_FAST_MM",
    "MKL_NUM_STRIPES",
    # numpy and its OpenBLAS
    "OPENBLAS_CORETYPE",
    "OPENBLAS_BLOCK_FACTOR",
    "OPENBLAS_L2_SIZE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    # OpenMP: fewer threads than a run asks for, and the order in which their sums are added
    "OMP_DYNAMIC",
    "OMP_THREAD_LIMIT",
    "OMP_SCHEDULE",
    "KMP_DETERMINISTIC_REDUCTION",
    "KMP_FORCE_REDUCTION",
    # GPU: TF32 in place of float32, workspaces, and which library or algorithm computes
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUBLASLT_WORKSPACE_SIZE",
    "TORCH_CUBLASLT_UNIFIED_WORKSPACE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_BLAS_PREFER_HIPBLASLT",
    "DISABLE_ADDMM_CUDA_LT",
    "TORCH_LINALG_PREFER_CUSOLVER",
    "TORCH_LINALG_PREFER_HIPSOLVER",
    "TORCH_CUDNN_V8_API_DISABLED",
    "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
    "TORCH_CUDNN_SDPA_DEPRIORITIZED",
    "CUDNN_DISABLE_BMM_SCALE_FUSION",
    "CUDNN_ERRATA_JSON_FILE",
    "CUDNN_FRONTEND_ATTN_DP_WORKSPACE_LIMIT",
    "CUDNN_RESCALE_THRESHOLD",
    "CUDNN_UNFUSE_FMA",
    "CUDNN_USE_EX2_EMULATION",
    "HIPBLASLT_ALLOW_TF32",
    "PYTORCH_TUNABLEOP_ENABLED",
    "PYTORCH_TUNABLEOP_TUNING",
    "PYTORCH_TUNABLEOP_FILENAME",
    "PYTORCH_MPS_FAST_MATH",
    "PYTORCH_MPS_PREFER_METAL",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    # train.compile: what Inductor and its compilers make
    "TORCHINDUCTOR_COORDINATE_DESCENT_TUNING",
    "TORCHINDUCTOR_COOPERATIVE_REDUCTIONS",
    "TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG",
    "TORCHINDUCTOR_CPP_MARCH",
    "TORCHINDUCTOR_CPP_USE_DECOMPOSE_TANH",
    "TORCHINDUCTOR_EMULATE_DIVISION_ROUNDING",
    "TORCHINDUCTOR_EMULATE_PRECISION_CASTS",
    "TORCHINDUCTOR_FORCE_LAYOUT_OPT",
    "TORCHINDUCTOR_FREEZING",
    "TORCHINDUCTOR_LAYOUT_OPTIMIZATION",
    "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCHINDUCTOR_MAX_AUTOTUNE_GEMM",
    "TORCHINDUCTOR_MAX_AUTOTUNE_POINTWISE",
    "TORCHINDUCTOR_MULTI_KERNEL",
    "TORCHINDUCTOR_ONLINE_SOFTMAX",
    "TORCHINDUCTOR_PERSISTENT_REDUCTIONS",
    "TORCHINDUCTOR_SHAPE_PADDING",
    "TORCHINDUCTOR_USE_FAST_MATH",
    "TORCHINDUCTOR_VEC_ISA_OK",
    # any library in place of another
    "LD_PRELOAD",
)
OWN = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What harness sets itself where the user has set nothing: `harness.train.setup`."""
CPU_TUNABLES = "glibc.cpu."
"""Those of GLIBC_TUNABLES that choose the C library's mathematical functions."""
UNSET = "not set"


def read_environment() -> dict[str, str]:
    """Return the variables of this process that change numbers, by name, as the user has set them."""
    found = {name: os.environ[name] for name in NUMERIC if os.environ.get(name) not in (None, OWN.get(name))}
    tunables = [item for item in os.environ.get("GLIBC_TUNABLES", "").split(":") if item.startswith(CPU_TUNABLES)]
    return {**found, **({"GLIBC_TUNABLES": ":".join(tunables)} if tunables else {})}


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return variable -> (value in one, value in the other), of those that differ."""
    pairs = {name: (one.get(name, UNSET), other.get(name, UNSET)) for name in sorted({*one, *other})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


_DEVICE = re.compile(r"auto|cpu(:\d+)?|cuda(:\d+)?")


def count_cores() -> int:
    """Return how many cores this process may run on; those of the machine where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_processor() -> str:
    """Return the name of the processor, or of its architecture where the system tells no more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def read_version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def require_device(name: str) -> None:
    """Check the name of a device.

    Raises:
        InputError: it is none that runs can be computed on.
    """
    if name.partition(":")[0] == "mps":
        raise InputError(f"--device {name}: Apple's GPUs lack the float64 that harness computes with; use --device cpu")
    if not _DEVICE.fullmatch(name):
        raise InputError(f"--device {name}: no such device; use auto, cpu, cuda or cuda:N")
