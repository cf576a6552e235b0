"""The field's metrics, to the last bit, as torchmetrics whose states add up over processes."""

from wsol.metrics.baselines import centre_box, whole_image
from wsol.metrics.box import BoxAccuracy, BoxCurves, BoxScore
from wsol.metrics.classification import Classification, ranks
from wsol.metrics.pixel import PixelPrecision, PixelScore
from wsol.metrics.protocols import IOUS, PROTOCOL, SIZE

__all__ = [
    "IOUS",
    "PROTOCOL",
    "SIZE",
    "BoxAccuracy",
    "BoxCurves",
    "BoxScore",
    "Classification",
    "PixelPrecision",
    "PixelScore",
    "centre_box",
    "ranks",
    "whole_image",
]
