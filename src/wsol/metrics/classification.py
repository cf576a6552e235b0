"""How well images are classified: Top-1 and Top-5."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from wsol.errors import WsolError


def ranks(logits: Float[Tensor, "b k"], labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """How many classes the network puts before the true one; 0 means that it is the answer.

    Equal logits rank by class index, so that a network that says nothing is not right every time; a NaN is
    before everything.
    """
    own = logits.gather(1, labels[:, None])
    classes = torch.arange(logits.shape[1], device=logits.device)
    tied_before = (logits == own) & (classes < labels[:, None])
    return (~(logits <= own) | tied_before).sum(1)


class Classification(Metric):
    """Share of images whose true class is the best (Top1Cls) or among the five best (Top5Cls), in percent.

    With up to five classes Top5Cls is 100 by definition and says nothing. States are whole-number counts.
    """

    full_state_update = False
    top1: Tensor
    top5: Tensor
    images: Tensor

    def __init__(self):
        super().__init__()
        for name in ("top1", "top5", "images"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, ranks: Int[Tensor, " b"]) -> None:
        """Count images by the rank of their true class."""
        self.top1 += (ranks < 1).sum()
        self.top5 += (ranks < 5).sum()
        self.images += len(ranks)

    def compute(self) -> dict[str, float]:
        """Top1Cls and Top5Cls. Raises WsolError when no image was counted."""
        if self.images == 0:
            raise WsolError("no image was classified; evaluate a split that has images")
        counts = {"Top1Cls": self.top1, "Top5Cls": self.top5}
        return {name: int(count) * 100.0 / int(self.images) for name, count in counts.items()}
