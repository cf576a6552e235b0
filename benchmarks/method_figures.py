"""Draws docs/methods/METHOD.svg: each method's streams, what is demanded of them, and what exists at test.

    python benchmarks/method_figures.py docs/methods

A figure is a list of nodes on a grid and of chains of arrows between them. Boxes in one column with a double line
between them are the same layers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from cyclopts import App
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from wsol.data import Creatures

app = App(help=__doc__)
Kind = Literal["photo", "test", "train", "frozen", "tensor", "found", "loss"]
Point = tuple[float, float]
UNIT, WIDTH, PHOTO = 75, 900, 58  # pixels: a step of the grid, a figure, a photo
BLUE, PALE, RED, INK, GREY, LIGHT = "#0072b2", "#e3f0f8", "#c8372d", "#333333", "#8a8a8a", "#e4e4e4"
# face, edge, letters, style of the edge
LOOKS = {
    "test": (PALE, BLUE, INK, "-"),
    "train": ("white", INK, INK, (0, (4, 2.5))),
    "frozen": (LIGHT, GREY, INK, "-"),
    "found": (BLUE, BLUE, "white", "-"),
    "loss": (RED, RED, "white", "-"),
}
LEGEND = {
    "test": "at test too",
    "train": "training only",
    "frozen": "frozen weights",
    "found": "result",
    "loss": "loss",
}


@dataclass(frozen=True)
class Node:
    """A box, a pill or a tensor's dot at (x, y) of the grid; the label's first line is its name, the others smaller."""

    kind: Kind
    x: float
    y: float
    label: str = ""
    width: float = 110  # pixels

    @property
    def lines(self) -> list[str]:
        return self.label.split("\n")

    @property
    def half(self) -> Point:
        """Half its width and half its height in pixels."""
        if self.kind == "tensor":
            return 4, 4
        if self.kind == "photo":
            return PHOTO / 2, PHOTO / 2
        return self.width / 2, (34, 44, 56)[len(self.lines) - 1] / 2


@dataclass(frozen=True)
class Drawing:
    """What one method looks like.

    chains: names of nodes with arrows between them: `--` straight, `|-` down or up and then across, `-|` across and
        then down or up; `~` in the place of each dash: no gradient passes.
    same: pairs of nodes that are the same layers.
    """

    nodes: dict[str, Node]
    chains: tuple[str, ...]
    same: tuple[tuple[str, str], ...] = field(default=())

    @property
    def text(self) -> str:
        """All that is written in the figure, for those who cannot see it and for the test."""
        said = [f"{node.kind}: {node.label}" for node in self.nodes.values() if node.label]
        return "; ".join([*said, *self.chains]).replace("\n", ", ")

    def arrows(self) -> Iterator[tuple[Node, str, Node]]:
        for chain in self.chains:
            words = chain.split()
            for start, way, end in zip(words[::2], words[1::2], words[2::2], strict=False):
                yield self.nodes[start], way, self.nodes[end]


def photo(x: float, y: float) -> Node:
    return Node("photo", x, y, "x")


def tensor(x: float, y: float, label: str) -> Node:
    return Node("tensor", x, y, label)


CAM = {
    "x": photo(0.6, 1),
    "backbone": Node("test", 2.3, 1, "backbone"),
    "S": tensor(3.6, 1, "S"),
    "head": Node("test", 5.4, 1, "head\n1×1 convolution:\neach class's weights", 150),
    "A": tensor(7.1, 1, "A"),
    "z": Node("found", 8.7, 1, "logits z\nmean of A"),
    "ce": Node("loss", 11.05, 1, "CE(z, y)"),
    "map": Node("found", 8.7, 0, "heatmap\n$A_c$ of class c"),
}
EIL = {
    "x": photo(0.6, 1),
    "f1": Node("test", 2.1, 1, "$f_1$\nup to the boundary", 120),
    "F": tensor(3.3, 1, "F"),
    "f2": Node("test", 6.85, 1, "$f_2$\nrest, and head", 115),
    "A": tensor(8.05, 1, "A"),
    "z": Node("found", 9.3, 1, "logits z\nmean of A"),
    "ce": Node("loss", 11.05, 1, "CE(z, y)"),
    "map": Node("found", 9.3, 0, "heatmap\n$A_c$ of class c"),
    "erase": Node("train", 4.75, 2.1, "erase\n0 where m ≥ γ max m;\nm: mean over channels", 150),
    "f2e": Node("train", 6.85, 2.1, "$f_2$\nstatistics not kept", 115),
    "cee": Node("loss", 11.05, 2.1, "σ CE($z_e$, y)"),
}
MEIL = {
    "x": photo(0.6, 1),
    "s1": Node("test", 1.9, 1, "stage 1", 96),
    "F1": tensor(2.95, 1, "$F_1$"),
    "s2": Node("test", 4.6, 1, "stage 2", 96),
    "F2": tensor(5.85, 1, "$F_2$"),
    "s3": Node("test", 7.5, 1, "stage 3\nand head", 96),
    "A": tensor(8.5, 1, "A"),
    "z": Node("found", 9.55, 1, "logits z\nmean of A", 100),
    "ce": Node("loss", 11.12, 1, "CE(z, y)", 100),
    "map": Node("found", 9.55, 0, "heatmap\n$A_c$ of class c", 100),
    "e2": Node("train", 5.85, 2.1, "erase\nas EIL does", 96),
    "s3a": Node("train", 7.5, 2.1, "stage 3\nand head", 96),
    "ce2": Node("loss", 11.12, 2.1, "$σ_2$ CE($z_2$, y)", 100),
    "e1": Node("train", 2.95, 3.2, "erase\nas EIL does", 96),
    "s2b": Node("train", 4.6, 3.2, "stage 2", 96),
    "s3b": Node("train", 7.5, 3.2, "stage 3\nand head", 96),
    "ce1": Node("loss", 11.12, 3.2, "$σ_1$ CE($z_1$, y)", 100),
}
BAS = {
    "x": photo(0.6, 0),
    "f1": Node("test", 2.0, 0, "$f_1$\nup to the boundary", 120),
    "F": tensor(3.25, 0, "F"),
    "f2": Node("test", 4.75, 0, "$f_2$\nrest, and head", 120),
    "A": tensor(6.55, 0, "A"),
    "z": Node("found", 8.75, 0, "logits z\nmean of A", 120),
    "ce": Node("loss", 10.92, 0, "CE(z, y)", 130),
    "seen": Node("train", 6.55, 1.05, "foreground\nA times M", 120),
    "front": Node("loss", 10.92, 1.05, "α CE($z_M$, y)", 130),
    "localizer": Node("test", 4.75, 2.1, "localizer\n3×3 convolution,\nsigmoid", 120),
    "M": tensor(6.55, 2.1, "M"),
    "map": Node("found", 8.75, 2.1, "heatmap\nmask $M_c$ of class c", 130),
    "area": Node("loss", 10.92, 2.1, "β mean $M_y$\narea", 130),
    "left": Node("train", 6.55, 3.15, "background\nF times 1 − M", 120),
    "ice": Node("frozen", 8.75, 3.15, "$f_2$\nlogits b", 120),
    "back": Node("loss", 10.92, 3.15, "$b_y$ / $z_y$\nscore that is left", 130),
}
BAS_CHAINS = (
    "x -- f1 -- F -- f2 -- A -- z -- ce",
    "A -- seen -- front",
    "F |- localizer -- M -- map -- area",
    "M -- seen",
    "F |~ left -- ice -- back",
    "M -- left",
)
AEPL = {name: replace(node, y=round(node.y + 1.05, 2)) for name, node in BAS.items()} | {
    "erase": Node("train", 6.55, 0, "erase\n0 where the scaled\n$A_y$ is ≥ $t_1$", 130),
    "erased": Node("loss", 10.92, 0, "$g_2$ CE($z_e$, y)", 130),
    "seen": Node("train", 6.55, 2.1, "foreground\nA times M, and times\nM where M ≤ $t_2$", 130),
    "front": Node("loss", 10.92, 2.1, "α CE($z_M$, y)\n+ $g_3$ CE for M ≤ $t_2$", 130),
    "area": Node("loss", 10.92, 3.15, "β mean $M_y$\n+ $g_4$ |$M_y$ − label|\n0 or 1 where sure", 130),
}
DRAWINGS = {
    "cam": Drawing(CAM, ("x -- backbone -- S -- head -- A -- z -- ce", "A |- map")),
    "acol": Drawing(
        {
            "x": photo(0.6, 0),
            "backbone": Node("test", 2.2, 0, "backbone"),
            "S": tensor(3.4, 0, "S"),
            "a": Node("test", 4.9, 0, "head A\nconvolutions"),
            "A": tensor(6.45, 0, "A"),
            "z": Node("found", 9.4, 0, "logits z\nmean of A", 100),
            "ce": Node("loss", 11.05, 0, "CE(z, y)"),
            "erase": Node("test", 4.9, 1.15, "erase\n0 where the scaled\n$A_y$ is ≥ δ", 130),
            "b": Node("test", 4.9, 2.3, "head B\nown weights"),
            "B": tensor(6.45, 2.3, "B"),
            "map": Node("found", 8.0, 1.15, "heatmap of class c\nmaximum of the scaled\n$A_c$ and $B_c$", 150),
            "ceb": Node("loss", 11.05, 2.3, "CE($z_B$, y)"),
        },
        (
            "x -- backbone -- S -- a -- A -- z -- ce",
            "S |- erase -- b -- B -- ceb",
            "A |~ erase",
            "A -| map",
            "B -| map",
        ),
    ),
    "eil": Drawing(
        EIL, ("x -- f1 -- F -- f2 -- A -- z -- ce", "A |- map", "F |- erase -- f2e -- cee"), (("f2", "f2e"),)
    ),
    "meil": Drawing(
        MEIL,
        (
            "x -- s1 -- F1 -- s2 -- F2 -- s3 -- A -- z -- ce",
            "A |- map",
            "F2 -- e2 -- s3a -- ce2",
            "F1 -- e1 -- s2b -- s3b -- ce1",
        ),
        (("s2", "s2b"), ("s3", "s3a"), ("s3a", "s3b")),
    ),
    "sltnet": Drawing(
        {
            "x": photo(0.6, 1),
            "g": Node("train", 1.95, 0, "transform g\njitter, flip, scale", 112),
            "again": Node("train", 3.85, 0, "localizer\nstatistics not kept", 120),
            "undo": Node("train", 6.1, 0, "undo g\nthen compare with A", 132),
            "consistent": Node("loss", 10.72, 0, "β mean squared error\nbetween the maps", 160),
            "loc": Node("test", 3.85, 1, "localizer", 120),
            "A": tensor(6.1, 1, "A"),
            "z": Node("found", 7.9, 1, "logits z\nmean of A", 110),
            "tolerant": Node("loss", 10.72, 1, "w CE(z, y)\nw = α if y is among\nthe K best, else 1", 160),
            "map": Node("found", 7.9, 2, "heatmap\nmean of the K best A", 140),
        },
        (
            "x |- g -- again -- undo -- consistent",
            "x -- loc -- A -- z -- tolerant",
            "A -- undo",
            "A |- map",
        ),
        (("loc", "again"),),
    ),
    "regressor": Drawing(
        {
            "run": Node("train", 2.3, 0, "another run\nits boxes of the photos", 140),
            "x": photo(0.6, 1),
            "backbone": Node("test", 2.3, 1, "backbone"),
            "S": tensor(3.6, 1, "S"),
            "head": Node("test", 5.4, 1, "box head\ntwo layers on\nthe mean of S", 130),
            "boxes": Node("found", 8.0, 1, "box\nfor every class", 120),
            "distance": Node("loss", 10.72, 1, "smooth $L_1$ distance\nof the two boxes", 160),
            "map": Node("found", 8.0, 2, "heatmap\nthe box, drawn", 120),
        },
        ("x -- backbone -- S -- head -- boxes -- distance", "run ~| distance", "boxes -- map"),
    ),
    "fewshot": Drawing(
        {
            "boxes": Node("train", 2.3, 0, "true boxes of a few\nvalidation photos x", 140),
            "x": photo(0.6, 1),
            "backbone": Node("test", 2.3, 1, "backbone"),
            "S": tensor(3.6, 1, "S"),
            "head": Node("test", 5.2, 1, "head\n1×1 convolution,\none channel, sigmoid", 140),
            "map": Node("found", 7.8, 1, "heatmap\nfor every class", 120),
            "bce": Node("loss", 10.72, 1, "BCE of each cell\nwith the share that\nboxes cover", 160),
        },
        ("x -- backbone -- S -- head -- map -- bce", "boxes ~| bce"),
    ),
    "nlccam": Drawing(
        {
            "x": photo(0.6, 1),
            "f1": Node("test", 1.8, 1, "stages", 80),
            "F": tensor(2.7, 1, "F"),
            "block": Node("test", 4.05, 1, "block\nF + what resembles\nit at other places", 125),
            "f2": Node("test", 6.1, 1, "rest, and head\nmore blocks between", 125),
            "A": tensor(7.35, 1, "A"),
            "z": Node("found", 8.9, 1, "logits z\nmean of A", 130),
            "ce": Node("loss", 10.92, 1, "CE(z, y)", 130),
            "map": Node("found", 8.9, 0, "heatmap\nsum of all A times\n$w_r$, from 1 to −1", 130),
        },
        ("x -- f1 -- F -- block -- f2 -- A -- z -- ce", "A |- map", "z -- map"),
    ),
    "danet": Drawing(
        {
            "x": photo(0.6, 2.2),
            "f1": Node("test", 1.8, 2.2, "stages", 80),
            "F1": tensor(2.7, 2.2, "$F_1$"),
            "f2": Node("test", 3.7, 2.2, "stages", 80),
            "F2": tensor(4.7, 2.2, "$F_2$"),
            "f3": Node("test", 5.7, 2.2, "rest", 80),
            "h3": Node("test", 7.6, 2.2, "species\nlogits z, d maps a class", 140),
            "h2": Node("test", 7.6, 1.1, "families\nhead of d maps each", 140),
            "h1": Node("test", 7.6, 0, "orders\nhead of d maps each", 140),
            "c1": Node("loss", 10.79, 0, "½ CE($z_1$, order of y)", 150),
            "c2": Node("loss", 10.79, 1.1, "½ CE($z_2$, family of y)", 150),
            "c3": Node("loss", 10.79, 2.2, "½ CE(z, y)", 150),
            "sum": Node("found", 7.6, 3.3, "heatmap of class c\nsum of the positive\nmean maps of all three", 150),
            "apart": Node("loss", 10.79, 3.3, "|sum of cosines|\nof half of the maps of\ny, its family and order", 150),
        },
        (
            "x -- f1 -- F1 -- f2 -- F2 -- f3 -- h3 -- c3",
            "F1 |- h1 -- c1",
            "F2 |- h2 -- c2",
            "h3 -- sum -- apart",
        ),
    ),
    "i2c": Drawing(
        {
            "x": photo(0.6, 1),
            "backbone": Node("test", 2.1, 1, "backbone"),
            "S": tensor(3.3, 1, "S"),
            "head": Node("test", 4.75, 1, "head\nconvolutions"),
            "A": tensor(6.3, 1, "A"),
            "z": Node("found", 8.3, 1, "logits z\nmean of A", 110),
            "ce": Node("loss", 10.79, 1, "CE(z, y)", 150),
            "map": Node("found", 8.3, 0, "heatmap\n$A_c$ of class c", 110),
            "f": Node("train", 6.3, 2.2, "features f of S\nwhere the scaled\n$A_y$ is above τ", 130),
            "other": Node("train", 6.3, 3.4, "features f′\nof another photo\nof the class", 130),
            "m": Node("train", 8.6, 3.4, "centre $m_y$\nmoves towards the\nmean of f and f′", 130),
            "local": Node("loss", 10.79, 2.2, "$w_1$ |f − f′|\nthe two photos", 150),
            "global": Node("loss", 10.79, 3.4, "$w_2$ |mean − $m_y$|\nall photos", 150),
        },
        (
            "x -- backbone -- S -- head -- A -- z -- ce",
            "A |- map",
            "S |- f -- local",
            "A ~~ f",
            "other -- f",
            "other ~~ m ~~ global",
        ),
    ),
    "spg": Drawing(
        {
            "x": photo(0.6, 1),
            "f1": Node("test", 1.9, 1, "stages", 96),
            "F1": tensor(2.9, 1, "$F_1$"),
            "f2": Node("test", 4.1, 1, "stages", 96),
            "F2": tensor(5.2, 1, "$F_2$"),
            "rest": Node("test", 6.45, 1, "rest, and head", 110),
            "A": tensor(7.55, 1, "A"),
            "z": Node("found", 8.8, 1, "logits z\nmean of A", 100),
            "ce": Node("loss", 10.92, 1, "CE(z, y)", 130),
            "map": Node("found", 8.8, 0, "heatmap\n$A_c$ of class c", 100),
            "c": Node("train", 6.45, 2.1, "mask C\nof the hidden layers", 130),
            "lc": Node("loss", 10.92, 2.1, "BCE\nwhere the mean of\nB1 and B2 is sure", 130),
            "b2": Node("train", 5.2, 3.2, "mask B2\nlast layers as B1", 110),
            "l2": Node("loss", 10.92, 3.2, "BCE\nwhere the scaled\n$A_y$ is sure", 130),
            "b1": Node("train", 2.9, 4.3, "mask B1\nlast layers as B2", 110),
            "l1": Node("loss", 10.92, 4.3, "BCE\nwhere B2 is sure", 130),
        },
        (
            "x -- f1 -- F1 -- f2 -- F2 -- rest -- A -- z -- ce",
            "A |- map",
            "rest -- c -- lc",
            "F2 -- b2 -- l2",
            "F1 -- b1 -- l1",
        ),
    ),
    "has": Drawing(
        {
            "x": photo(0.6, 1),
            "hide": Node("train", 2.6, 1, "hide\npatches, each with\nprobability p", 130),
            "method": Node("test", 5.3, 1, "any method\nsuch as CAM", 120),
            "loss": Node("loss", 10.72, 1, "its loss"),
            "map": Node("found", 7.9, 0, "logits and heatmap\nof the whole photo", 140),
        },
        ("x -- hide -- method -- loss", "method |- map"),
    ),
    "cutmix": Drawing(
        {
            "x": photo(0.6, 1),
            "other": Node("train", 2.6, 2.1, "another photo x′\nof the batch, with y′", 130),
            "paste": Node("train", 2.6, 1, "paste\na box of x′ into x", 130),
            "method": Node("test", 5.3, 1, "any method\nsuch as CAM", 120),
            "loss": Node("loss", 10.72, 1, "its loss for\n(1 − s) y + s y′\ns: share pasted", 150),
            "map": Node("found", 7.9, 0, "logits and heatmap\nof the whole photo", 140),
        },
        ("x -- paste -- method -- loss", "other -- paste", "method |- map"),
    ),
    "adl": Drawing(
        {
            "x": photo(0.6, 1),
            "f1": Node("test", 2.1, 1, "$f_1$\nup to the boundary", 120),
            "F": tensor(3.3, 1, "F"),
            "f2": Node("test", 6.85, 1, "$f_2$\nrest of any method", 125),
            "map": Node("found", 9.1, 0, "logits and heatmap\nF as it is", 145),
            "drop": Node("train", 4.75, 2.1, "drop, or weigh\n0 where m ≥ γ max m, or\nF times sigmoid(m)", 160),
            "f2e": Node("train", 6.85, 2.1, "$f_2$", 125),
            "lossd": Node("loss", 11.05, 2.1, "its loss"),
        },
        ("x -- f1 -- F -- f2", "f2 |- map", "F |- drop -- f2e -- lossd"),
        (("f2", "f2e"),),
    ),
    "ega": Drawing(
        {
            "x": photo(0.6, 0),
            "net": Node("test", 4.75, 0, "network\nmain batch norms", 130),
            "A": tensor(6.25, 0, "A"),
            "z": Node("found", 7.8, 0, "logits z\nmean of A", 120),
            "ce": Node("loss", 10.79, 0, "CE(z, y)", 150),
            "map": Node("found", 7.8, 1, "heatmap\n$A_c$ of class c", 120),
            "entropy": Node("loss", 10.79, 1, "$λ_c$ H($A_y$)\nundecided pixels", 150),
            "attack": Node("train", 2.2, 2, "attack\nx + d, with d up the\ngradient of CE, |d| ≤ ε", 155),
            "aux": Node("train", 4.75, 2, "network\nauxiliary batch norms", 140),
            "B": tensor(6.25, 2, "A′"),
            "cea": Node("loss", 10.79, 2, "CE(z′, y)", 150),
            "entropya": Node("loss", 10.79, 3, "$λ_a$ H($A′_y$)\nundecided pixels", 150),
        },
        (
            "x -- net -- A -- z -- ce",
            "A |- map",
            "map -- entropy",
            "x |~ attack ~~ aux -- B -- cea",
            "B |- entropya",
        ),
        (("net", "aux"),),
    ),
    "trilite": Drawing(
        {
            "x": photo(0.6, 0),
            "backbone": Node("test", 2.2, 0, "backbone\nfrozen", 120),
            "t": tensor(3.5, 0, "t"),
            "V": Node("test", 5.0, 0, "class head", 110),
            "z": Node("found", 8.5, 0, "logits z", 110),
            "ce": Node("loss", 10.85, 0, "CE(z, y)", 140),
            "F": tensor(3.5, 1.15, "F"),
            "tri": Node("test", 5.0, 1.15, "TriHead\n3×3 convolution, BN,\nsoftmax of 3 maps", 140),
            "M": tensor(6.5, 1.15, "M"),
            "map": Node("found", 8.5, 1.15, "heatmap\nforeground of M", 130),
            "front": Node("train", 6.5, 2.3, "region head\nmean of F, foreground", 150),
            "cef": Node("loss", 10.85, 2.3, "CE($z_F$, y)", 140),
            "back": Node("train", 6.5, 3.35, "region head\nmean of F, background", 150),
            "ceb": Node("loss", 10.85, 3.35, "− α log(1 − $p_B$(y))", 140),
        },
        (
            "x -- backbone -- t -- V -- z -- ce",
            "backbone |- F -- tri -- M -- map",
            "F |- front -- cef",
            "M -- front",
            "F |- back -- ceb",
        ),
        (("front", "back"),),
    ),
    "tscam": Drawing(
        {
            "x": photo(0.6, 0),
            "backbone": Node("test", 2.3, 0, "backbone\ntransformer", 120),
            "F": tensor(3.6, 0, "F"),
            "head": Node("test", 5.2, 0, "head\n3×3 convolution", 140),
            "S": tensor(6.6, 0, "S"),
            "z": Node("found", 8.7, 0, "logits z\nmean of S"),
            "ce": Node("loss", 11.05, 0, "CE(z, y)"),
            "a": Node("test", 5.2, 1.2, "attention a\nclass token to patches,\nsum over blocks", 160),
            "map": Node("found", 8.7, 1.2, "heatmap\na · $S_c$ of class c", 140),
        },
        ("x -- backbone -- F -- head -- S -- z -- ce", "backbone |- a -- map", "S |- map"),
    ),
    "gcnet": Drawing(
        {
            "x": photo(0.6, 0),
            "f": Node("test", 4.6, 0, "classifier f\nbackbone, head", 130),
            "z": Node("found", 8.0, 0, "logits z", 110),
            "ce": Node("loss", 10.85, 0, "CE(z, y)", 140),
            "detector": Node("test", 2.3, 1.2, "detector\nbackbone, shape head", 150),
            "shape": tensor(4.1, 1.2, "shape"),
            "box": Node("found", 8.0, 1.2, "box\naround the shape", 130),
            "area": Node("loss", 10.85, 1.2, "area: w h", 140),
            "m": Node("test", 4.1, 2.4, "draw\nm, soft at its edges", 130),
            "fo": Node("frozen", 6.3, 2.4, "f of m x\nfrozen", 110),
            "ceo": Node("loss", 10.85, 2.4, "CE($z_m$, y)", 140),
            "fb": Node("frozen", 6.3, 3.4, "f of (1 − m) x\nfrozen", 110),
            "bg": Node("loss", 10.85, 3.4, "log k − entropy", 140),
        },
        (
            "x -- f -- z -- ce",
            "x |- detector -- shape -- box -- area",
            "shape -- m -- fo -- ceo",
            "m |- fb -- bg",
        ),
        (("fo", "fb"),),
    ),
    "bas": Drawing(BAS, BAS_CHAINS),
    "aepl": Drawing(AEPL, (*BAS_CHAINS, "A -- erase -- erased")),
}


def pixels(node: Node) -> Point:
    return node.x * UNIT, node.y * UNIT


def corners(start: Node, way: str, end: Node) -> list[Point]:
    """The points an arrow runs through, from edge to edge."""
    (x0, y0), (x1, y1) = pixels(start), pixels(end)
    across, down = np.sign(x1 - x0), np.sign(y1 - y0)
    if x0 == x1:
        return [(x0, y0 + down * start.half[1]), (x1, y1 - down * end.half[1])]
    if y0 == y1:
        return [(x0 + across * start.half[0], y0), (x1 - across * end.half[0], y1)]
    if way.startswith("|"):
        return [(x0, y0 + down * start.half[1]), (x0, y1), (x1 - across * end.half[0], y1)]
    return [(x0 + across * start.half[0], y0), (x1, y0), (x1, y1 - down * end.half[1])]


def walked(start: Node, end: Node) -> bool:
    """Whether an arrow is followed at test too."""
    return end.kind in ("test", "found", "tensor") and start.kind != "train"


def draw_arrow(axes: Any, start: Node, way: str, end: Node) -> None:
    """Blue where it is walked at test too, dashed in training alone, dotted where no gradient comes back."""
    colour, style = (BLUE, "-") if walked(start, end) else (INK, (0, (4, 2.5)))
    if "~" in way:
        style = (0, (1, 2))
    points = corners(start, way, end)
    outline, codes = [points[0]], [Outline.MOVETO]
    if len(points) == 3:
        (xa, ya), (xb, yb), (xc, yc) = points
        before = (xb - 8 * np.sign(xb - xa), yb - 8 * np.sign(yb - ya))
        after = (xb + 8 * np.sign(xc - xb), yb + 8 * np.sign(yc - yb))
        outline += [before, points[1], after]
        codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    tip, (xp, yp) = points[-1], points[-2]
    way_x, way_y = np.sign(tip[0] - xp), np.sign(tip[1] - yp)
    headed = end.kind != "tensor"
    outline.append((tip[0] - 6 * way_x * headed, tip[1] - 6 * way_y * headed))
    codes.append(Outline.LINETO)
    wide, above = (1.1, 0.5) if "~" in way else (1.3, 1)  # what it shares with a solid line looks solid
    look = {"edgecolor": colour, "linestyle": style, "linewidth": wide, "zorder": above}
    axes.add_patch(PathPatch(Outline(outline, codes), fill=False, **look))
    if headed:
        base = (tip[0] - 7 * way_x, tip[1] - 7 * way_y)
        wings = [(base[0] + 3.5 * way_y * s, base[1] + 3.5 * way_x * s) for s in (1, -1)]
        axes.add_patch(PathPatch(Outline([*wings, tip, wings[0]]), color=colour, linewidth=0, zorder=2))


def draw_node(axes: Any, node: Node, picture: np.ndarray, colour: str) -> None:
    """colour: of a tensor's dot."""
    x, y = pixels(node)
    half_width, half_height = node.half
    if node.kind == "tensor":
        axes.add_patch(Circle((x, y), half_width, color=colour, zorder=3))
        axes.text(x - 6, y - 6, node.label, ha="right", va="bottom", fontsize=9.5, color=INK)
        return
    if node.kind == "photo":
        axes.imshow(picture, extent=(x - half_width, x + half_width, y + half_height, y - half_height), zorder=3)
        told = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 2.5}
        corner = x - half_width + 9, y + half_height - 9
        axes.text(*corner, node.label, ha="center", va="center", fontsize=9, bbox=told, zorder=4)
        return
    face, edge, letters, style = LOOKS[node.kind]
    size = half_height if node.kind in ("found", "loss") else 6
    box = FancyBboxPatch(
        (x - half_width, y - half_height),
        2 * half_width,
        2 * half_height,
        boxstyle=f"round,pad=0,rounding_size={min(size, 14)}",
        facecolor=face,
        edgecolor=edge,
        linestyle=style,
        linewidth=1.2,
        zorder=3,
    )
    axes.add_patch(box)
    name, *rest = node.lines
    top = y - 6.8 * len(rest)
    axes.text(x, top, name, ha="center", va="center", fontsize=9.5, color=letters, zorder=4)
    for number, line in enumerate(rest, 1):
        axes.text(x, top + 1.5 + 13 * number, line, ha="center", va="center", fontsize=7.8, color=letters, zorder=4)


