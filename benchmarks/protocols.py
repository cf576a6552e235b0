"""One run's maps scored by each protocol, as a Markdown table.

    python benchmarks/protocols.py RUN DATA --output docs/results/protocols.md

`livia` is left out: it scores as clova does, by a threshold chosen on pseudo boxes.
"""

from pathlib import Path

from cyclopts import App

from wsol.benchmark.table import cell
from wsol.evaluation.evaluate import evaluate
from wsol.metrics import PROTOCOLS
from wsol.runs.opening import load

app = App(help=__doc__)
COLUMNS = ("MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc", "Top1Cls", "Top1Loc", "PxAP")


@app.default
def protocols(
    run: Path, data: str, *, threshold: float | None = None, ten_crop: bool = False, output: Path | None = None
) -> None:
    """Prints the table, and writes it where OUTPUT is given.

    threshold: for the protocols that leave it open.
    ten_crop: also cvpr16 with names by the mean over ten crops, as its paper has them.
    """
    opened, asked = load(run), {}
    for name, each in PROTOCOLS.items():
        if not each.pseudo:
            asked[f"`{name}`"] = {"protocol": name, "threshold": threshold if each.threshold is None else None}
    if ten_crop:
        asked["`cvpr16`, ten crops"] = {"protocol": "cvpr16", "ten_crop": True}
    found = {name: evaluate(opened, data, **given) for name, given in asked.items()}
    shown = [column for column in COLUMNS if any(figures[column] is not None for figures in found.values())]
    first = found["`clova`"]
    lines = [
        f"{first['method']}, {first['data']}, {first['images']} {first['split']} photos\n",
        f"| protocol | threshold | {' | '.join(shown)} | centre box |",
        f"|---|---:|{'---:|' * len(shown)}---:|",
    ]
    for name, figures in found.items():
        cells = [name, *(cell([figures], column) for column in ("threshold", *shown))]
        lines.append(f"| {' | '.join(cells)} | {cell([figures['CentreBox']], 'GTKnownLoc')} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app()
