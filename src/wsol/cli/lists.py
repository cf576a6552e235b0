"""`wsol methods`, `wsol readouts` and `wsol cite`: what there is. Our own methods are not imported for it."""

import json
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from wsol import registry
from wsol.cli.app import out
from wsol.errors import WsolError
from wsol.methods.references import reference
from wsol.registry import Entry
from wsol.runs.recipes import recipes_of


def methods(*, as_json: Annotated[bool, Parameter("--json", negative=())] = False) -> None:
    """List the methods, with their papers.

    Parameters
    ----------
    as_json
        Print them for a program: name, class, package, paper, year, link, error.
    """
    rows = sorted((_row(entry) for entry in registry.entries("methods")), key=lambda row: (row["year"], row["name"]))
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("method", "paper", "year", "link", "recipes")
    for row in rows:
        said = row["error"] or row["paper"]
        table.add_row(row["name"], said, str(row["year"] or ""), row["link"], ", ".join(row["recipes"]))
    out.print(table)


def readouts() -> None:
    """List the ways to ask a trained network where: `wsol evaluate --readout`, `wsol locate --readout`."""
    table = Table("read-out", "how it asks")
    for entry in registry.entries("readouts"):
        table.add_row(entry.name, entry.load().about)
    out.print(table)


def cite(method: str) -> None:
    """Print a method's BibTeX entry.

    Parameters
    ----------
    method
        Its name, see `wsol methods`.
    """
    entry = registry.entry("methods", method)
    paper = reference(entry)
    if paper is None:
        raise WsolError(
            f"{entry.source} gives no BibTeX for {entry.title}: no entry of references.bib beside {entry.module} "
            f"has the keyword {entry.name}"
        )
    print(paper.bibtex)


def _row(entry: Entry) -> dict[str, Any]:
    """What is known of a method; another package's is imported, so that its error is seen here."""
    paper, error = reference(entry), ""
    if entry.package != "wsol":
        try:
            registry.find("methods", entry.name)
        except WsolError as found:
            error = str(found)
    return {
        "name": entry.name,
        "class": entry.title,
        "package": entry.package,
        "paper": paper.paper if paper else "",
        "year": paper.year if paper else 0,
        "link": paper.link if paper else "",
        "recipes": list(recipes_of(entry)),
        "error": error,
    }
