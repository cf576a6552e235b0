"""Where a method was published: the references.bib beside its module, ours and other packages' alike."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from wsol.registry import Entry


@dataclass(frozen=True)
class Reference:
    """A BibTeX entry.

    link: a DOI or arXiv address, "" where unknown.
    note: what users must know of our version.
    cost: of training, CAM on the same network and head being 1: arithmetic, see docs/methods.
    bibtex: the entry as it is cited, without the cost.
    """

    title: str
    venue: str
    year: int
    link: str
    note: str
    cost: str
    bibtex: str

    @property
    def paper(self) -> str:
        """The title, with the note where there is one."""
        return f"{self.title} ({self.note})" if self.note else self.title


def beside(entry: Entry) -> Path | None:
    """The folder in which a thing's module lies, without importing the module; None where it has none."""
    try:
        spec = find_spec(entry.module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


def reference(entry: Entry) -> Reference | None:
    """The entry of references.bib whose keywords hold the method's name; None where there is none."""
    folder = beside(entry)
    path = folder / "references.bib" if folder else None
    if path is None or not path.is_file():
        return None
    for bibtex in re.split(r"\n(?=@)", path.read_text(encoding="utf-8")):
        fields = dict(re.findall(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}", bibtex))
        if entry.name in re.split(r",\s*", fields.get("keywords", "")):
            return Reference(
                fields.get("title", ""),
                _venue(fields),
                int(fields.get("year", 0)),
                _link(fields),
                fields.get("note", ""),
                fields.get("cost", ""),
                re.sub(r",\n *cost *= *\{.*\}", "", bibtex).strip(),
            )
    return None


def _venue(fields: dict[str, str]) -> str:
    """A conference by the short name in brackets, else as it is written."""
    said = fields.get("booktitle") or fields.get("journal") or fields.get("archiveprefix") or ""
    short = re.search(r"\((\w+)\)", said)
    return short[1] if short else said


def _link(fields: dict[str, str]) -> str:
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    return f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else fields.get("url", "")
