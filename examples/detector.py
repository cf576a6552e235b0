"""A detector trained on the boxes that `wsol locate` wrote, measured on photos with true boxes.

    wsol locate runs/bas photos/train --output found --format coco
    python detector.py found/coco.json photos/train true/test.json photos/test --weights mobilenetv1_100.safetensors

All classes count as one: what is learnt is where something is.
"""

from pathlib import Path

import timm
import torch
from cyclopts import run
from PIL import Image, ImageOps
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.transforms import v2

SIDE, STRIDES, WIDTH = 224, (16, 32), 128  # small objects want stride 8 as well, at thrice the time
SEEN = v2.Compose([v2.PILToTensor(), v2.Resize((SIDE, SIDE)), v2.ToDtype(torch.float32, scale=True)])
LEARNT = v2.Compose([SEEN, v2.RandomHorizontalFlip()])


class Photos(CocoDetection):
    """Upright photos: boxes refer to them as EXIF turns them."""

    def _load_image(self, id: int) -> Image.Image:
        return ImageOps.exif_transpose(super()._load_image(id))


class Pyramid(nn.Module):
    """MobileNetV1's last maps, as torchvision's detectors take them."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        options = {"features_only": True, "out_indices": (-2, -1), "pretrained_cfg_overlay": {"file": str(weights)}}
        self.body = timm.create_model("mobilenetv1_100", pretrained=True, **options)
        self.pyramid, self.out_channels = FeaturePyramidNetwork(self.body.feature_info.channels(), WIDTH), WIDTH

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.pyramid(dict(zip(map(str, STRIDES), self.body(images), strict=True)))


def learn(boxes: Path, photos: Path, weights: Path, epochs: int, rate: float = 0.01) -> FCOS:
    """FCOS, trained on the boxes of a COCO file; the same seed whatever the boxes."""
    torch.manual_seed(0)
    one_size = AnchorGenerator(tuple((8 * stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES))
    head = FCOSHead(WIDTH, 1, 2, num_convs=2)
    network = FCOS(Pyramid(weights), 2, min_size=SIDE, max_size=SIDE, anchor_generator=one_size, head=head)
    network = network.to(memory_format=torch.channels_last)
    samples = wrap_dataset_for_transforms_v2(Photos(photos, boxes, transforms=LEARNT), ("boxes", "labels"))
    batches = DataLoader(samples, 8, shuffle=True, collate_fn=list, drop_last=True)
    optimiser = torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * len(batches))
    for epoch in range(epochs):
        for batch in batches:
            images, targets = zip(*[(image, target) for image, target in batch if target], strict=True)
            loss = sum(
                network(images, [target | {"labels": torch.ones_like(target["labels"])} for target in targets]).values()
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}: loss {loss.item():.3f}", flush=True)
    return network.eval()


@torch.inference_mode()
def measure(network: FCOS, truth: Path, photos: Path) -> dict[str, float]:
    """AP (mean over IoU 50 to 95) and AP50, percent, by pycocotools, of all classes as one."""
    known, rows = Photos(photos, truth), []
    for key in known.ids:
        image = known._load_image(key)
        (answer,) = network([SEEN(image)])
        scale = torch.tensor(image.size).repeat(2) / SIDE
        for box, score in zip(answer["boxes"] * scale, answer["scores"].tolist(), strict=True):
            x0, y0, x1, y1 = box.tolist()
            rows.append({"image_id": key, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    for annotation in known.coco.anns.values():
        annotation["category_id"] = 1
    judged = COCOeval(known.coco, known.coco.loadRes(rows), "bbox")
    judged.params.useCats = 0
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    return {"AP": 100 * float(judged.stats[0]), "AP50": 100 * float(judged.stats[1])}


def main(boxes: Path, photos: Path, truth: Path, test_photos: Path, *, weights: Path, epochs: int = 4) -> None:
    """Train on BOXES of PHOTOS, measure on TRUTH of TEST_PHOTOS; both files are COCO's."""
    print(measure(learn(boxes, photos, weights, epochs), truth, test_photos))


if __name__ == "__main__":
    run(main)
