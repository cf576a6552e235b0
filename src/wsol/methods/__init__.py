"""One paper, one file."""

from wsol.methods.acol import ACoL
from wsol.methods.aepl import AEPL
from wsol.methods.bas import BAS
from wsol.methods.cam import CAM
from wsol.methods.ega import EGA
from wsol.methods.eil import EIL, MEIL
from wsol.methods.slt import SLTNet

__all__ = ["AEPL", "BAS", "CAM", "EGA", "EIL", "MEIL", "ACoL", "SLTNet"]
