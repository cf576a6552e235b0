"""Heads on a backbone: of classes, which all methods of the CAM family share, and of a box."""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wsol.nn.ranges import in_range


class Head(nn.Module):
    """Features to class maps and logits: `depth` 3x3 convolutions with ReLU, then a 1x1 convolution and GAP.

    channels: c of the features.
    classes: k.
    depth: hidden 3x3 convolutions (VGG's CAM head: 1, ACoL's: 2, ResNet's: 0).
    width: channels of those convolutions.
    form: "conv" averages the class maps (ACoL, section 3.1); "linear" classifies the averaged features (CAM).
        Equal logits; the maps differ by the class's bias, which a min-max removes.
    init: "kaiming" (fan-out, last layer N(0, 0.01)) or "xavier" (uniform), biases zero; "library" for torch's own.
    rectify: ReLU on the class maps before averaging (SqueezeNet's own head); needs form "conv".
    dropout: share of the channels' cells that training drops before each of these convolutions (SPG, I2C).
    kernel: side of the last convolution, odd (TS-CAM: 3); above 1 needs form "conv".

    Raises ValueError for a depth or width out of range, and for a rectified linear head.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        depth: int = 0,
        width: int = 1024,
        form: Literal["conv", "linear"] = "conv",
        init: Literal["kaiming", "xavier", "library"] = "kaiming",
        rectify: bool = False,
        dropout: float = 0.0,
        kernel: int = 1,
    ) -> None:
        super().__init__()
        in_range(0, 16, head_depth=depth)
        in_range(1, 16384, head_width=width)
        in_range(0, 1, dropout=dropout)
        if rectify and form == "linear":
            raise ValueError("a rectified head averages class maps: form must be 'conv'")
        sides = [channels] + [width] * depth
        dropped = [nn.Dropout(dropout)] if dropout else []
        layers = [
            layer
            for inward, outward in pairwise(sides)
            for layer in (*dropped, nn.Conv2d(inward, outward, 3, padding=1), nn.ReLU(inplace=True))
        ]
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(sides[-1], classes, kernel, padding=kernel // 2)
        self.classes, self.form, self.rectify = classes, form, rectify
        for conv in (layer for layer in self.modules() if isinstance(layer, nn.Conv2d) and init != "library"):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            if init == "xavier":
                xavier(conv)
            elif conv is self.classifier:
                nn.init.normal_(conv.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k h w"]]:
        """Logits (b, k) and class maps (b, k, h, w) of any range."""
        features = self.hidden(features)
        if self.form == "linear":
            logits = self.classifier(features.mean((2, 3), keepdim=True)).flatten(1)
            return logits, functional.conv2d(features, self.classifier.weight)
        class_maps = self.classifier(features)
        if self.rectify:
            class_maps = class_maps.relu()
        return class_maps.mean((2, 3)), class_maps


def xavier(conv: nn.Conv2d) -> None:
    """Begins a convolution with Xavier's uniform weights and biases of zero."""
    assert conv.bias is not None
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)


class BoxHead(nn.Module):
    """Averaged features to a box by two layers, which begin with the middle of the image, or the last ReLU may die.

    channels: c of the features.
    width: hidden units.
    end: the last layer is a "relu" or a "sigmoid".

    Raises ValueError for a width below 1.
    """

    def __init__(self, channels: int, width: int = 512, end: Literal["relu", "sigmoid"] = "relu") -> None:
        super().__init__()
        in_range(1, 16384, box_width=width)
        self.hidden, self.last, self.end = nn.Linear(channels, width), nn.Linear(width, 4), end
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Float[Tensor, "b c h w"], whole: float) -> Float[Tensor, "b 4"]:
        """x0 y0 x1 y1 in units of which the image has `whole` a side."""
        change = self.last(self.hidden(features.mean((2, 3))).relu()).float()
        middle = change.new_tensor([0.25, 0.25, 0.75, 0.75])
        if self.end == "sigmoid":
            return whole * (change + middle.logit()).sigmoid()
        return (change + whole * middle).relu()
