"""Parquet, which the extra `scale` brings."""

from types import ModuleType
from typing import Any

from wsol.errors import WsolError
from wsol.system.files import unreadable


def parquet() -> ModuleType:
    """The module `pyarrow.parquet`. Raises WsolError where it is not installed."""
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise WsolError("Parquet needs pyarrow: pip install 'wsol[scale]'") from error
    return parquet


def read_column(path: Any, name: str, fix: str) -> list[Any]:
    """A column of a Parquet file.

    path: the file, or what opens as one does, see `wsol.data.stored.Content`.
    fix: what the error advises where there is none.

    Raises WsolError, naming the file, where it cannot be read or has no such column.
    """
    module = parquet()
    try:
        with path.open("rb") as stream, module.ParquetFile(stream) as file:
            if name not in file.schema_arrow.names:
                raise WsolError(f"{path}: has no column {name!r}; {fix}")
            return file.read(columns=[name]).column(0).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are these
        raise unreadable(path, error, f"not readable as Parquet ({str(error).splitlines()[0]}); {fix}") from error
