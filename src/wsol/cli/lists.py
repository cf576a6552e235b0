"""`wsol methods`, `wsol readouts` and `wsol cite`: what there is. Our own methods are not imported for it."""

import json
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.box import SIMPLE
from rich.table import Column, Table
from rich.text import Text

from wsol import registry
from wsol.cli.app import out
from wsol.errors import WsolError
from wsol.methods.references import reference
from wsol.registry import Entry
from wsol.runs.recipes import recipes_of


def methods(
    method: str | None = None, /, *, as_json: Annotated[bool, Parameter("--json", negative=())] = False
) -> None:
    """List the methods, with their papers and what training costs; or one method, with its recipes.

    Parameters
    ----------
    method
        Its name.
    as_json
        Print them for a program: name, class, package, paper, year, link, cost, recipes, error.
    """
    asked = registry.entries("methods") if method is None else [registry.entry("methods", method)]
    rows = sorted((_row(entry) for entry in asked), key=lambda row: (row["year"], row["name"]))
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if method is None:
        out.print(_table(rows))
    else:
        out.print(_about(rows[0], recipes_of(asked[0])))


def _table(rows: list[dict[str, Any]]) -> Table:
    """Every method a row, the link under the paper's title."""
    caption = "cost: of training, CAM = 1. One method with its recipes: wsol methods bas"
    table = Table("method", Column("paper", overflow="fold"), "year", Column("cost", max_width=14), caption=caption)
    table.box, table.columns[0].no_wrap = SIMPLE, True
    for row in rows:
        paper = Text.assemble(row["error"] or row["paper"], f"\n{row['link']}" if row["link"] else "")
        table.add_row(row["name"], paper, str(row["year"] or ""), row["cost"])
    return table


def _about(row: dict[str, Any], recipes: dict[str, Path]) -> Table:
    """One method, and what each of its recipes is for: the first sentence of its file."""
    table = Table.grid("", "", padding=(0, 2))
    for name in ("name", "paper", "year", "link", "cost", "error"):
        if row[name]:
            table.add_row(name, Text(str(row[name])))
    for name, path in recipes.items():
        comment = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        table.add_row(f"--recipe {name}", Text(" ".join(line.strip("# ") for line in comment).partition(". ")[0]))
    return table


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
        "cost": paper.cost if paper else "",
        "recipes": list(recipes_of(entry)),
        "error": error,
    }
