"""Run folders: settings and recipes, what a trained network is made of, written and read."""

from typing import Literal

Checkpoint = Literal["best", "last"]
