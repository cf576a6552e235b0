"""A format: lines.txt, the photo and its class on each line."""

from wsol.export.writer import OneFile
from wsol.locating.result import Result


class LinesWriter(OneFile):
    """lines.txt, a line a photo."""

    about = "lines.txt, the photo and its class on each line"
    name = "lines.txt"

    def add(self, result: Result) -> None:
        self.file.write(f"{result.path} {result.name}\n")
