"""How well images are classified: Top-1 and Top-5."""

from jaxtyping import Float, Int
from torch import Tensor

from wsol.metrics.counts import Counts, Figures, Sums


def ranks(logits: Float[Tensor, "b k"], labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """How many classes the network puts before the true one; 0 means that it is the answer.

    Equal logits rank by class index, so that a network that says nothing is not right every time; a NaN is
    before everything.
    """
    own = logits.gather(1, labels[:, None])
    before = labels.new_tensor(range(logits.shape[1])) < labels[:, None]
    return (~(logits <= own) | ((logits == own) & before)).sum(1)


class Classification(Counts):
    """Share of images whose true class is the best (Top1Cls) or among the five best (Top5Cls), in percent.

    With up to five classes Top5Cls is 100 by definition and says nothing.
    """

    def __init__(self, classes: int = 1, replicates: int = 0, over_classes: bool = False):
        super().__init__(classes, replicates, over_classes, found=(2,))

    def update(self, rank: int, label: int = 0, index: int = 0) -> None:
        """Count one image by the rank of its true class, as by `ranks`."""
        self.count(label, index, found=[rank < 1, rank < 5])

    def figures(self, sums: Sums) -> Figures:
        """Top1Cls and Top5Cls of some rows of counts."""
        top1, top5 = (sums["found"] * 100.0 / sums["images"][:, None]).mean(0).tolist()
        return {"Top1Cls": top1, "Top5Cls": top5}
