"""How fast a network trains here, and in which precision."""

import time

import torch
from torch import Tensor

from wsol.methods.contract import Method


def step_seconds(method: Method, images: Tensor, labels: Tensor, precision: str = "auto") -> float:
    """How long one loss with its gradients takes, computed as in training; leaves no gradients behind."""
    began = time.perf_counter()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=use_bf16(precision)):
        terms = method.loss(images, labels)
    torch.autograd.backward(list(terms.values()))
    if images.is_cuda:
        torch.cuda.synchronize()
    method.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def use_bf16(precision: str) -> bool:
    """Whether to train under bf16 autocast: "auto" does if the CPU has AMX or AVX-512 BF16, a GPU from Ampere on."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
