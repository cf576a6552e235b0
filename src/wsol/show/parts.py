"""Pieces of HTML that reports are made of."""

import html
from pathlib import Path
from typing import Any

from PIL import Image

from wsol.show.charts import swatch
from wsol.show.pages import embedded
from wsol.show.story import Story


def named(place: int, story: Story) -> str:
    return f"{swatch(place)}{html.escape(story.name)}"


def note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def picture(path: Path, caption: str) -> str:
    """A stored picture with its caption; nothing where there is none, or a damaged one."""
    try:
        with Image.open(path) as picture:
            address = embedded(picture, quality=82)
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    said = html.escape(caption)
    return f'<figure><figcaption>{said}</figcaption><img src="{address}" alt="{said}"></figure>'


def table(head: list[str], rows: dict[str, list[str]], kind: str = "") -> str:
    """A table that scrolls where it is too wide; all cells are HTML already.

    head: above the columns.
    rows: cells by what stands before them.
    kind: its class in the page's style.
    """
    lines = ["".join(f"<th>{each}</th>" for each in head)] if head else []
    lines += [f"<th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}" for name, cells in rows.items()]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table class="{kind}">{body}</table></div>'


def number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""
