"""Locating on many machines: each locates a shard of the photos and writes it as one Parquet file of a folder."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsol.errors import WsolError
from wsol.export.parquet import ParquetWriter
from wsol.export.writer import write_to
from wsol.locating.results import Results
from wsol.system.arrow import read_column
from wsol.system.files import unwritable
from wsol.system.locks import locked_file

ELSE = "give another --output"


@dataclass(frozen=True)
class Shard:
    """Which of several equal slices of the photos, from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "Shard":
        """`i/n`, i from 0, and of that what `torchrun` gives this process: with 2 of them 1/4 is 2/8 and 3/8.

        Raises WsolError for anything else.
        """
        said = re.fullmatch(r"([0-9]+)/([0-9]{1,5})", "0/1" if text is None else text)
        if not said or int(said[1]) >= int(said[2]):
            raise WsolError(f"--shard {text}: write i/n, such as 0/4 for the first of four; i goes from 0 to n - 1")
        rank, ranks = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
        return cls(int(said[1]) * ranks + rank, int(said[2]) * ranks)

    @property
    def file(self) -> str:
        return f"part-{self.index:05d}-of-{self.count:05d}.parquet"

    def of(self, total: int) -> slice:
        """Its slice of so many photos: no two shards share one, and sizes differ by one at most."""
        return slice(total * self.index // self.count, total * (self.index + 1) // self.count)


def write_part(
    results: Results,
    folder: str | Path,
    shard: Shard,
    overwrite: bool = False,
    watch: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> int | None:
    """Locates a shard of the photos and writes FOLDER/part-IIIII-of-NNNNN.parquet, whole or not at all.

    results: of all photos, in the same order on every machine.
    overwrite: write it again where it is there.
    watch: what results pass through, such as a progress bar.

    Gives how many photos were located, or None where the part was there, of these photos. Raises WsolError where parts
    in the folder are of another run, other settings or another number of shards, and where another process writes this
    one.
    """
    path, mine = Path(folder) / shard.file, results[shard.of(len(results))]
    run = results.fingerprint
    with locked_file(path):
        _check_folder(path, run, shard)
        if path.exists() and not overwrite:
            _check_photos(path, run, [photo.name for photo in mine.photos])
            return None
        try:
            with ParquetWriter(Path(folder), list(results.localizer.classes), shard.file, run) as writer:
                return write_to([writer], watch(mine.outcomes()))
        except OSError as error:
            raise unwritable(Path(error.filename or path), error) from error


def _check_folder(path: Path, run: str, shard: Shard) -> None:
    """Raises WsolError where the folder holds parts that do not go with this one; any one of them speaks for all."""
    other = next((part for part in sorted(path.parent.glob("part-*-of-*.parquet")) if part != path), None)
    if other is None:
        return
    if not other.name.endswith(f"-of-{shard.count:05d}.parquet"):
        raise WsolError(f"{other}: is a part of another number of shards than {shard.count}; {ELSE}")
    _check_run(other, run)


def _check_run(part: Path, run: str) -> None:
    stored = read_column(part, "run", f"remove it, or {ELSE}")
    if any(value != run for value in stored):
        raise WsolError(f"{part}: was located by another run, or with other settings; {ELSE}")


def _check_photos(path: Path, run: str, names: list[str]) -> None:
    """Raises WsolError where a part is not of this run and these photos."""
    _check_run(path, run)
    stored = dict.fromkeys(read_column(path, "key", f"remove it, or {ELSE}"))
    if list(stored) != names:
        raise WsolError(f"{path}: holds other photos than those given; {ELSE}, or write it again: --overwrite")
