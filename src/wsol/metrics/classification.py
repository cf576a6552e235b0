"""How well images are classified: Top-1 and Top-5, and mean average precision where an image has several classes."""

from collections.abc import Collection

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.utilities import dim_zero_cat

from wsol.errors import WsolError
from wsol.metrics.counts import Counts, Figures, Sums


def ranks(logits: Float[Tensor, "b k"], labels: Int[Tensor, " b"] | Bool[Tensor, "b k"]) -> Int[Tensor, " b"]:
    """How many classes the network puts before the true one; 0 means that it is the answer.

    Bool labels: before the first of those present. Equal logits rank by class index, so that a network that says
    nothing is not right every time; a NaN is before everything.
    """
    if labels.dtype == torch.bool:
        each = [
            ranks(logits, torch.full((len(logits),), label, device=logits.device)) for label in range(logits.shape[1])
        ]
        return torch.stack(each, 1).masked_fill(~labels, logits.shape[1]).amin(1)
    own = logits.gather(1, labels[:, None])
    before = labels.new_tensor(range(logits.shape[1])) < labels[:, None]
    return (~(logits <= own) | ((logits == own) & before)).sum(1)


class Classification(Counts):
    """Share of images whose true class is the best (Top1Cls) or among the five best (Top5Cls), in percent.

    With up to five classes Top5Cls is 100 by definition and says nothing.
    """

    def __init__(
        self,
        classes: int = 1,
        replicates: int = 0,
        over_classes: bool = False,
        occurring: Collection[int] | None = None,
    ):
        super().__init__(classes, replicates, over_classes, occurring, found=(2,))

    def update(self, rank: int, label: int = 0, index: int = 0) -> None:
        """Count one image by the rank of its true class, as by `ranks`."""
        self.count(label, index, found=[rank < 1, rank < 5])

    def figures(self, sums: Sums) -> Figures:
        """Top1Cls and Top5Cls of some rows of counts."""
        top1, top5 = (sums["found"] * 100.0 / sums["images"][:, None]).mean(0).tolist()
        return {"Top1Cls": top1, "Top5Cls": top5}


class MeanPrecision(Metric):
    """mAP: average precision of each class over the images' logits, then the mean over classes, in percent.

    Average precision is the area under precision and recall, sum of P_i (R_i - R_{i-1}), not interpolated. Classes
    that no image has are left out. Unlike the other metrics it keeps what it is given: k numbers an image.
    """

    full_state_update = False
    scores: list[Tensor]
    present: list[Tensor]

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes
        for name in ("scores", "present"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, logits: Float[Tensor, " k"], present: Bool[Tensor, " k"]) -> None:
        """Count one image. present: which classes it has."""
        # flat and of one dtype, as a process without images joins in with an empty vector
        self.scores.append(logits.float().nan_to_num(nan=-torch.inf))
        self.present.append(present.float())

    def compute(self) -> dict[str, float | None]:
        """None where no image has any class. Raises WsolError when no image was counted."""
        if len(self.scores) == 0:
            raise WsolError("no image with several classes to choose from was scored; evaluate a set that has such")
        scores, present = (dim_zero_cat(state).view(-1, self.classes) for state in (self.scores, self.present))
        found = []
        for own, right in zip(scores.T, present.T, strict=True):
            if right.any():
                # places instead of logits: torchmetrics would squash these, and make large ones equal
                places = own.unique(return_inverse=True)[1].double() / len(own)
                found.append(binary_average_precision(places, right.int()))
        return {"mAP": 100 * float(torch.stack(found).mean()) if found else None}
