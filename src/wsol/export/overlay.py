"""Pictures of what was found: overlays/NAME.jpg."""

from itertools import chain, count
from pathlib import PurePosixPath

from wsol.export.writer import Writer
from wsol.locating.result import QUALITY, Result, jpeg_name
from wsol.system.files import write_picture
from wsol.system.names import within


class OverlayWriter(Writer):
    """The photo with heatmap, box and caption; folders are kept. x.png and x.png.jpg get two pictures."""

    about = "pictures: the photo with heatmap, box and caption"
    owns = "overlays"

    def add(self, result: Result) -> None:
        path = PurePosixPath(jpeg_name(result.path))
        numbered = (str(path.with_stem(f"{path.stem}_{number}")) for number in count(2))
        write_picture(within(self.root, self.free(chain([str(path)], numbered))), result.plot(), quality=QUALITY)
