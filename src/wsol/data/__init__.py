"""Data sets: one file a layout; what they hold, and which layout a folder has."""

from wsol.data.caltech256 import Caltech256
from wsol.data.checking import Report, check
from wsol.data.creatures import Creatures
from wsol.data.cub import CUB
from wsol.data.dataset import Cases, Chosen, Dataset, Sample, Split, Truth
from wsol.data.downloading import download
from wsol.data.flowers17 import Flowers17
from wsol.data.flowers102 import Flowers102
from wsol.data.folder import Folder
from wsol.data.ilsvrc import ILSVRC
from wsol.data.metadata import Metadata, write_metadata
from wsol.data.opening import open_data, readable
from wsol.data.pet import Pet
from wsol.data.table import Csv
from wsol.data.voc import VOC

__all__ = [
    "CUB",
    "ILSVRC",
    "VOC",
    "Caltech256",
    "Cases",
    "Chosen",
    "Creatures",
    "Csv",
    "Dataset",
    "Flowers17",
    "Flowers102",
    "Folder",
    "Metadata",
    "Pet",
    "Report",
    "Sample",
    "Split",
    "Truth",
]
__all__ += ["check", "download", "open_data", "readable", "write_metadata"]
