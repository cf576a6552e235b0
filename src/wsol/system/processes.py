"""One process, or several that share the work: those that `torchrun` started."""

import atexit
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from wsol.errors import WsolError
from wsol.system.console import console

Made = TypeVar("Made")
BUCKET = 2**24  # bytes that are sent at a time
PATIENCE = timedelta(days=1)  # the others wait while the first one makes features of all photos


def join() -> None:
    """Meets the other processes, where `torchrun` started some; only the first goes on saying things."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        own_gpu = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # nccl asks for that
        backend = "cpu:gloo,cuda:nccl" if own_gpu and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)  # as torch asks; an abort at the end was seen without
        if dist.get_rank():
            warnings.simplefilter("ignore")
            console.quiet = True


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


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Each tensor becomes its mean over the processes, in place; all give the same shapes in the same order."""
    for some, flat in _flattened(tensors):
        dist.all_reduce(flat)
        _spread(flat / dist.get_world_size(), some)


@torch.no_grad()
def copy_first(tensors: Iterable[Tensor]) -> None:
    """Each tensor becomes that of the first process, in place."""
    for some, flat in _flattened(tensors):
        dist.broadcast(flat.view(torch.uint8), 0)
        _spread(flat, some)


def _flattened(tensors: Iterable[Tensor]) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Tensors of one kind in lists of about `BUCKET` bytes, each with all of their values in a row."""
    buckets: dict[tuple[Any, ...], list[Tensor]] = {}
    sizes: dict[tuple[Any, ...], int] = {}
    for tensor in tensors:
        kind = tensor.dtype, tensor.device
        before = sizes.get(kind, 0)
        buckets.setdefault((*kind, before // BUCKET), []).append(tensor)
        sizes[kind] = before + tensor.nbytes
    for some in buckets.values():
        yield some, torch.cat([tensor.reshape(-1) for tensor in some])


def _spread(flat: Tensor, tensors: list[Tensor]) -> None:
    for tensor, values in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(values.view(tensor.shape))


@contextmanager
def agreed() -> Iterator[None]:
    """Processes leave the block together, or none does.

    Raises WsolError in all of them where one did within the block.
    """
    mine = None
    try:
        yield
    except WsolError as error:
        mine = error
    if said := gather([] if mine is None else [str(mine)]):
        raise mine if mine is not None and str(mine) == said[0] else WsolError(said[0])


def first_then_others(make: Callable[[], Made]) -> Made:
    """What each process makes, the first one before the others: they find the files that it wrote."""
    made = []
    with agreed():
        if place()[0] == 0:
            made.append(make())
    return made[0] if made else make()


@contextmanager
def in_touch() -> Iterator[None]:
    """Raises WsolError where another process ended within the block, instead of what torch says of its connection."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        rank, processes = place()
        said = f"process {rank} of {processes} lost another one, which was killed or is out of reach"
        raise WsolError(f"{said}; start all again, with --resume") from error


def speaks() -> bool:
    """Whether this process is the first of all to ask, and so says why they end; the others are silent."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    asked = f"wsol/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    address, port = (os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
    try:
        store = dist.TCPStore(address, int(port), timeout=timedelta(seconds=10))  # type: ignore[attr-defined]
        return store.add(asked, 1) == 1
    except (RuntimeError, ValueError):  # the first process kept it, and ended
        return os.environ.get("RANK") == "0"