def draw_same(axes: Any, one: Node, other: Node) -> None:
    """A double line from box to box."""
    upper, lower = sorted((one, other), key=lambda node: node.y)
    (x, top), (_, bottom) = pixels(upper), pixels(lower)
    for shift in (-1.6, 1.6):
        ends = [top + upper.half[1], bottom - lower.half[1]]
        axes.plot([x + shift, x + shift], ends, color=GREY, linewidth=0.9, zorder=0)


def draw_legend(axes: Any, drawing: Drawing, y: float) -> None:
    """What of the visual language this figure uses, in one line."""
    used = {"train", *(node.kind for node in drawing.nodes.values())}
    kinds = [kind for kind in LEGEND if kind in used]
    entries = [(LEGEND[kind], kind) for kind in kinds]
    entries += [("same layers", "same")] * bool(drawing.same)
    entries += [("no gradient back", "dotted")] * any("~" in chain for chain in drawing.chains)
    x = 16.0
    for label, kind in entries:
        if kind == "same":
            for shift in (-1.6, 1.6):
                axes.plot([x, x + 20], [y + shift, y + shift], color=GREY, linewidth=0.9)
        elif kind == "dotted":
            axes.plot([x, x + 20], [y, y], color=INK, linestyle=(0, (1, 2)), linewidth=1.3)
        else:
            face, edge, _, style = LOOKS[kind]
            shape = f"round,pad=0,rounding_size={6 if kind in ('found', 'loss') else 3}"
            axes.add_patch(
                FancyBboxPatch((x, y - 6), 20, 12, shape, facecolor=face, edgecolor=edge, linestyle=style, linewidth=1)
            )
        axes.text(x + 27, y, label, va="center", fontsize=8, color=INK)
        x += 27 + TextPath((0, 0), label, size=8 * 96 / 72).get_extents().width + 26


