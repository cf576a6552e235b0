"""Parquet: a row for each class of a photo, of one schema, whoever wrote it."""

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wsol.data.stored import Stored
from wsol.export.writer import OneFile
from wsol.locating.result import Result
from wsol.locating.results import Unread
from wsol.system.arrow import parquet

ROWS = 4096  # that wait to be written together


class ParquetWriter(OneFile):
    """A row for each class of a photo that was located, and one for each photo that could not be read.

    key: the photo's name.
    path: its file or address; null where it came from none.
    width, height: of the upright photo, pixels.
    class, score: as `Finding` has them.
    boxes: x0 y0 x1 y1 each, pixels of the upright photo.
    confidence: of each box.
    unsure: whether the photo may show no known class.
    threshold: where its boxes were cut; null for "auto".
    error: why the photo could not be read; all from width to threshold is null then.
    run: see `wsol.runs.fingerprint`; "" where nobody said.
    version: of wsol.
    """

    about = "part-00000-of-00001.parquet, a row a photo, also of bad ones; on many machines: --shard"
    binary = True

    def __init__(
        self, folder: Path, classes: list[str], name: str = "part-00000-of-00001.parquet", run: str = ""
    ) -> None:
        module = parquet()
        self.name = name
        super().__init__(folder, classes)
        self.table = module.ParquetWriter(self.file, schema(), compression="zstd")
        self.made_by = made_by(run)
        self.rows: list[dict[str, Any]] = []

    def add(self, result: Result) -> None:
        self._add(result)

    def add_unread(self, photo: Unread) -> None:
        self._add(photo)

    def close(self) -> None:
        self._flush()
        self.table.close()
        super().close()

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            with suppress(Exception):  # it would try again, and complain, when it is collected
                self.table.close()
            self.table.is_open = False

    def _add(self, outcome: Result | Unread) -> None:
        self.rows += rows_of(outcome, self.made_by)
        if len(self.rows) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self.rows:
            self.table.write_table(table_of(self.rows))
        self.rows = []


def made_by(run: str) -> dict[str, str]:
    """What all rows of a run say alike."""
    return {"run": run, "version": version("wsol")}


def rows_of(outcome: Result | Unread, made_by: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of a photo, as `ParquetWriter` writes them; what a row does not have is null.

    made_by: see there.
    """
    photo = {"key": _text(outcome.path), "path": _file(outcome.photo)} | made_by
    if isinstance(outcome, Unread):
        return [photo | {"error": _text(outcome.error)}]
    width, height = outcome.size
    photo |= {"width": width, "height": height, "unsure": outcome.unsure}
    photo["threshold"] = None if outcome.threshold == "auto" else outcome.threshold
    return [
        photo
        | {"class": _text(finding.name), "score": finding.score}
        | {"boxes": finding.boxes.tolist(), "confidence": finding.confidence.tolist()}
        for finding in outcome.findings
    ]


def table_of(rows: Iterable[dict[str, Any]]) -> Any:
    """The rows as a `pyarrow.Table` of the one schema."""
    import pyarrow  # pyright: ignore[reportMissingImports]

    return pyarrow.Table.from_pylist(list(rows), schema=schema())


def schema() -> Any:
    """The columns, in their order, as a `pyarrow.Schema`."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    fields = {
        "key": pa.string(),
        "path": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "class": pa.string(),
        "score": pa.float32(),
        "boxes": pa.list_(pa.list_(pa.float32(), 4)),
        "confidence": pa.list_(pa.float32()),
        "unsure": pa.bool_(),
        "threshold": pa.float32(),
        "error": pa.string(),
        "run": pa.string(),
        "version": pa.string(),
    }
    return pa.schema(fields.items())


def _file(photo: Any) -> str | None:
    return _text(str(photo)) if isinstance(photo, Path | Stored) else None


def _text(name: str) -> str:
    """Names that are no UTF-8 become escapes, as in other formats."""
    return name.encode("utf-8", "backslashreplace").decode()
