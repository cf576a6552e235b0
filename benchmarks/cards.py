"""Writes what docs/methods/*.md say of settings and figures, between markers, and draws their pictures.

    python benchmarks/cards.py            # after a change of a constructor, a docstring, a figure or a result
    python benchmarks/cards.py --check    # says what is out of date and exits with 1

The settings come from the constructor and its docstring, our figures from docs/results/*/METHOD-SEED.json, the papers'
from published.yaml.
"""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from cyclopts import App
from method_figures import DRAWINGS
from method_figures import write as draw

from wsol import registry
from wsol.benchmark.published import published
from wsol.benchmark.table import cell
from wsol.cli.derive import documented
from wsol.methods.references import reference
from wsol.methods.stack import options_of
from wsol.registry import Entry
from wsol.runs.recipes import recipes_of

app = App(help=__doc__)
DOCS = Path(__file__).parents[1] / "docs"
MEASURED = ("Top1Cls", "GTKnownLoc", "Top1Loc", "MaxBoxAcc", "MaxBoxAccV2", "PxAP", "minutes")
PUBLISHED = ("Top1Cls", "Top5Cls", "Top1Loc", "Top5Loc", "GTKnownLoc", "MaxBoxAccV2", "PxAP", "PIoU", "mIoU")
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "lambda": "λ", "sigma": "σ"}
LETTER = rf"(?:{'|'.join(GREEK)})(?:_[a-z])?|[gt]\d|[Kn]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown, figures to the right."""
    rule = ["---:" if name in ("seeds", *MEASURED, "centre box", *PUBLISHED) else "---" for name in head]
    cells = ([f" {cell} " if cell else " " for cell in row] for row in (head, rule, *rows))
    return "\n".join(f"|{'|'.join(row)}|" for row in cells)


def letters(text: str) -> str:
    """Greek letters and subscripts in the place of their names."""
    text = re.sub(rf"\b({'|'.join(GREEK)})(?=_[a-z]\b|\b)", lambda found: GREEK[found[0]], text)
    return re.sub(r"\b([λσL])_([a-z_]+)\b", r"\1<sub>\2</sub>", text).replace("|", r"\|")


def settings(method: Entry) -> str:
    """All options with their defaults, the paper's symbol, and what the docstring says; last those at test alone."""
    kind, rows = method.load(), []
    said = {name: text for name, (text, _) in documented(kind).items()}
    heatmaps = inspect.signature(kind.heatmaps).parameters.values()
    at_test = {each.name: each for each in heatmaps if each.kind is each.KEYWORD_ONLY}
    for name, option in (options_of(kind) | at_test).items():
        found = re.match(rf"({LETTER}), ", said[name])
        symbol = found[1] if found else name if name in GREEK else ""
        meaning = said[name][found.end() :] if found else said[name]
        rows.append([f"`{name}`", f"`{option.default}`", letters(symbol), letters(meaning)])
    return table(["setting", "default", "paper", "meaning"], rows) if rows else "It has none of its own."


def measured(method: Entry, results: Path) -> str:
    """A row for each comparison in which the method took part: in brackets CAM's mean, last the box in the middle.

    CAM's is the mean over the method's own seeds.
    """
    rows, name = [], method.name
    for folder in sorted(each for each in results.iterdir() if each.is_dir()):
        if own := figures(folder, name):
            cam = figures(folder, "cam") if name != "cam" else {}
            same, runs = [cam[seed] for seed in own if seed in cam], list(own.values())
            values = [beside(cell(runs, column), cell(same, column)) for column in MEASURED]
            middle = [runs[0]["CentreBox"]]
            where = f"[{folder.name}](../results/{folder.name}/table.md)"
            rows.append([where, str(len(own)), *values, cell(middle, "MaxBoxAcc") or cell(middle, "PxAP")])
    if not rows:
        return "Not measured yet."
    head = ["comparison", "seeds", *MEASURED, "centre box"]
    shown = [any(row[column] for row in rows) for column in range(len(head))]
    kept = [[each for each, keep in zip(row, shown, strict=True) if keep] for row in (head, *rows)]
    return table(kept[0], kept[1:])


def figures(folder: Path, method: str) -> dict[str, dict[str, Any]]:
    """By seed."""
    seeds = {path: path.stem.removeprefix(f"{method}-") for path in sorted(folder.glob(f"{method}-*.json"))}
    return {seed: json.loads(path.read_text(encoding="utf-8")) for path, seed in seeds.items() if seed.isdecimal()}


