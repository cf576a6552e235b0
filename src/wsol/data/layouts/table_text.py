"""The text of a table: which bytes are letters, which line is the header, and what separates values."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wsol.errors import WsolError
from wsol.system.files import unreadable

DELIMITERS = ",;\t|"
ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
IsHeader = Callable[[list[str]], bool]


@dataclass(frozen=True)
class Table:
    """A table as it is written.

    file: where it is stored.
    header: the line that names the columns, or the first line where none does.
    columns: the names, as written but for spaces around.
    delimiter: what separates values.
    lines: those below the header.
    above: how many lines lie above them.
    """

    file: Path
    header: str
    columns: list[str]
    delimiter: str
    lines: list[str]
    above: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and values, one for each column, of the rows that hold any; "" where a value is missing.

        Raises WsolError, naming the line, for more values than columns and a quote left open.
        """
        width, reader = len(self.columns), csv.reader(self.lines, delimiter=self.delimiter, skipinitialspace=True)
        try:
            for row in reader:
                values = [value.strip() for value in row]
                if any(values[width:]):
                    raise self.error(
                        reader.line_num + self.above, "more values than columns; put text with commas into quotes"
                    )
                if any(values):
                    yield reader.line_num + self.above, (values + [""] * width)[:width]
        except csv.Error as error:
            raise self.error(reader.line_num + self.above, f"{error}; is a quote left open?") from error

    def error(self, line: int, what: str) -> WsolError:
        return WsolError(f"{self.file}, line {line}: {what}")


def read_table(file: Path, is_header: IsHeader) -> Table:
    """Reads a table whose values are separated by commas, semicolons, tabs or bars.

    The header is the first line that is neither empty nor a comment, and may itself begin with #. Text is UTF-8, or
    UTF-16 with a byte order mark. A line `sep=` above the header, as Excel writes it, says what separates values.

    file: The table.
    is_header: Whether a line of values names the columns that are looked for.

    Raises WsolError, naming the file, for text of another encoding.
    """
    lines = io.StringIO(_text(file), newline="").readlines()
    delimiters = DELIMITERS
    for above, line in enumerate(lines, 1):
        if line.lower().startswith("sep="):
            delimiters = line.rstrip("\r\n")[4:5] or DELIMITERS
            continue
        for delimiter in delimiters:
            if is_header(columns := _values(line.lstrip("#"), delimiter)):
                return Table(file, line.strip(), columns, delimiter, lines[above:], above)
        if line.strip() and not line.startswith("#"):
            delimiter = max(delimiters, key=line.count)
            return Table(file, line.strip(), _values(line, delimiter), delimiter, lines[above:], above)
    return Table(file, "", [], delimiters[0], [], len(lines))


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
        text = content.decode(ENCODINGS.get(content[:2], "utf-8-sig"))
        if "\0" in text:
            raise ValueError("it holds zero bytes")
        return text
    except (OSError, ValueError) as error:
        raise unreadable(file, error, f"not readable as text ({error}); save it as UTF-8 CSV") from error


def _values(line: str, delimiter: str) -> list[str]:
    try:
        return [value.strip() for value in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return []
