"""CSV, a row a box, and JSON lines, a photo a line."""

import csv
from pathlib import Path

from wsol.export.writer import OneFile
from wsol.locating.result import ROW, Result
from wsol.system.names import in_table, path_in_table


class CsvWriter(OneFile):
    """boxes.csv: `Result.rows`, boxes in pixels of the upright photo. No name is a formula, see `wsol.system.names`."""

    about = "boxes.csv, a row a box"
    name = "boxes.csv"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.rows = csv.DictWriter(self.file, ROW)
        self.rows.writeheader()

    def add(self, result: Result) -> None:
        for row in result.rows():
            self.rows.writerow(row | {"path": path_in_table(row["path"]), "name": in_table(row["name"])})


class JsonWriter(OneFile):
    """results.jsonl: `Result.to_json`, a line each."""

    about = "results.jsonl, a line of JSON a photo"
    name = "results.jsonl"

    def add(self, result: Result) -> None:
        self.file.write(result.to_json() + "\n")
