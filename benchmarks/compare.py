"""Methods side by side: one recipe, one data set, several seeds, one table.

    python benchmarks/compare.py CUB_200_2011 --recipe cub50_mobilenetv1 --weights WEIGHTS.safetensors \
        --output docs/results/cub50_mobilenetv1

Each run's figures are kept as OUTPUT/METHOD-SEED.json as soon as it ends, and what stands there is not run again: an
interrupted comparison goes on where it stopped. The networks go to RUNS. OUTPUT/table.md holds mean and spread.
"""

import json
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

from cyclopts import App, Parameter

import wsol
from wsol.tally import BASELINES, BOXES, CLASSIFICATION, MASKS

COLUMNS = (
    *CLASSIFICATION,
    *(name for name in BOXES if name != "MaxBoxAcc50"),
    *MASKS,
    "PeakOnPart",
    "threshold",
    "minutes",
)
app = App(help=__doc__)


@app.default
def compare(
    data: str,
    *,
    recipe: str,
    output: Path,
    weights: str | None = None,
    methods: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("cam", "acol", "eil", "meil"),
    seeds: int = 3,
    runs: Path = Path("runs"),
) -> None:
    """Trains, evaluates and tabulates; one seed of every method first, then the next.

    data: a data set with boxes. recipe: its name, the same for all methods. weights: file of the backbone's weights.
    """
    given = {} if weights is None else {"weights": weights}
    for seed in range(seeds):
        for method in methods:
            kept, folder = output / f"{method}-{seed}.json", runs / recipe / f"{method}-{seed}"
            if kept.exists():
                continue
            began = time.monotonic()
            begun = (folder / "run.json").exists()
            wsol.train(method, data, folder, recipe=recipe, resume=begun, seed=seed, **given)
            minutes = (time.monotonic() - began) / 60
            figures = wsol.evaluate(folder, data, folder / "figures.json")
            del figures["Curves"], figures["run"]
            output.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(figures | {"minutes": round(minutes, 1)}, indent=1) + "\n", encoding="utf-8")
            (output / "table.md").write_text(table(output, methods), encoding="utf-8")


def table(output: Path, methods: tuple[str, ...]) -> str:
    """Markdown: a row a method, mean and, from two seeds on, the standard deviation; then the trivial boxes."""
    found = {
        method: [json.loads(path.read_text()) for path in sorted(output.glob(f"{method}-*.json"))] for method in methods
    }
    rows = {each[0]["method"]: each for each in found.values() if each}
    first = next(iter(rows.values()))[0]
    seeds = {len(each) for each in rows.values()}
    shown = [name for name in COLUMNS if any(each[0].get(name) is not None for each in rows.values())]
    lines = [
        f"{first['data']}, {first['images']} {first['split']} photos, protocol `{first['protocol']}`, seeds a method: "
        f"{', '.join(map(str, sorted(seeds)))}\n",
        f"| | {' | '.join(shown)} |",
        f"|---|{'---:|' * len(shown)}",
    ]
    rows |= {name: [first[name]] for name in BASELINES}
    for name, each in rows.items():
        lines.append(f"| {name} | {' | '.join(cell(each, column) for column in shown)} |")
    return "\n".join(lines) + "\n"


def cell(runs: list[dict[str, Any]], column: str) -> str:
    values = [run[column] for run in runs if run.get(column) is not None]
    if not values:
        return ""
    digits = 2 if column == "threshold" else 1
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"


if __name__ == "__main__":
    app()
