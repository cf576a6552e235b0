"""Classes in groups, and these in larger ones, for methods that learn such trees."""

import csv
import re
from collections.abc import Hashable, Sequence
from pathlib import Path

from wsol.errors import WsolError, listed
from wsol.system.files import unreadable

Groups = tuple[int, ...]


def label_tree(path: str | Path | None, classes: Sequence[str]) -> tuple[Groups, Groups]:
    """The family and the order of each class, numbered from 0.

    path: A CSV with the columns class, family and, if there is that too, order. None: classes whose names end in the
        same word are a family (Brewer_Blackbird, Rusty_Blackbird), and families are orders.
    classes: Their names.

    Raises WsolError, naming the file, where it is no such table or leaves a class out.
    """
    if path is None:
        families = numbered([_last_word(name) for name in classes])
        return families, families
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = set(table.fieldnames or ())
            rows = {row["class"]: row for row in table} if {"class", "family"} <= columns else {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(
            Path(path), error, f"cannot be read ({error}); give a CSV of class, family and order"
        ) from error
    if not rows:
        raise WsolError(
            f"{path}: is no table of classes; its first line must be class,family,order, a class on each other"
        )
    if missing := [name for name in classes if not (rows.get(name) or {}).get("family")]:
        said = f"{len(missing)} of {len(classes)} classes have no family: {listed(missing, most=5)}"
        raise WsolError(f"{path}: {said}; add a line for each")
    families = numbered([rows[name]["family"] for name in classes])
    return families, numbered([rows[name].get("order") or rows[name]["family"] for name in classes])


def numbered(names: Sequence[Hashable]) -> Groups:
    """The same number for the same name, from 0 in the order in which they come."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers[name] for name in names)


def _last_word(name: str) -> str:
    words = re.findall(r"[^\W\d_]+", name.lower())
    return words[-1] if words else name
