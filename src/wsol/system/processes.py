"""One process, or several that share the photos: those that `torchrun` started."""

import atexit
import os
import warnings
from typing import Any

import torch
import torch.distributed as dist


def join() -> None:
    """Meets the other processes, where `torchrun` started some; only the first goes on warning."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
        atexit.register(dist.destroy_process_group)  # as torch asks; an abort at the end was seen without
        if dist.get_rank():
            warnings.simplefilter("ignore")


def place() -> tuple[int, int]:
    """Which process this is, from 0, and of how many."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def device() -> torch.device:
    """This process's GPU, where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def share(count: int) -> range:
    """This process's part of `count` things: no two have the same one, though some have one more."""
    own, processes = place()
    return range(own, count, processes)


def gather(some: list[Any]) -> list[Any]:
    """What all processes have, in one list, in each of them."""
    _, processes = place()
    if processes == 1:
        return some
    every: list[list[Any]] = [[] for _ in range(processes)]
    dist.all_gather_object(every, some)
    return [each for part in every for each in part]
