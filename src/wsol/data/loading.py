"""Batches of views, made by other processes where they are wanted; whatever fails there is one line here."""

import math
import multiprocessing
import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from wsol.data.crops import EvaluationImages, TrainingImages
from wsol.errors import WsolError

Views = TrainingImages | EvaluationImages
SHARED = "/dev/shm"
FOR_LOCKS = 2**16  # bytes of it that the locks of a process may take
ALONE = "--workers 0 (in Python workers=0)"


class Loader(DataLoader):
    """A `DataLoader` that needs no shared memory where there is little, and whose errors are one line.

    views: What is loaded.
    batch_size: How many views a batch holds.
    workers: How many processes make them; 0 for this one alone.
    sampler: Places of the views, in order; by default all.
    collate: Makes a batch of a list of views; by default each of their values is stacked.
    drop_last: Whether a last batch that is not full is left out.

    Raises WsolError, naming the file, for a view that cannot be made, and where a process cannot begin or dies.
    """

    def __init__(
        self,
        views: Views,
        batch_size: int,
        workers: int,
        sampler: Iterable[int] | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
    ) -> None:
        workers = _possible(workers)
        # two batches of each process wait, and as many of the loader for validation
        waiting = 2 * (2 * workers + 1) * batch_size * 3 * 4 * views.size**2
        super().__init__(
            _Batches(views, collate or _stacked),
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),  # the GPU fetches a batch while it computes
            worker_init_fn=_use_pipes if workers and _shared_memory() < waiting else None,
            collate_fn=_as_it_is,
            drop_last=drop_last,
            generator=torch.Generator(),
        )
        if workers:  # Lightning forgets what torch would set at the first batch: how a process died would be unknown
            signal_handling._set_SIGCHLD_handler()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        with explained():
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Got pickle error")  # said below
                    batches = super().__iter__()
            except (OSError, EOFError, AttributeError, TypeError, pickle.PicklingError) as error:
                raise WsolError(_why_not_begun(error)) from None
            for batch in batches:
                if isinstance(batch, _Failure):
                    raise WsolError(batch.said) from RuntimeError(batch.traceback)
                yield batch


@contextmanager
def explained() -> Iterator[None]:
    """Says in one line why a process that read photos died. torch raises that wherever the program is just then.

    Raises WsolError instead of what torch says of its processes and of shared memory; KeyboardInterrupt where all
    processes were told to stop, so that their death is no fault.
    """
    try:
        yield
    except RuntimeError as error:
        if not (said := _why_dead(error)):
            raise
        if _was_stopped(error):
            raise KeyboardInterrupt from None
        raise WsolError(said) from None


def _was_stopped(error: BaseException | None) -> bool:
    """Whether an error came while an interruption was dealt with."""
    return error is not None and (isinstance(error, KeyboardInterrupt) or _was_stopped(error.__context__))


def leave_if_imported() -> None:
    """Ends a process that runs the user's script again only to read photos for it, as the script has no main guard."""
    if _imports_main():
        sys.exit(1)  # the first process says why


class _Batches(Dataset):
    """Whole batches, or why there is none: torch would say that in twenty lines."""

    def __init__(self, views: Views, collate: Callable[[list[Any]], Any]) -> None:
        self.views, self.collate = views, collate

    def __len__(self) -> int:
        return len(self.views)

    def __getitems__(self, places: list[int]) -> Any:
        place = places[0]
        try:
            made = []
            for place in places:
                made.append(self.views[place])
            return self.collate(made)
        except WsolError as error:
            said = str(error)
        except Exception as error:  # a layout of another package may raise anything
            photos = self.views.photos
            reason = str(error).partition("\n")[0]
            said = f"{photos.samples[place % len(photos)].path}: cannot be used ({type(error).__name__}: {reason})"
        return _Failure(said, traceback.format_exc())


@dataclass(frozen=True)
class _Failure:
    """Why a batch could not be made, and where in the code."""

    said: str
    traceback: str


def _stacked(views: list[Any]) -> list[Tensor]:
    """As torch's own, which needs shared memory."""
    return [torch.stack([torch.as_tensor(value) for value in values]) for values in zip(*views, strict=True)]


def _as_it_is(batch: Any) -> Any:
    return batch


def _possible(workers: int) -> int:
    """How many processes there can be."""
    if not workers or multiprocessing.current_process().daemon:  # such a process may start none
        return 0
    try:
        multiprocessing.Lock()
        if _shared_memory() > FOR_LOCKS * (workers + 1):
            return workers
        said = "is full"
    except (OSError, ImportError) as error:
        said = f"cannot be used ({error})"
    warnings.warn(f"{SHARED} {said}: photos are read without other processes, as by --workers 0", stacklevel=1)
    return 0


def _shared_memory() -> float:
    """How much of it is free, in bytes; without limit where the system has no such folder."""
    try:
        state = os.statvfs(SHARED)
    except (OSError, AttributeError):
        return math.inf
    return state.f_bavail * state.f_frsize


def _use_pipes(_: int) -> None:
    """Sends this process's tensors as arrays, through pipes, which takes a few milliseconds a batch."""
    ForkingPickler.register(Tensor, lambda tensor: (torch.from_numpy, (tensor.numpy(),)))


def _imports_main() -> bool:
    return getattr(multiprocessing.current_process(), "_inheriting", False)


def _why_not_begun(error: Exception) -> str:
    said = str(error).partition("\n")[0] or type(error).__name__
    if isinstance(error, BrokenPipeError | ConnectionError | EOFError):
        return _unguarded()
    if isinstance(error, OSError):
        return f"the processes that read photos cannot be started ({said}); give fewer workers, or {ALONE}"
    return f"the photos cannot be handed to the processes that read them ({said}); give {ALONE}"


def _why_dead(error: RuntimeError) -> str | None:
    said = " ".join(str(one).partition("\n")[0] for one in (error.__cause__, error) if isinstance(one, RuntimeError))
    if "shared memory" in said:
        return f"{SHARED} is full; make it larger (docker run --shm-size 1g), or give {ALONE}"
    if "DataLoader worker" not in said:
        return None
    if "killed by signal: Killed" in said:
        return "a process that read photos was killed, perhaps as memory ran out; give fewer workers or smaller batches"
    if "exited unexpectedly" in said and multiprocessing.get_start_method() != "fork":
        return _unguarded()
    return f"a process that read photos died ({said}); give {ALONE}"


def _unguarded() -> str:
    method = multiprocessing.get_start_method()
    return (
        f"the processes that read photos ended at once: where they start by {method!r} a script must call wsol below "
        f'`if __name__ == "__main__":`, or give workers=0'
    )
