"""One paper, one file."""

from wsol.methods.acol import ACoL
from wsol.methods.cam import CAM
from wsol.methods.eil import EIL, MEIL

__all__ = ["CAM", "EIL", "MEIL", "ACoL"]
