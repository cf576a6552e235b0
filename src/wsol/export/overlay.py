"""Pictures of what was found: overlays/NAME.jpg."""

from wsol.export.writer import Writer
from wsol.locating.result import Result


class OverlayWriter(Writer):
    """The photo with heatmap, box and caption; folders are kept."""

    about = "pictures: the photo with heatmap, box and caption"
    owns = "overlays"

    def add(self, result: Result) -> None:
        result.save(self.root)
