"""Data sets: their contract and layouts, which layout a folder has, and what a data set holds.

`wsol.data.crops` makes the views for networks; it needs torch, the rest does not.
"""

from wsol.data.box_formats import BoxFormat
from wsol.data.check import Report, check
from wsol.data.dataset import Cases, Chosen, Dataset, Sample, Split, Truth
from wsol.data.download import download
from wsol.data.layouts.caltech256 import Caltech256
from wsol.data.layouts.creatures import Creatures
from wsol.data.layouts.cub import CUB
from wsol.data.layouts.flowers17 import Flowers17
from wsol.data.layouts.flowers102 import Flowers102
from wsol.data.layouts.folder import Folder
from wsol.data.layouts.ilsvrc import ILSVRC
from wsol.data.layouts.metadata import Metadata, write_metadata
from wsol.data.layouts.pet import Pet
from wsol.data.layouts.table import Csv
from wsol.data.layouts.voc import VOC
from wsol.data.recognise import known_layouts, open_data, readable

__all__ = [
    "CUB",
    "ILSVRC",
    "VOC",
    "BoxFormat",
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
__all__ += ["check", "download", "known_layouts", "open_data", "readable", "write_metadata"]