def beside(own: str, cam: str) -> str:
    return f"{own} ({cam.split()[0]})" if own and cam else own


def papers(method: Entry) -> str:
    """Its own paper's figures, else all that are no quotations; in brackets CAM's from the same source."""
    name, own = method.name, key(method)
    found = [each for each in published(method=name, setting=None) if not each.get("note", "").startswith("quoted")]
    kept = [each for each in found if each["source"] == own] or found
    if not kept:
        return "No figures to hand."
    columns = [column for column in PUBLISHED if any(column in each for each in kept)]
    rows, notes = [], []
    for each in sorted(kept, key=lambda each: (each["data"], each["backbone"])):
        same = {part: each[part] for part in ("data", "backbone", "source")}
        cams = published(method="cam", setting=None, **same) if name != "cam" else []
        mark = f"<sup>{len(notes) + 1}</sup>" if "note" in each else ""
        notes += [f"<sup>{len(notes) + 1}</sup> {each['note']}."] if mark else []
        values = [bracketed(each.get(column), cams[0].get(column) if cams else None) for column in columns]
        rows.append([each["data"] + mark, each["backbone"], *values, source(each["source"], own)])
    head = ["data", "backbone", *columns, "source"]
    return "\n\n".join([table(head, rows), *([" ".join(notes)] if notes else [])])


def bracketed(own: float | None, cam: float | None) -> str:
    return "" if own is None else f"{own:g}" + (f" ({cam:g})" if cam is not None else "")


def source(cited: str, own: str) -> str:
    """Whose paper a key of references.bib or published.yaml stands for."""
    others = {key(entry): f"{entry.title}'s paper" for entry in reversed(registry.entries("methods"))}
    return {own: "its paper", "choe2020evaluating": "Choe et al., CVPR 2020"}.get(cited) or others.get(cited, cited)


def key(method: Entry) -> str:
    """Of its entry in references.bib."""
    about = reference(method)
    found = re.match(r"@\w+\{([^,]+),", about.bibtex) if about else None
    return found[1] if found else ""


def paper(method: Entry) -> str:
    about, code = reference(method), f"{method.module.rpartition('.')[2]}.py"
    if about is None:
        raise ValueError(f"{method.title}: references.bib has no entry with the keyword {method.name}")
    return (
        f"*{about.title}*, {about.venue} {about.year} (`wsol cite {method.name}`).\n"
        f"Code: [{code}](../../src/wsol/methods/{code}). Recipes: `{'`, `'.join(recipes_of(method))}`."
    )


def filled(card: str, method: Entry, results: Path) -> str:
    """A card's text with all that stands between markers written anew."""
    parts = {"paper": paper(method), "settings": settings(method)}
    parts |= {"measured": measured(method, results), "published": papers(method)}
    for name, text in parts.items():
        pattern = rf"(?s)<!-- {name} -->.*?<!-- /{name} -->"
        if not re.search(pattern, card):
            raise ValueError(f"{method.title}: no markers <!-- {name} --> and <!-- /{name} -->")
        fresh = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
        card = re.sub(pattern, lambda _, fresh=fresh: fresh, card)
    return card


def stale(docs: Path = DOCS) -> list[Path]:
    """Cards and figures that do not say what the code and the results do."""
    found = []
    for method in registry.entries("methods"):
        name = method.name
        card, figure = docs / "methods" / f"{name}.md", docs / "methods" / f"{name}.svg"
        text = card.read_text(encoding="utf-8") if card.exists() else ""
        if not text or filled(text, method, docs / "results") != text:
            found.append(card)
        if (
            name not in DRAWINGS
            or not figure.exists()
            or escaped(DRAWINGS[name].text) not in figure.read_text(encoding="utf-8")
        ):
            found.append(figure)
    return found


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@app.default
def cards(*, check: bool = False) -> None:
    """Writes the cards and draws their figures, or only names those that are out of date."""
    if check:
        found = stale()
        print("\n".join(f"{path}: out of date" for path in found) or "up to date")
        sys.exit(bool(found))
    for method in registry.entries("methods"):
        path = DOCS / "methods" / f"{method.name}.md"
        path.write_text(filled(path.read_text(encoding="utf-8"), method, DOCS / "results"), encoding="utf-8")
    draw(DOCS / "methods")


if __name__ == "__main__":
    app()
