"""The field's metrics, to the last bit, as torchmetrics whose states add up over processes."""

from wsol.metrics.baselines import centre_box, whole_image
from wsol.metrics.box import BoxAccuracy, BoxCurves, BoxScore
from wsol.metrics.classification import Classification, MeanPrecision, ranks
from wsol.metrics.counts import Counts
from wsol.metrics.part import PeakOnPart
from wsol.metrics.pixel import PixelPrecision, PixelScore
from wsol.metrics.protocols import CLOVA, IOUS, PROTOCOLS, SIZE, Protocol

__all__ = [
    "CLOVA",
    "IOUS",
    "PROTOCOLS",
    "SIZE",
    "BoxAccuracy",
    "BoxCurves",
    "BoxScore",
    "Classification",
    "Counts",
    "MeanPrecision",
    "PeakOnPart",
    "PixelPrecision",
    "PixelScore",
    "Protocol",
    "centre_box",
    "ranks",
    "whole_image",
]
