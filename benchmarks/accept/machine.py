"""The device: what it is, its precisions, its memory, and how time is taken on it."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import torch

from training.runtime import Runtime, RuntimeOptions
from utils.memory import available_bytes

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def describe(device: torch.device) -> dict[str, str]:
    """What the page says of it."""
    said = {
        "device": f"{_processor()}, {torch.get_num_threads()} threads",
        "free memory": f"{available_bytes() / 2**30:.1f} GiB",
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        said = {
            "device": properties.name,
            "memory": f"{properties.total_memory / 2**30:.1f} GiB",
            "multiprocessors": str(properties.multi_processor_count),
            "compute capability": f"{properties.major}.{properties.minor}",
            "CUDA, cuDNN, driver": f"{torch.version.cuda}, {torch.backends.cudnn.version()}, {_driver()}",
            "devices here": str(torch.cuda.device_count()),
        }
    said |= {"torch": torch.__version__, "Python": platform.python_version()}
    said |= {"processors": f"{os.cpu_count()}", "date": time.strftime("%Y-%m-%d")}
    return said


def _processor() -> str:
    """Name of the processor, from Linux's list where there is one, and the word CPU."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name" and name.strip():
                return f"{name.strip().removesuffix('CPU').strip()} CPU"
    return f"{platform.processor() or platform.machine()} CPU"


def _driver() -> str:
    """Version of NVIDIA's driver, which torch does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()[0]
    return "unknown"


def responds(device: torch.device) -> bool:
    """Whether the device still computes: after some errors a CUDA context does not."""
    try:
        return float(torch.ones(2, device=device).sum()) == 2
    except RuntimeError:
        return False


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def precisions(device: torch.device) -> list[str]:
    """Those that networks can be run in here."""
    if device.type != "cuda":
        return ["fp32", "bf16"]
    return ["fp32", "TF32", *(["bf16"] if torch.cuda.is_bf16_supported() else []), "fp16"]


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """fp32 (without TF32), TF32, bf16 or fp16 (autocast, without TF32)."""
    autocast = torch.autocast(device.type, DTYPES[precision]) if precision in DTYPES else nullcontext()
    with tf32(precision == "TF32"), autocast:
        yield


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether CUDA may shorten float32 factors to TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def fresh_runtime(options: RuntimeOptions) -> Runtime:
    """A runtime as a process of its own would make it: accelerate keeps the first one's precision otherwise."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)
    return Runtime(options)


class PeakMemory:
    """Bytes allocated on a CUDA device at most since it was made; None on a CPU, where a process reuses what it has."""

    def __init__(self, device: torch.device):
        self.device = device
        free_memory(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def mebibytes(self) -> int | None:
        """The peak, rounded."""
        return round(torch.cuda.max_memory_allocated(self.device) / 2**20) if self.device.type == "cuda" else None


def free_memory(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def per_second(call: Callable[[], object], device: torch.device, seconds: float, warm_up: int = 2) -> float:
    """Calls a second after a warm-up: in a stretch of about `seconds`, or of one call that takes longer alone."""
    for _ in range(warm_up):
        call()
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    once = time.perf_counter() - start
    if once > seconds:
        return 1 / once
    number = max(2, min(10_000, int(seconds / max(once, 1e-6))))
    start = time.perf_counter()
    for _ in range(number):
        call()
    synchronize(device)
    return number / (time.perf_counter() - start)
