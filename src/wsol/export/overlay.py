"""Pictures of what was found: overlays/NAME.jpg."""

from wsol.export.writer import Writer
from wsol.result import Result


class OverlayWriter(Writer):
    """The photo with heatmap, box and caption; folders are kept."""

    def add(self, result: Result) -> None:
        result.save(self.folder / "overlays")
