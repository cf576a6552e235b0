"""Charts as inline SVG: sharp at any size, in the colours of the page, values shown by the mouse."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 330, 28, 182  # of the plot
DOTS = 30  # a line of more points is drawn without dots
COLOURS = 6  # of lines, --c0 to --c5 in the page's style

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One run's line, or its bars.

    name: what the mouse shows before the value.
    colour: number of its colour.
    points: x and y, finite.
    mark: a point that stands out.
    """

    name: str
    colour: int
    points: Sequence[Point] = field(default_factory=list)
    mark: Point | None = None


def swatch(colour: int) -> str:
    """A spot of a line's colour, for legends."""
    return f'<i class="c{colour % COLOURS}"></i>'


def line_chart(
    title: str, across: str, lines: list[Line], up: Point | None = None, whole: bool = False, wide: Point | None = None
) -> str:
    """Lines over one axis.

    title: above the chart; what y is.
    across: what x is.
    up, wide: from where to where y and x go; by default as the points do.
    whole: x is counted, so that its ticks are whole numbers.
    """
    points = [point for line in lines for point in line.points]
    x_ticks = _ticks(wide or _range([x for x, _ in points]), whole)
    y_ticks = _ticks(up or _range([y for _, y in points]))
    plot = _Plot(wide or _range([x for x, _ in points]), up or (y_ticks[0], y_ticks[-1]))
    drawn = []
    for line in lines:
        places = [plot.at(x, y) for x, y in line.points]
        shown = "dot" if len(places) <= DOTS else "hit"
        drawn.append(f'<polyline class="c{line.colour % COLOURS}" points="{" ".join(f"{x},{y}" for x, y in places)}"/>')
        for (x, y), (left, top) in zip(line.points, places, strict=True):
            said = escape(f"{line.name}, {across} {x:.4g}: {y:.4g}")
            drawn.append(
                f'<circle class="c{line.colour % COLOURS} {shown}" cx="{left}" cy="{top}" r="2.6">'
                f"<title>{said}</title></circle>"
            )
        if line.mark:
            left, top = plot.at(*line.mark)
            said = escape(f"{line.name}, {across} {line.mark[0]:.4g}: {line.mark[1]:.4g}")
            drawn.append(
                f'<circle class="c{line.colour % COLOURS} mark" cx="{left}" cy="{top}" r="5">'
                f"<title>{said}</title></circle>"
            )
    return _framed(title, across, plot, x_ticks, y_ticks, drawn)


def bar_chart(title: str, across: str, lines: list[Line], bin_width: float) -> str:
    """Bars side by side; the x of a point is where its bin begins."""
    points = [point for line in lines for point in line.points]
    wide = min(x for x, _ in points), max(x for x, _ in points) + bin_width
    y_ticks = _ticks((0.0, max(y for _, y in points) or 1.0))
    plot, drawn = _Plot(wide, (0.0, y_ticks[-1])), []
    for place, line in enumerate(lines):
        share = 0.9 * bin_width / len(lines)
        for x, y in line.points:
            left, top = plot.at(x + bin_width * 0.05 + place * share, y)
            width, bottom = plot.at(x + share, 0)[0] - plot.at(x, 0)[0], plot.at(x, 0)[1]
            said = escape(f"{line.name}, {across} {x:.2f} to {x + bin_width:.2f}: {y:.4g} %")
            drawn.append(
                f'<rect class="c{line.colour % COLOURS}" x="{left}" y="{top}" width="{width:.1f}" '
                f'height="{bottom - top:.1f}"><title>{said}</title></rect>'
            )
    return _framed(title, across, plot, _ticks(wide), y_ticks, drawn)


@dataclass(frozen=True)
class _Plot:
    """Where values lie in the drawing. wide, up: the ranges of x and y."""

    wide: Point
    up: Point

    def at(self, x: float, y: float) -> Point:
        across = (x - self.wide[0]) / (self.wide[1] - self.wide[0])
        up = min(max((y - self.up[0]) / (self.up[1] - self.up[0]), 0), 1)
        return round(LEFT + across * (RIGHT - LEFT), 1), round(BOTTOM - up * (BOTTOM - TOP), 1)


def _framed(title: str, across: str, plot: _Plot, x_ticks: list[float], y_ticks: list[float], drawn: list[str]) -> str:
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>',
    ]
    for value in y_ticks:
        _, top = plot.at(plot.wide[0], value)
        lines.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{top}" y2="{top}"/>')
        lines.append(f'<text class="up" x="{LEFT - 6}" y="{top + 4}">{value:.6g}</text>')
    for value in x_ticks:
        lines.append(f'<text class="across" x="{plot.at(value, 0)[0]}" y="{BOTTOM + 16}">{value:.6g}</text>')
    lines.append(f'<text class="across" x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 33}">{escape(across)}</text>')
    return "\n".join([*lines, *drawn, "</svg>"])


def _range(values: list[float]) -> Point:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(span: Point, whole: bool = False) -> list[float]:
    """Round numbers. Of counts those within the span, else also the ones that surround it."""
    ticks = list(map(float, MaxNLocator(5, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(*span)))
    return [tick for tick in ticks if span[0] <= tick <= span[1]] if whole else ticks