def draw(drawing: Drawing) -> Figure:
    low = max(node.y for node in drawing.nodes.values()) * UNIT
    top, bottom = -44, low + 92
    figure = Figure(figsize=(WIDTH / 96, (bottom - top) / 96), dpi=96)
    axes = figure.add_axes((0, 0, 1, 1))
    creatures = Creatures("test", images=9, size=116)
    picture = np.asarray(creatures.image(8))
    at_test = {end for start, way, end in drawing.arrows() if walked(start, end)}
    for one, other in drawing.same:
        draw_same(axes, drawing.nodes[one], drawing.nodes[other])
    for arrow in drawing.arrows():
        draw_arrow(axes, *arrow)
    for node in drawing.nodes.values():
        draw_node(axes, node, picture, BLUE if node in at_test else INK)
    draw_legend(axes, drawing, bottom - 22)
    axes.set(xlim=(0, WIDTH), ylim=(bottom, top), aspect="equal")
    axes.set_axis_off()
    return figure


@app.default
def write(output: Path, *, format: Literal["svg", "png"] = "svg") -> None:
    """Writes OUTPUT/METHOD.svg, or png, for every method."""
    output.mkdir(parents=True, exist_ok=True)
    for name, drawing in DRAWINGS.items():
        told = {"Description": drawing.text} | ({"Date": None} if format == "svg" else {})
        with matplotlib.rc_context({"svg.hashsalt": name, "mathtext.default": "regular"}):
            draw(drawing).savefig(output / f"{name}.{format}", metadata=told, dpi=96 if format == "svg" else 192)


if __name__ == "__main__":
    app()
