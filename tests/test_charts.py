"""Charts: every value lies where its axis says, and the mouse shows it."""

import re

from wsol.show.charts import Line, bar_chart, line_chart


def test_points_lie_where_the_axes_say() -> None:
    chart = line_chart("a <loss>", "epoch", [Line("run & co", 7, [(1, 0.0), (3, 50.0)], (3, 50.0))], whole=True)
    assert '<polyline class="c1" points="44.0,182.0 330.0,28.0"/>' in chart  # the corners of the plot
    assert "<title>run &amp; co, epoch 3: 50</title>" in chart and "a &lt;loss&gt;" in chart
    assert chart.count('class="c1 dot"') == 2 and chart.count('class="c1 mark" cx="330.0" cy="28.0"') == 1
    ticks = re.findall(r'class="across" x="([\d.]+)" y="198">(\d+)<', chart)
    assert ticks == [("44.0", "1"), ("187.0", "2"), ("330.0", "3")]


def test_a_constant_and_a_single_point_have_a_place() -> None:
    for points in ([(1.0, 2.0)], [(1.0, 2.0), (2.0, 2.0)]):
        chart = line_chart("loss", "epoch", [Line("run", 0, points)], whole=True)
        assert chart.count("<circle") == len(points) and "nan" not in chart


def test_bars_stand_side_by_side_from_zero() -> None:
    chart = bar_chart("photos", "IoU", [Line("a", 0, [(0.0, 10.0), (0.5, 20.0)]), Line("b", 1, [(0.0, 0.0)])], 0.5)
    bars = re.findall(r'<rect class="c(\d)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', chart)
    assert bars == [
        ("0", "51.1", "105.0", "64.4", "77.0"),
        ("0", "194.2", "28.0", "64.3", "154.0"),
        ("1", "115.5", "182.0", "64.4", "0.0"),
    ]
