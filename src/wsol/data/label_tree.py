"""Classes in groups, and these in larger ones, for methods that learn such trees."""

import csv
import re
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wsol.errors import WsolError, listed
from wsol.system.files import read_json, unreadable

Groups = tuple[int, ...]
FAMILIES, ORDERS = 37 / 200, 11 / 200  # groups a class, as DANet has them of CUB's species
EVALUATE = "give figures of `wsol evaluate RUN PHOTOS --split val --output figures.json`"


def label_tree(path: str | Path | None, classes: Sequence[str]) -> tuple[Groups, Groups]:
    """The family and the order of each class, numbered from 0.

    path: A CSV with the columns class, family and, if there is that too, order; or the JSON file of an evaluation on
        validation photos, of which classes that were confused are a family. None: classes whose names end in the same
        word are a family (Brewer_Blackbird, Rusty_Blackbird), and families are orders.
    classes: Their names.

    Raises WsolError, naming the file, where it is no such table or figures, leaves a class out, or is of test photos.
    """
    if path is None:
        families = numbered([_last_word(name) for name in classes])
        return families, families
    if Path(path).suffix == ".json":
        return _by_confusion(Path(path), classes)
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


def grouped(rates: Float[np.ndarray, "k k"], count: int) -> Groups:
    """Classes in groups by how much they are confused, with average linkage.

    The two groups with the highest mean rate between their classes become one, until `count` are left or no class is
    taken for one of another group. Of equal rates the first counts.

    rates: share of the photos of each row's class that were taken for each column's.
    count: groups to end with.
    """
    sums = (rates + rates.T) / 2
    np.fill_diagonal(sums, 0)
    members = np.eye(len(sums))
    for _ in range(len(sums) - count):
        sizes = members.sum(1)
        means = np.triu(sums / np.outer(sizes, sizes).clip(1), 1)
        one, other = np.unravel_index(means.argmax(), means.shape)
        if not means[one, other]:
            break
        for table in (members, sums, sums.T):
            table[one] += table[other]
            table[other] = 0
        sums[one, one] = 0
    return numbered(members.argmax(0).tolist())


def _by_confusion(path: Path, classes: Sequence[str]) -> tuple[Groups, Groups]:
    figures = read_json(path, EVALUATE)
    if figures.get("split") == "test":
        raise WsolError(f"{path}: measured on test photos, from which nothing may be learnt; {EVALUATE}")
    confusion, places = figures.get("Confusion"), {name: place for place, name in enumerate(classes)}
    rates = np.zeros((len(classes), len(classes)))
    try:
        for name, said in (confusion or {}).items():
            for other, photos in said.items():
                if name in places and other in places:
                    rates[places[name], places[other]] = photos / sum(said.values())
    except (AttributeError, TypeError, ZeroDivisionError) as error:
        raise WsolError(f"{path}: holds no confusion of classes; {EVALUATE}") from error
    if not rates.any():
        raise WsolError(f"{path}: holds no confusion of these classes ({listed(list(classes), most=3)}); {EVALUATE}")
    families, orders = (grouped(rates, max(2, round(share * len(classes)))) for share in (FAMILIES, ORDERS))
    return families, orders


def _last_word(name: str) -> str:
    words = re.findall(r"[^\W\d_]+", name.lower())
    return words[-1] if words else name
