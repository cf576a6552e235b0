"""One run's maps scored by each protocol, as a Markdown table.

python benchmarks/protocols.py RUN DATA --output docs/results/protocols.md
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
def protocols(run: Path, data: str, *, threshold: float | None = None, output: Path | None = None) -> None:
    """Prints the table, and writes it where OUTPUT is given. THRESHOLD: for the protocols that leave it open."""
    opened = load(run)
    found = {
        name: evaluate(opened, data, threshold=threshold if each.threshold is None else None, protocol=name)
        for name, each in PROTOCOLS.items()
    }
    shown = [column for column in COLUMNS if any(figures[column] is not None for figures in found.values())]
    first = found["clova"]
    lines = [
        f"{first['method']}, {first['data']}, {first['images']} {first['split']} photos\n",
        f"| protocol | threshold | {' | '.join(shown)} | centre box |",
        f"|---|---:|{'---:|' * len(shown)}---:|",
    ]
    for name, figures in found.items():
        cells = [f"`{name}`", *(cell([figures], column) for column in ("threshold", *shown))]
        lines.append(f"| {' | '.join(cells)} | {cell([figures['CentreBox']], 'GTKnownLoc')} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app()
