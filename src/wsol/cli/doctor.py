"""What this machine has, as `wsol doctor` says it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch
from rich.table import Table

from wsol.backbones import build_backbone
from wsol.cli.app import out
from wsol.methods.cam import CAM
from wsol.system import processes
from wsol.training.pace import step_seconds, use_bf16


def doctor() -> None:
    """Say what this machine has and how fast it trains."""
    shown = Table(show_header=False)
    for name, said in report().items():
        shown.add_row(name, said)
    out.print(shown)


def report() -> dict[str, str]:
    """Versions, accelerator, precision, and the training speed of a small network, measured now."""
    return {
        "wsol": _version("wsol"),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **{name: _version(name) for name in ("torch", "torchvision", "timm", "lightning", "numba")},
        **{name: _version(name) for name in ("pandas", "pycocotools")},
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none, training on the CPU",
        "precision=auto": "bf16" if use_bf16("auto") else "fp32 (no bf16 units: expect a half to a tenth of the speed)",
        "resnet18 at 224 px": f"{training_speed():.0f} images/s in training",
    }


def training_speed(seconds: float = 3.0, batch: int = 16) -> float:
    """Images a second of CAM's training step on resnet18 at 224 px."""
    device = processes.device()
    method = CAM(build_backbone("resnet18"), 10).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(batch, 3, 224, 224, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % 10
    step_seconds(method, images, labels)  # the first step prepares kernels
    spent = [step_seconds(method, images, labels)]
    while sum(spent) < seconds:
        spent.append(step_seconds(method, images, labels))
    return batch * len(spent) / sum(spent)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
