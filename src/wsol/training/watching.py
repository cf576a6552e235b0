"""MaxBoxAcc by epoch, where it is asked for: by true boxes a curve to look at, by another network's to choose by."""

import lightning as L
import torch

from wsol.data import Cases, Dataset
from wsol.data.crops import EvaluationImages, collate
from wsol.data.loading import Loader
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.methods.contract import Method
from wsol.metrics import CLOVA, SIZE, BoxAccuracy
from wsol.readouts.contract import Own
from wsol.runs.folder import Run
from wsol.system import processes


class BoxWatch(L.Callback):
    """Logs MaxBoxAcc on the validation photos that have boxes, each epoch. Nothing is learnt from these.

    run: its settings say how photos are shown.
    method: the network that is trained.
    validation: the photos.
    name: what the figure is called.

    Raises WsolError where no photo has a box.
    """

    def __init__(self, run: Run, method: Method, validation: Dataset, name: str = "MaxBoxAcc") -> None:
        self.name, settings = name, run.resolved.settings
        self.localizer = answering(run, method)
        self.cases = Cases(validation)
        places = range(len(self.cases)) if validation.has_boxes else ()
        boxed = [index for index in places if len(self.cases.truth(index).boxes)]
        if not boxed:
            raise WsolError(f"{validation.name}: no validation photo has a box; leave out --watch-boxes")
        views = EvaluationImages(self.cases, settings.image_size)
        mine = [boxed[place] for place in processes.share(len(boxed))]
        self.batches = Loader(views, settings.batch_size, settings.workers, mine, collate)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log(self.name, self.accuracy())

    def accuracy(self) -> float:
        """In percent, of the network as it is now; of all photos, which processes share."""
        metric, cases = BoxAccuracy(), self.cases
        for batch in self.batches:
            labels = torch.tensor([cases.samples[index].label for index in batch.indices.tolist()])
            answer = self.localizer.look(batch.images, labels[:, None])
            for place, index in enumerate(batch.indices.tolist()):
                boxes, size = cases.truth(index).boxes, cases.size(index)
                if answer.boxes is None:
                    heatmap = CLOVA.heatmap(answer.heatmaps[place, 0].numpy())
                    score = metric.score(heatmap, boxes, size)
                else:
                    score = metric.score_drawn(SIZE * answer.boxes[place, None].double().numpy(), boxes, size)
                metric.update(score, 0)
        return metric.compute()["MaxBoxAcc"]


def answering(run: Run, method: Method) -> Localizer:
    """What a network answers while it is trained."""
    size, readout = run.resolved.settings.image_size, Own(run.resolved.at_test)
    return Localizer(method, run.classes, size, run.several, readout=readout)
