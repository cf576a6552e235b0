"""One training in several processes: each learns from its slice of every batch, and all take the same steps.

Lightning's DDP is not used. Its reducer expects one forward and one backward pass a step, where methods re-enter the
backbone and take gradients in parts; and Lightning then sends between processes on its own, even as a signal arrives.
Here a process trains as if alone, and gradients are averaged before the step.
"""

from collections.abc import Iterator

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import Sampler

from wsol.data.crops import Shuffled
from wsol.errors import WsolError
from wsol.methods.contract import Method
from wsol.system import processes


class Sliced(Sampler[int]):
    """This process's slice of every batch; a last batch that is not full is left out.

    order: places of the photos, as one process takes them.
    batch_size: photos of a whole batch, a multiple of the number of processes.
    """

    def __init__(self, order: Shuffled, batch_size: int) -> None:
        self.order, self.batch_size = order, batch_size
        self.rank, self.processes = processes.place()

    @property
    def size(self) -> int:
        """How many photos a slice has."""
        return self.batch_size // self.processes

    def __len__(self) -> int:
        return len(self.order) // self.batch_size * self.size

    def __iter__(self) -> Iterator[int]:
        places = list(self.order)
        for batch in range(len(self.order) // self.batch_size):
            first = batch * self.batch_size + self.rank * self.size
            yield from places[first : first + self.size]


def begin_alike(method: Method) -> None:
    """All processes begin with the first one's network."""
    processes.copy_first([*method.parameters(), *method.buffers()])


def average_step(method: Method, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradients become their means over the processes, and the terms of the loss come back so.

    A parameter may have a gradient in some processes alone: in the others it counts as 0. It stays without one where no
    process has any, as optimisers leave such parameters as they are.
    """
    values = torch.stack([term.float() for term in terms.values()])
    learning = [parameter for parameter in method.parameters() if parameter.requires_grad]
    reached = torch.tensor([parameter.grad is not None for parameter in learning], dtype=torch.float32)
    processes.average([values, reached])
    gradients = []
    for parameter, share in zip(learning, reached.tolist(), strict=True):
        if share:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            gradients.append(parameter.grad)
    processes.average(gradients)
    return dict(zip(terms, values, strict=True))


def meet(method: Method) -> None:
    """Batch norms that learn get the means of their statistics; all other buffers become the first process's."""
    norms = [module for module in method.modules() if isinstance(module, _BatchNorm) and module.training]
    means = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None]
    processes.average(means)
    known = {id(buffer) for buffer in means}
    processes.copy_first(buffer for buffer in method.buffers() if id(buffer) not in known)


def share_batch_norms(method: Method) -> None:
    """Batch norms take the statistics of whole batches. Raises WsolError where processes have no GPU of their own."""
    if processes.device().type != "cuda":
        raise WsolError("sync_batch_norm needs a GPU for each process; leave it out")
    convert_sync_batchnorm(method)
