"""A method without any framework: a backbone, a loss, an optimiser. Prints the loss and the boxes of four photos."""

import torch
from torch.utils.data import DataLoader

from wsol.backbones import build_backbone
from wsol.boxes.rule import find_boxes, normalise
from wsol.data import Creatures
from wsol.data.crops import TrainingImages
from wsol.methods.eil import EIL

if __name__ == "__main__":
    photos = Creatures("train", images=64, size=128)
    method = EIL(build_backbone("resnet18", map_stride=8), classes=len(photos.classes))
    optimiser = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)

    for images, labels in DataLoader(TrainingImages(photos, size=112), batch_size=16, shuffle=True):
        loss = sum(method.loss(images, labels).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        print(f"loss {loss.item():.3f}")

    with torch.no_grad():
        prediction = method.eval().predict(images[:4])
        best = prediction.logits.argmax(1, keepdim=True)
        for heatmap in method.heatmaps(prediction, best)[:, 0]:
            print(find_boxes(normalise(heatmap.numpy(), (112, 112)), threshold="auto").tolist())
