"""Locating inside the workers of another engine, such as Ray Data: batches of rows in, batches of rows out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from wsol.boxes.rule import Threshold
from wsol.data.inputs import Input
from wsol.data.remote import is_address
from wsol.data.stored import Stored
from wsol.errors import WsolError
from wsol.export.parquet import made_by, rows_of, table_of
from wsol.locating.locate import ready
from wsol.locating.result import Keep
from wsol.runs.opening import Network
from wsol.system.arrow import parquet


class Locator:
    """A network that is opened once and asked for batch after batch; for `ray.data.Dataset.map_batches`.

    run: a run folder or whatever else `wsol.load` opens; what is a path must be there on every machine.
    threshold, classes, keep, batch_size, workers: as `wsol.locate` takes them.
    opened: how the run is opened, as `wsol.load` takes it.

    Raises WsolError as `wsol.locate` does, and where pyarrow is not installed.
    """

    def __init__(
        self,
        run: Network,
        *,
        threshold: Threshold | None = None,
        classes: int = 1,
        keep: Keep = "largest",
        batch_size: int = 16,
        workers: int | None = None,
        **opened: Any,
    ) -> None:
        parquet()  # without it no row can be given
        how = {"threshold": threshold, "classes": classes, "keep": keep, "batch_size": batch_size, "workers": workers}
        self.results = ready(run, on_bad_image="skip", **how, **opened)
        self.made_by = made_by(self.results.fingerprint)

    def __call__(self, batch: Any) -> Any:
        """Locates a batch of photos, one row a photo.

        batch: columns by name, as a dict of arrays or lists, a pandas data frame or a `pyarrow.Table`. `path`: files
            or addresses that this machine can read; or `bytes` of encoded photos, which are opened where there are
            both. `key`: names of the photos in the result; without it these are the paths.

        Gives a `pyarrow.Table` with the rows and columns of `wsol locate --format parquet`, in the order of the batch:
        a row for each class of a photo, and one with its `error` for a photo that cannot be read. Raises WsolError for
        a batch without the columns that it needs.
        """
        names = list(getattr(batch, "column_names", batch))  # going through an Arrow table gives columns, not names
        columns = {name: _listed(batch[name]) for name in ("key", "path", "bytes") if name in names}
        photos, keys = columns.get("bytes", columns.get("path")), columns.get("key", columns.get("path"))
        if photos is None or keys is None:
            has = f"has the columns {', '.join(names)}" if names else "has no columns"
            raise WsolError(f"a batch {has}; it needs path, or bytes and key: rename what is called otherwise")
        given = [_input(key, photo) for key, photo in zip(keys, photos, strict=True)]
        outcomes = replace(self.results, photos=given).outcomes()
        return table_of(row for outcome in outcomes for row in rows_of(outcome, self.made_by))


def _listed(column: Any) -> list[Any]:
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


def _input(key: Any, photo: Any) -> Input:
    """The photo of a row; null is a photo of no bytes."""
    name = "" if key is None else str(key)
    if isinstance(photo, str) and photo:
        photo = Stored(photo) if is_address(photo) else Path(photo)
    return Input(name, photo or b"", name or "a row without a path")
