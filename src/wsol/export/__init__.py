"""Results to files: one writer a format, each whole or not at all, one result in memory at a time."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from wsol.errors import WsolError
from wsol.export.coco import CocoWriter
from wsol.export.heatmaps import HeatmapWriter, read_heatmaps
from wsol.export.overlay import OverlayWriter
from wsol.export.table import CsvWriter, JsonWriter
from wsol.export.voc import VocWriter
from wsol.export.writer import Writer
from wsol.export.yolo import YoloWriter
from wsol.result import Result

FORMATS: dict[str, type[Writer]] = {
    "coco": CocoWriter,
    "yolo": YoloWriter,
    "voc": VocWriter,
    "json": JsonWriter,
    "csv": CsvWriter,
    "overlay": OverlayWriter,
    "heatmap": HeatmapWriter,
}


def write_results(results: Iterable[Result], folder: str | Path, classes: list[str], formats: list[str]) -> int:
    """Writes results in every format asked for, and says how many there were.

    Raises WsolError naming the file when the disk refuses.
    """
    count = 0
    try:
        with ExitStack() as stack:
            writers = [stack.enter_context(FORMATS[each](Path(folder), classes)) for each in formats]
            for result in results:
                count += 1
                for writer in writers:
                    writer.add(result)
    except OSError as error:
        where = error.filename or folder
        raise WsolError(f"{where}: could not be written ({error.strerror or error}); free some space") from error
    return count


__all__ = ["FORMATS", "Writer", "read_heatmaps", "write_results"]
